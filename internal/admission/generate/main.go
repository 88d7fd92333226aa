// Command generate writes what the chart's admission policies know of the functions. It
// is run in the root of the module.
package main

import (
	"log"
	"os"

	"github.com/salvor-io/salvor/internal/admission"
)

func main() {
	if err := os.WriteFile(admission.File, []byte(admission.Functions()), 0o600); err != nil {
		log.Fatal(err)
	}
}
