package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/salvor-io/salvor/internal/nearest"
)

// Wrong is a field that a type does not have, or a value that does not fit.
type Wrong struct {
	Place
	Message, Hint string
	// Unknown: the field is not known, and the API server drops it. Typo tells that it
	// looks like one that is.
	Unknown, Typo bool
}

// Fields compares a document with the type that it is to be read into: fields that the
// type does not have, values of other types. Nothing that it finds is in a free-form
// part.
func (d *Document) Fields(into reflect.Type) []Wrong {
	var value any
	if err := json.Unmarshal(d.JSON, &value); err != nil {
		return []Wrong{{Message: "cannot be read: " + err.Error()}}
	}
	w := &walker{}
	w.walk(nil, into, value)
	return w.wrong
}

type walker struct{ wrong []Wrong }

func (w *walker) add(path []any, key bool, message, hint string) {
	w.wrong = append(w.wrong, Wrong{Place: Place{Path: path, Key: key}, Message: message, Hint: hint})
}

// walk checks a value at path, which is to be of type t.
func (w *walker) walk(path []any, t reflect.Type, value any) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if value == nil {
		return // as if it were left out
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		w.custom(path, t, value)
		return
	}
	switch t.Kind() { //nolint:exhaustive // the others are numbers
	case reflect.Interface:
	case reflect.Struct:
		w.object(path, t, value)
	case reflect.Map:
		m, ok := value.(map[string]any)
		if !ok {
			w.mistyped(path, value, "a map")
			return
		}
		for _, key := range slices.Sorted(maps.Keys(m)) {
			w.walk(below(path, key), t.Elem(), m[key])
		}
	case reflect.Slice:
		list, ok := value.([]any)
		if !ok {
			w.mistyped(path, value, "a list")
			return
		}
		for i, item := range list {
			w.walk(below(path, i), t.Elem(), item)
		}
	case reflect.String:
		if _, ok := value.(string); !ok {
			w.mistyped(path, value, "text")
		}
	case reflect.Bool:
		if _, ok := value.(bool); !ok {
			w.mistyped(path, value, "true or false")
		}
	default:
		if n, ok := value.(float64); !ok || t.Kind() < reflect.Float32 && n != math.Trunc(n) {
			w.mistyped(path, value, "a whole number")
		}
	}
}

// custom asks the type itself.
func (w *walker) custom(path []any, t reflect.Type, value any) {
	text, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(text, reflect.New(t).Interface())
	}
	if err == nil {
		return
	}
	if t.Kind() == reflect.Map {
		w.mistyped(path, value, "a map")
		return
	}
	w.add(path, false, "does not fit: "+err.Error(), "correct the value")
}

func (w *walker) mistyped(path []any, value any, want string) {
	hint := "correct the value"
	switch value.(type) {
	case float64, bool:
		if want == "text" {
			hint = "put it in quotes"
		}
	}
	w.add(path, false, fmt.Sprintf("must be %s, not %s", want, kindOf(value)), hint)
}

func kindOf(value any) string {
	switch value.(type) {
	case string:
		return "text"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return "a number"
}

func (w *walker) object(path []any, t reflect.Type, value any) {
	m, ok := value.(map[string]any)
	if !ok {
		w.mistyped(path, value, "a map")
		return
	}
	fields := map[string]reflect.Type{}
	members(t, fields)
	for _, key := range slices.Sorted(maps.Keys(m)) {
		at := below(path, key)
		if field, ok := fields[key]; ok {
			w.walk(at, field, m[key])
			continue
		}
		names := slices.Sorted(maps.Keys(fields))
		near := nearest.Name(key, names)
		hint := "the API server drops it; the fields here are: " + strings.Join(names, ", ")
		if near != "" {
			hint = fmt.Sprintf("did you mean %s?", near)
		}
		w.wrong = append(w.wrong, Wrong{
			Place: Place{Path: at, Key: true}, Message: fmt.Sprintf("unknown field %q", Field(at)), Hint: hint, Unknown: true, Typo: near != "",
		})
	}
}

// members collects the fields of a struct by their names in JSON.
func members(t reflect.Type, into map[string]reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-" || !field.IsExported():
		case name == "" && field.Anonymous:
			members(field.Type, into)
		case name == "":
			into[field.Name] = field.Type
		default:
			into[name] = field.Type
		}
	}
}

func below(path []any, step any) []any { return append(slices.Clone(path), step) }

// Field writes a path as text: spec.actions[0].name.
func Field(path []any) string {
	var b strings.Builder
	for _, step := range path {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(step)
		}
	}
	return b.String()
}

// Path reads what Field writes, and names in brackets: metadata.labels[a.b/c].
func Path(field string) []any {
	var path []any
	for field != "" {
		switch i := strings.IndexAny(field, ".["); {
		case field[0] == '[':
			inside, rest, _ := strings.Cut(field[1:], "]")
			path = append(path, step(inside))
			field = strings.TrimPrefix(rest, ".")
		case i < 0:
			return append(path, field)
		default:
			path = append(path, field[:i])
			field = strings.TrimPrefix(field[i:], ".")
		}
	}
	return path
}

func step(text string) any {
	var i int
	if _, err := fmt.Sscanf(text, "%d", &i); err == nil && fmt.Sprint(i) == text {
		return i
	}
	return text
}
