package blueprint

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"text/template"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// render renders the text that stands at field.
func (v *Values) render(field, text string) (string, error) {
	if !isTemplate(text) {
		return text, nil
	}
	t, err := v.engine.parse(text)
	if err != nil {
		return "", errorf(event.ReasonInvalid, "%s: template does not parse: %w", field, err)
	}
	if err := v.namesLost(field, t); err != nil {
		return "", err
	}
	rendered, err := v.engine.execute(t, v.data)
	if err != nil {
		message := explain(err, v.data, len(v.redact.values) > 0).Error()
		return "", errorf(event.ReasonRender, "%s: failed to render template: %s", field, v.redact.redact(message))
	}
	return rendered, nil
}

// namesLost returns an error when the template names something that does not
// exist any more: rendering it would yield a puzzle, or an empty password.
func (v *Values) namesLost(field string, t *template.Template) error {
	if len(v.gone) == 0 {
		return nil
	}
	for _, path := range paths(t) {
		if err := v.lost(path); err != nil {
			return errorf(event.ReasonNotFound, "%s: %w", field, err)
		}
	}
	return nil
}

func (v *Values) lost(path []string) error {
	if len(path) == 0 {
		return nil
	}
	for _, g := range v.gone {
		if related(g.path, path) {
			return g.err
		}
	}
	return nil
}

// namesSecrets reports whether a text names anything that secret values lie in.
func (v *Values) namesSecrets(text string) bool {
	t, err := v.engine.parse(text)
	if err != nil {
		return true
	}
	for _, path := range paths(t) {
		switch {
		case len(path) == 0,
			path[0] == "Secrets",
			path[0] == "Profile" && (len(path) == 1 || path[1] == "Credential"),
			path[0] == "Object" && v.scope.Params.ObjectSecret != nil,
			path[0] == "Phases" && (len(path) < 3 || path[2] == "Secrets"),
			(path[0] == "DeferPhase" || path[0] == "CurrentPhase") && (len(path) < 2 || path[1] == "Secrets"):
			return true
		}
	}
	return false
}

// errNull says what a null is.
var errNull = errors.New("is null; give it a value, or leave it out")

// renderAny renders every text in x, which stands at field.
func (v *Values) renderAny(field string, x any) (any, error) {
	switch x := x.(type) {
	case nil:
		return nil, errorf(event.ReasonInvalid, "%s: %w", field, errNull)
	case string:
		return v.render(field, x)
	case []any:
		return v.renderList(field, x)
	case []string:
		return v.renderList(field, anys(x))
	case map[string]any:
		return v.renderMap(field, x)
	case kanister.JSONMap:
		return v.renderMap(field, x)
	case map[string]string:
		m := make(map[string]any, len(x))
		for key, value := range x {
			m[key] = value
		}
		return v.renderMap(field, m)
	}
	return x, nil
}

func (v *Values) renderList(field string, list []any) ([]any, error) {
	out := make([]any, len(list))
	for i, item := range list {
		rendered, err := v.renderAny(fmt.Sprintf("%s[%d]", field, i), item)
		if err != nil {
			return nil, err
		}
		out[i] = rendered
	}
	return out, nil
}

func (v *Values) renderMap(field string, m map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		place := field + "." + key
		name, err := v.render(place+" (the key)", key)
		if err != nil {
			return nil, err
		}
		if _, ok := out[name]; ok {
			return nil, errorf(event.ReasonRender, "%s: two keys render to the same text; the second stands here", v.redact.redact(place))
		}
		if out[name], err = v.renderAny(place, m[key]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, item := range list {
		out[i] = item
	}
	return out
}

// whole copies an output, with whole numbers as int64: what went through JSON
// would otherwise print, and be counted, as a float.
func whole(output map[string]any) map[string]any {
	if output == nil {
		return nil
	}
	out := make(map[string]any, len(output))
	for key, value := range output {
		out[key] = wholeAny(value)
	}
	return out
}

func wholeAny(x any) any {
	switch x := x.(type) {
	case map[string]any:
		return whole(x)
	case []any:
		out := make([]any, len(x))
		for i, item := range x {
			out[i] = wholeAny(item)
		}
		return out
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			return int64(x)
		}
	case int:
		return int64(x)
	case int32:
		return int64(x)
	}
	return x
}
