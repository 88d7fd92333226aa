package validate

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/salvor-io/salvor/internal/cli/app"
)

// fileList is the flag --filename, which may be given several times.
type fileList []string

// String is empty without files, so that the flag shows no default.
func (l *fileList) String() string { return strings.Join(*l, ",") }

// names are the files as messages give them.
func (l *fileList) names() []string {
	names := slices.Clone(*l)
	for i, path := range names {
		names[i] = nameOf(path)
	}
	return names
}

// nameOf is a file as messages give it.
func nameOf(path string) string {
	if path == "-" {
		return "<stdin>"
	}
	return path
}

// Set adds a file.
func (l *fileList) Set(path string) error {
	*l = append(*l, path)
	return nil
}

// Type names the value in the help.
func (l *fileList) Type() string { return "file" }

// source is one file to look at.
type source struct {
	// name as messages give it.
	name string
	text []byte
	// inFolder: it was found in a folder, where files of other things lie too.
	inFolder bool
}

// sources reads files, folders (with what is below them) and the standard input.
func sources(a *app.App, paths []string) ([]source, error) {
	var all []source
	for _, path := range paths {
		files, inFolder, err := expand(path)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := a.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("--filename: %w", err)
			}
			all = append(all, source{name: nameOf(file), text: text, inFolder: inFolder})
		}
	}
	return all, nil
}

// expand lists the YAML and JSON files below a folder, and gives back anything else.
func expand(path string) (files []string, inFolder bool, err error) {
	if path == "-" {
		return []string{path}, false, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, false, fmt.Errorf("--filename: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, false, nil
	}
	err = filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != path && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(file)):
			files = append(files, file)
		}
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("--filename: look into the folder: %w", err)
	}
	if len(files) == 0 {
		return nil, false, fmt.Errorf("--filename: there is no .yaml, .yml or .json file in %s", path)
	}
	return files, true, nil
}
