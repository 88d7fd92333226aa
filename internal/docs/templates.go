package docs

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/salvor-io/salvor/internal/blueprint"
)

// The places in templates/_general.md at which the code's own lists stand.
const (
	placeFields     = "{{ fields }}"
	placeTemplating = "{{ functions }}"
)

// Templates is docs/templates.md. src is docs/src.
func Templates(src fs.FS) (string, error) {
	text, err := prose(src, "templates/_general.md")
	if err != nil {
		return "", err
	}
	for place, list := range map[string]string{placeFields: fields(), placeTemplating: templateFunctions()} {
		if strings.Count(text, place) != 1 {
			return "", fmt.Errorf("templates/_general.md: say once where the list stands, with %q", place)
		}
		text = strings.Replace(text, place, list, 1)
	}
	return generated + text, nil
}

func fields() string {
	var out strings.Builder
	for i, group := range blueprint.Fields() {
		if i > 0 {
			out.WriteString("\n")
		}
		fmt.Fprintf(&out, "### %s\n\n", group.Title)
		if group.When != "" {
			fmt.Fprintf(&out, "%s%s.\n\n", strings.ToUpper(group.When[:1]), group.When[1:])
		}
		t := table{head: []string{"field", "what it is"}}
		for _, f := range group.Fields {
			t.add("`"+f.Path+"`", f.Doc)
		}
		out.WriteString(t.String())
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func templateFunctions() string {
	var out strings.Builder
	for _, group := range blueprint.TemplateFunctions() {
		fmt.Fprintf(&out, "- **%s** %s\n", group.Title, strings.Join(group.Names, " "))
	}
	return strings.TrimSuffix(out.String(), "\n")
}
