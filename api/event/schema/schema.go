// Package schema holds the JSON Schemas of the data of Salvor's events, one file for
// each type. They are generated from the Go types (`make generate`); docs/asyncapi.yaml
// refers to them.
//
// A schema lets further members through: a newer Salvor may add some. What is there
// now stays.
package schema

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed *.json
var files embed.FS

const suffix = ".json"

// Types are the types of events that have a schema, sorted.
func Types() []string {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil // it is in the program
	}
	types := make([]string, 0, len(entries))
	for _, entry := range entries {
		types = append(types, strings.TrimSuffix(entry.Name(), suffix))
	}
	return types
}

// For returns the schema of the data of a type of events, and false if there is none.
func For(ceType string) ([]byte, bool) {
	content, err := files.ReadFile(ceType + suffix)
	return content, err == nil
}
