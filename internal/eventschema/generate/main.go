// Command generate writes the JSON Schemas of Salvor's events and the AsyncAPI document.
// It is run in the root of the module.
package main

import (
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/salvor-io/salvor/internal/eventschema"
)

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(out io.Writer) error {
	files, err := eventschema.Generate()
	if err != nil {
		return err
	}
	for path, content := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
		_, _ = fmt.Fprintln(out, path) // nobody is left to tell
	}
	return nil
}
