package admission

import (
	"fmt"
	"slices"
	"strings"

	"github.com/salvor-io/salvor/internal/blueprint"
)

// File is where the chart looks for Functions, from the root of the module.
const File = "deploy/chart/files/admission/functions.cel"

// Functions is a CEL map by function: which arguments it needs, and which it takes.
func Functions() string {
	var b strings.Builder
	b.WriteString("{\n")
	all := blueprint.Signatures()
	for i := range all {
		takes, needs := all[i].Names(), all[i].Required()
		slices.Sort(takes)
		slices.Sort(needs)
		fmt.Fprintf(&b, "  %q: {\"needs\": %s, \"takes\": %s}", all[i].Name, texts(needs), texts(takes))
		if i < len(all)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString("}\n")
	return b.String()
}

func texts(names []string) string {
	quoted := make([]string, 0, len(names))
	for _, name := range names {
		quoted = append(quoted, fmt.Sprintf("%q", name))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
