package docs_test

import (
	"fmt"
	"testing"

	"github.com/salvor-io/salvor/internal/blueprint"
)

func TestPrintRows(t *testing.T) {
	for _, g := range blueprint.Fields() {
		for _, f := range g.Fields {
			fmt.Printf("ROW| `%s` | the same | same | |\n", f.Path)
		}
	}
}
