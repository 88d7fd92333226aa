package schema

import (
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/salvor-io/salvor/internal/blueprint"
)

//go:embed crds/*.json
var crds embed.FS

// The parts of a schema.
const (
	draft       = "http://json-schema.org/draft-07/schema#"
	definitions = "definitions"
	properties  = "properties"
	object      = "object"
	required    = "required"
	description = "description"
	argsPrefix  = "args-"
)

// node is a part of a schema.
type node = map[string]any

// Kinds are the resources that there are schemas of.
func Kinds() []string { return []string{"ActionSet", "ActionTrigger", "Blueprint", "Profile"} }

// Of returns the schema of a kind; if kind is "", that of all of them, which tells them
// apart by their kind. The error names the kinds if there is no such kind.
func Of(kind string) ([]byte, error) {
	schema := node{"$schema": draft}
	defs := node{}
	kinds := Kinds()
	switch {
	case kind == "":
		schema["title"] = "Salvor's resources"
		schema["type"] = object
		schema[required] = []string{"apiVersion", "kind"}
		schema[properties] = node{"kind": node{"enum": kinds}}
		var all []any
		for _, k := range kinds {
			all = append(all, when(node{"kind": node{"const": k}}, node{"$ref": ref(k)}))
		}
		schema["allOf"] = all
	case slices.Contains(kinds, kind):
		kinds = []string{kind}
		// Beside $ref nothing else is looked at in draft 7.
		schema = node{"$schema": draft, "title": kind, "allOf": []any{node{"$ref": ref(kind)}}}
	default:
		return nil, fmt.Errorf("%q is not one of %s", kind, strings.Join(kinds, ", "))
	}
	for _, k := range kinds {
		root, err := resource(k)
		if err != nil {
			return nil, err
		}
		defs[k] = root
		if k == "Blueprint" {
			if err := functions(root, defs); err != nil {
				return nil, err
			}
		}
	}
	schema[definitions] = defs
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the schema: %w", err)
	}
	return append(text, '\n'), nil
}

func ref(name string) string { return "#/" + definitions + "/" + name }

func when(is, then node) node {
	names := make([]string, 0, len(is))
	for name := range is {
		names = append(names, name)
	}
	return node{"if": node{properties: is, required: names}, "then": then}
}

// resource reads what the CRD says of a kind.
func resource(kind string) (node, error) {
	text, err := crds.ReadFile("crds/" + strings.ToLower(kind) + ".json")
	if err != nil {
		return nil, fmt.Errorf("read the schema of %s: %w", kind, err)
	}
	var root node
	if err := json.Unmarshal(text, &root); err != nil {
		return nil, fmt.Errorf("decode the schema of %s: %w", kind, err)
	}
	return root, nil
}

// functions adds to the schema of blueprints which functions there are and what each
// takes.
func functions(root, defs node) error {
	action, err := below(root, properties, "actions", "additionalProperties", properties)
	if err != nil {
		return err
	}
	phase, err := below(action, "phases", "items")
	if err != nil {
		return err
	}
	fn, err := below(phase, properties, "func")
	if err != nil {
		return err
	}
	var names, calls []any
	for _, s := range blueprint.Signatures() {
		names = append(names, s.Name)
		defs[argsPrefix+s.Name] = arguments(&s)
		then := node{properties: node{"args": node{"$ref": ref(argsPrefix + s.Name)}}}
		if len(s.Required()) > 0 {
			then[required] = []string{"args"}
		}
		calls = append(calls, when(node{"func": node{"const": s.Name}}, then))
	}
	fn["enum"] = names
	phase["allOf"] = calls
	defs["phase"] = phase
	list, err := below(action, "phases")
	if err != nil {
		return err
	}
	list["items"] = node{"$ref": ref("phase")}
	action["deferPhase"] = node{"$ref": ref("phase")}
	return nil
}

func below(n node, names ...string) (node, error) {
	for _, name := range names {
		next, ok := n[name].(node)
		if !ok {
			return nil, fmt.Errorf("the schema of Blueprint has no %s", strings.Join(names, "."))
		}
		n = next
	}
	return n, nil
}

// arguments is the schema of a function's arguments.
func arguments(s *blueprint.Signature) node {
	all := node{}
	for _, a := range s.Args {
		text := a.Doc
		if a.Default != "" {
			text += "; default: " + a.Default
		}
		value := typed(a.Type)
		value[description] = text
		all[a.Name] = value
	}
	n := node{"type": object, description: s.Name + " " + s.Summary, properties: all, "additionalProperties": false}
	if names := s.Required(); len(names) > 0 {
		n[required] = names
	}
	return n
}

func scalar() []string { return []string{"string", "number", "boolean"} }

// typed is the schema of what may be written for an argument of the type.
func typed(t blueprint.ArgType) node {
	switch t {
	case blueprint.Text:
		return node{"type": scalar()}
	case blueprint.Integer:
		return node{"anyOf": []any{
			node{"type": "integer", "minimum": 0},
			node{"type": "string", "pattern": `^\s*[0-9]+\s*$|\{\{`},
		}}
	case blueprint.Bool:
		return node{"anyOf": []any{
			node{"type": []string{"boolean", "number"}},
			node{"type": "string", "pattern": `^(1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)?$|\{\{`},
		}}
	case blueprint.List:
		return node{"anyOf": []any{
			node{"type": "array", "items": node{"type": scalar()}},
			node{"type": scalar()},
		}}
	case blueprint.Map:
		return node{"type": object, "additionalProperties": node{"type": scalar()}}
	case blueprint.Object:
		return node{"type": object}
	case blueprint.YAMLList:
		return node{"type": []string{"array", "string"}}
	}
	return node{}
}
