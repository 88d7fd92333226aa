package docs

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/salvor-io/salvor/internal/blueprint"
)

// placeFunctions is where the overview stands in the general part.
const placeFunctions = "{{ functions }}"

// Functions is docs/functions.md: the general part, then a section for each function.
// src is docs/src.
func Functions(src fs.FS) (string, error) {
	general, err := prose(src, "functions/_general.md")
	if err != nil {
		return "", err
	}
	if strings.Count(general, placeFunctions) != 1 {
		return "", fmt.Errorf("functions/_general.md: say once where the overview stands, with %q", placeFunctions)
	}
	var out strings.Builder
	out.WriteString(generated)
	out.WriteString(strings.Replace(general, placeFunctions+"\n", overview(), 1))
	for _, s := range blueprint.Signatures() {
		text, err := prose(src, "functions/"+s.Name+".md")
		if err != nil {
			return "", err
		}
		out.WriteString("\n" + section(s, text))
	}
	return out.String(), nil
}

// overview is the table of all functions.
func overview() string {
	t := table{head: []string{"function", "what it does", "when its runner is lost"}}
	for _, s := range blueprint.Signatures() {
		t.add(fmt.Sprintf("[%s](#%s)", s.Name, strings.ToLower(s.Name)), s.Summary, string(s.Resume))
	}
	return t.String()
}

// section is what is to be said of one function.
func section(s blueprint.Signature, text string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "## %s\n\n%s%s.\n\n", s.Name, strings.ToUpper(s.Summary[:1]), s.Summary[1:])
	out.WriteString(arguments(s))
	out.WriteString("\n" + outputs(s) + "\n")
	fmt.Fprintf(&out, "When its runner is lost: [%s](#when-a-runner-is-lost).\n", s.Resume)
	if text != "" {
		out.WriteString("\n" + text)
	}
	return out.String()
}

func arguments(s blueprint.Signature) string {
	t := table{head: []string{"argument", "required", "type", "default", ""}}
	for _, a := range s.Args {
		required := ""
		if a.Required {
			required = "yes"
		}
		t.add("`"+a.Name+"`", required, string(a.Type), a.Default, a.Doc)
	}
	return t.String()
}

func outputs(s blueprint.Signature) string {
	switch {
	case s.Markers && len(s.Outputs) == 0:
		return "Outputs: what the command [publishes](#outputs).\n"
	case len(s.Outputs) == 0:
		return "Outputs: none.\n"
	}
	t := table{head: []string{"output", ""}}
	for _, o := range s.Outputs {
		t.add("`"+o.Name+"`", o.Doc)
	}
	if s.Markers {
		return t.String() + "\nand what the command [publishes](#outputs).\n"
	}
	return t.String()
}
