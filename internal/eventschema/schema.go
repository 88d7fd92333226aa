package eventschema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/salvor-io/salvor/api/event"
)

const (
	module = "github.com/salvor-io/salvor"
	// schemaFolder and document are where the files lie, from the root of the module.
	schemaFolder = "api/event/schema"
	document     = "docs/asyncapi.yaml"
)

// Generate returns the content of all files, by their paths from the root of the
// module, in which it has to be called: it reads the comments of the sources.
func Generate() (map[string][]byte, error) {
	reflector, err := newReflector()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, e := range register() {
		content, err := schemaOf(reflector, &e)
		if err != nil {
			return nil, err
		}
		files[path.Join(schemaFolder, e.ceType+".json")] = content
	}
	if files[document], err = asyncAPI(register()); err != nil {
		return nil, err
	}
	return files, nil
}

func newReflector() (*jsonschema.Reflector, error) {
	r := &jsonschema.Reflector{
		Anonymous: true, ExpandedStruct: true, AllowAdditionalProperties: true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			switch t {
			case reflect.TypeFor[event.State]():
				return &jsonschema.Schema{Type: "string", Enum: states()}
			case reflect.TypeFor[event.PhaseKind]():
				return &jsonschema.Schema{Type: "string", Enum: kinds()}
			}
			return nil
		},
	}
	for _, folder := range folders() {
		if err := r.AddGoComments(module, folder, jsonschema.WithFullComment()); err != nil {
			return nil, fmt.Errorf("read the comments in %s: %w", folder, err)
		}
	}
	for name, text := range r.CommentMap {
		r.CommentMap[name] = strings.Join(strings.Fields(text), " ")
	}
	return r, nil
}

func schemaOf(r *jsonschema.Reflector, e *entry) ([]byte, error) {
	s := r.Reflect(e.data)
	s.ID = jsonschema.ID("https://" + module + "/" + path.Join(schemaFolder, e.ceType+".json"))
	s.Title = e.title
	s.Description = e.about
	for _, name := range e.required {
		if _, ok := s.Properties.Get(name); !ok {
			return nil, fmt.Errorf("%s: %T has no member %s", e.ceType, e.data, name)
		}
		if !slices.Contains(s.Required, name) {
			s.Required = append(s.Required, name)
		}
	}
	if len(e.states) > 0 {
		state, ok := s.Properties.Get("state")
		if !ok {
			return nil, fmt.Errorf("%s: %T has no member state", e.ceType, e.data)
		}
		state.Enum = nil
		for _, one := range e.states {
			state.Enum = append(state.Enum, one)
		}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(s); err != nil {
		return nil, fmt.Errorf("encode the schema of %s: %w", e.ceType, err)
	}
	return out.Bytes(), nil
}
