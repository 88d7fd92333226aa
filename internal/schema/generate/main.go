// Command generate turns the CRDs into JSON Schemas. It is run in the root of the module.
package main

import (
	"log"
	"os"

	"github.com/salvor-io/salvor/internal/schema"
)

func main() {
	files, err := schema.Generate(".")
	if err != nil {
		log.Fatal(err)
	}
	for path, content := range files {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			log.Fatal(err)
		}
	}
}
