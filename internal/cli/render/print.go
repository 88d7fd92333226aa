package render

import (
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/cli/app"
)

// writer writes one YAML document for each part, with comments for people.
type writer struct{ app *app.App }

func (w *writer) action(as *kanister.ActionSet, spec *kanister.ActionSpec, bp *kanister.Blueprint) {
	from := spec.Blueprint
	if bp != nil && bp.Namespace != "" {
		from = bp.Namespace + "/" + bp.Name
	}
	object := spec.Object.Kind
	if object == "" {
		object = spec.Object.Resource
	}
	w.comment(fmt.Sprintf("action %s of blueprint %s on %s %s/%s", spec.Name, from, object, spec.Object.Namespace, spec.Object.Name))
	if as.UID != "" {
		w.comment("of ActionSet " + as.Namespace + "/" + as.Name)
	}
	if spec.Profile != nil {
		w.comment("with profile " + spec.Profile.Namespace + "/" + spec.Profile.Name)
	}
}

func (w *writer) part(p part) {
	w.app.Printf("---\n")
	w.comment(p.title)
	w.line("phase", p.phase.Name)
	w.line("func", p.phase.Func)
}

func (w *writer) comment(text string) {
	for line := range strings.Lines(text) {
		w.app.Printf("# %s\n", strings.TrimRight(line, "\n"))
	}
}

// line is a key with a text, or the beginning of a document.
func (w *writer) line(key, text string) {
	if text == "" && key == "outputArtifacts" {
		w.app.Printf("---\n# output artifacts\n")
		return
	}
	w.values(key, text)
}

// values is a key with anything below it.
func (w *writer) values(key string, x any) {
	text, err := yaml.Marshal(map[string]any{key: x})
	if err != nil {
		w.failed(err)
		return
	}
	w.app.Printf("%s", text)
}

func (w *writer) failed(err error) { w.values("error", err.Error()) }

// clean is x as JSON has it, without what stands for secret values, and with
// placeholders as they are when a template has encoded them.
func clean(v *blueprint.Values, x any) any {
	data, err := json.Marshal(x)
	if err != nil {
		return fmt.Sprint(x)
	}
	var plain any
	if err := json.Unmarshal(data, &plain); err != nil {
		return fmt.Sprint(x)
	}
	return cleanAny(v, plain)
}

func cleanAny(v *blueprint.Values, x any) any {
	switch x := x.(type) {
	case string:
		text := v.Redact(x)
		for _, what := range []string{"output ", "artifact ", "option "} {
			text = strings.ReplaceAll(text, `\u003c`+what, "<"+what)
		}
		return strings.ReplaceAll(text, `\u003e`, ">")
	case []any:
		for i := range x {
			x[i] = cleanAny(v, x[i])
		}
	case map[string]any:
		out := make(map[string]any, len(x))
		for key, item := range x {
			if item == nil && (key == "creationTimestamp") {
				continue
			}
			out[v.Redact(key)] = cleanAny(v, item)
		}
		delete(out, "status")
		return out
	}
	return x
}

// knowKind makes the kind of an object known that no file has.
func (r *renderer) knowKind(ref kanister.ObjectReference) {
	if ref.Resource == "" || ref.Kind != "" {
		return
	}
	group, version := ref.Group, ref.APIVersion
	if g, v, ok := strings.Cut(ref.APIVersion, "/"); ok {
		group, version = g, v
	}
	if version == "" {
		version = "v1"
	}
	r.store.KnowResource(schema.GroupVersionResource{Group: group, Version: version, Resource: ref.Resource})
}
