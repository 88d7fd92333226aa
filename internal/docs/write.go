package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Pages are the files of docs/ that are made here, by name, each from docs/src.
func Pages() map[string]func(src fs.FS) (string, error) {
	return map[string]func(fs.FS) (string, error){
		"functions.md":     Functions,
		"templates.md":     Templates,
		"compatibility.md": Compatibility,
	}
}

// Write makes all pages in dir, the folder docs.
func Write(dir string) error {
	src := os.DirFS(filepath.Join(dir, "src"))
	for name, page := range Pages() {
		text, err := page(src)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil { //nolint:gosec // G306: a page that everybody reads
			return fmt.Errorf("write the page: %w", err)
		}
	}
	return nil
}
