// Generate writes the pages of docs/ that are made from the code. It is run from the
// root of the tree by "make generate".
package main

import (
	"log"

	"github.com/salvor-io/salvor/internal/docs"
)

func main() {
	if err := docs.Write("docs"); err != nil {
		log.Fatal(err)
	}
}
