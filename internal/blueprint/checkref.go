package blueprint

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/salvor-io/salvor/internal/nearest"
)

// mention is a field that a template names, from its data on.
type mention struct {
	path []string
	// certain: whoever renders the template evaluates it. What stands in a branch, in a
	// loop or behind `and` and `or` may never be.
	certain bool
	pos     parse.Pos
}

// mentions returns the fields that a template names, in order: .Phases.a and
// $.Phases.a both are [Phases a]. What it reaches by another dot, or by index, is not
// among them.
func mentions(t *template.Template) []mention {
	if t.Tree == nil || t.Root == nil {
		return nil
	}
	m := &mentioner{}
	m.node(t.Root, true, true)
	return m.found
}

type mentioner struct {
	found []mention
	// shadowed: $ is a variable of the template's own.
	shadowed bool
}

func (m *mentioner) add(path []string, certain bool, pos parse.Pos) {
	if len(path) > 0 {
		m.found = append(m.found, mention{path: path, certain: certain, pos: pos})
	}
}

// node goes through n; root says whether the dot is the template's data.
func (m *mentioner) node(n parse.Node, root, certain bool) {
	switch n := n.(type) {
	case *parse.ListNode:
		for _, child := range n.Nodes {
			m.node(child, root, certain)
		}
	case *parse.ActionNode:
		m.node(n.Pipe, root, certain)
	case *parse.PipeNode:
		for _, command := range n.Cmds {
			m.command(command, root, certain)
		}
		for _, v := range n.Decl {
			m.shadowed = m.shadowed || v.Ident[0] == "$"
		}
	case *parse.ChainNode:
		m.node(n.Node, root, certain)
	case *parse.FieldNode:
		if root {
			m.add(n.Ident, certain, start(n.Pos, n.Ident))
		}
	case *parse.VariableNode:
		if n.Ident[0] == "$" && !m.shadowed {
			m.add(n.Ident[1:], certain, start(n.Pos, n.Ident))
		}
	case *parse.IfNode:
		m.branch(&n.BranchNode, root, root, certain)
	case *parse.WithNode:
		m.branch(&n.BranchNode, root, false, certain)
	case *parse.RangeNode:
		m.branch(&n.BranchNode, root, false, certain)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			m.node(n.Pipe, root, certain)
		}
	}
}

// start is where a chain of names begins: the parser tells where the second of them
// does, if there is one.
func start(pos parse.Pos, names []string) parse.Pos {
	if len(names) < 2 {
		return pos
	}
	first := len(names[0])
	if names[0] != "$" {
		first++ // its dot
	}
	return pos - parse.Pos(first)
}

func (m *mentioner) branch(n *parse.BranchNode, root, body, certain bool) {
	m.node(n.Pipe, root, certain)
	m.node(n.List, body, false)
	if n.ElseList != nil {
		m.node(n.ElseList, root, false)
	}
}

// command knows that `and` and `or` stop at the argument that decides.
func (m *mentioner) command(n *parse.CommandNode, root, certain bool) {
	name, ok := n.Args[0].(*parse.IdentifierNode)
	lazy := ok && (name.Ident == "and" || name.Ident == "or")
	for i, arg := range n.Args {
		m.node(arg, root, certain && (!lazy || i < 2))
	}
}

// reference checks what a template names against what is there by then.
func (c *checker) reference(where place, text string, named mention, m moment) {
	message, hint := c.wrongReference(named.path, m)
	if message == "" {
		if c.spec == nil {
			c.undeclared(where, text, named)
		} else if named.certain {
			c.notGiven(where, named.path)
		}
		return
	}
	p := where.problem("template names ."+strings.Join(named.path, ".")+", "+message, hint)
	if !named.certain {
		p.Message += "; it fails if this part of the template is reached"
		p.Severity = SeverityWarning
	}
	p.Line, p.Column = position(text, int(named.pos))
	c.once(p)
}

// once adds a problem, but not the same twice for one text.
func (c *checker) once(p Problem) {
	if !slices.ContainsFunc(c.problems, func(q Problem) bool { return q.Field == p.Field && q.Message == p.Message }) {
		c.add(p)
	}
}

// position is the line and column of an offset.
func position(text string, offset int) (line, column int) {
	before := text[:min(max(offset, 0), len(text))]
	return strings.Count(before, "\n") + 1, len(before) - strings.LastIndex(before, "\n")
}

// wrongReference says why a path leads nowhere, and what to do about it.
func (c *checker) wrongReference(path []string, m moment) (message, hint string) {
	roots := rootFields()
	if !slices.Contains(roots, path[0]) {
		if near := nearest.Name(path[0], roots); near != "" {
			return "which does not exist", fmt.Sprintf("did you mean .%s?", near)
		}
		return "which does not exist", "templates start from one of: " + list(roots)
	}
	switch path[0] {
	case "Phases":
		if len(path) > 1 {
			if message, hint := c.wrongPhase(path[1], m); message != "" {
				return message, hint
			}
			if message, hint := c.wrongInPhase(path[1], path[2:], m); message != "" {
				return message, hint
			}
		}
	case "DeferPhase":
		switch {
		case c.action.DeferPhase == nil && len(path) > 1:
			return "but the action has no deferPhase", "name a phase in .Phases"
		case !m.deferred && !m.ended && len(path) > 1:
			return "but the deferPhase has not run by then", "use what phases before it publish"
		case m.deferred && len(path) > 2 && path[1] == "Output":
			return "which is its own output, and is not there yet", "use what the phases publish"
		}
	case "CurrentPhase":
		switch {
		case m.deferred && len(path) > 1:
			return "which is not set in the deferPhase", "use .DeferPhase"
		case m.self && len(path) > 2 && path[1] == "Output":
			return "which is its own output, and is not there yet", "use what phases before it publish"
		}
	}
	return wrongField(path)
}

// wrongPhase checks that .Phases.<name> is there.
func (c *checker) wrongPhase(name string, m moment) (message, hint string) {
	names := make([]string, len(c.action.Phases))
	for i := range names {
		names[i] = c.action.Phases[i].Name
	}
	switch i := slices.Index(names, name); {
	case i < 0 && c.action.DeferPhase != nil && c.action.DeferPhase.Name == name:
		return "which is the deferPhase", "it is at .DeferPhase"
	case i < 0:
		if near := nearest.Name(name, names); near != "" {
			return "which is not a phase of this action", fmt.Sprintf("did you mean .Phases.%s?", near)
		}
		return "which is not a phase of this action", "its phases are: " + list(names)
	case i >= m.reached:
		return "which has not run by then", "use what phases before it publish"
	}
	return "", ""
}

// wrongInPhase checks what follows .Phases.<name>.
func (c *checker) wrongInPhase(name string, rest []string, m moment) (message, hint string) {
	if len(rest) < 2 {
		return "", ""
	}
	var outputs, secrets, configMaps []string
	anything, own, earlier := false, false, false
	for i := range c.action.Phases[:m.reached] {
		phase := &c.action.Phases[i]
		if phase.Name != name {
			continue
		}
		own = m.self && i == m.reached-1
		earlier = earlier || !own
		signature, ok := Lookup(phase.Func)
		anything = anything || !ok || signature.Markers
		for _, o := range signature.Outputs {
			outputs = append(outputs, o.Name)
		}
		for _, key := range slices.Sorted(maps.Keys(phase.ObjectRefs)) {
			if strings.EqualFold(phase.ObjectRefs[key].Kind, "secret") {
				secrets = append(secrets, key)
			} else if strings.EqualFold(phase.ObjectRefs[key].Kind, "configmap") {
				configMaps = append(configMaps, key)
			}
		}
	}
	switch rest[0] {
	case "Output":
		switch {
		case own && !earlier:
			return "which is its own output, and is not there yet", "use what phases before it publish"
		case own || anything || slices.Contains(outputs, rest[1]):
			return "", ""
		}
		return notAmong(rest[1], outputs, "which its function does not publish", "it publishes")
	case "Secrets":
		if !slices.Contains(secrets, rest[1]) {
			return notAmong(rest[1], secrets, "which is not among the Secrets in the objects of that phase", "they are")
		}
	case "ConfigMaps":
		if !slices.Contains(configMaps, rest[1]) {
			return notAmong(rest[1], configMaps, "which is not among the ConfigMaps in the objects of that phase", "they are")
		}
	}
	return "", ""
}

func notAmong(name string, there []string, message, instead string) (m, hint string) {
	if near := nearest.Name(name, there); near != "" {
		return message, fmt.Sprintf("did you mean %s?", near)
	}
	return message, instead + ": " + list(there)
}

// wrongField checks a path against the types of the data, as far as they are known.
func wrongField(path []string) (message, hint string) {
	t := reflect.TypeFor[data]()
	for i, name := range path {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		so := "." + strings.Join(path[:i], ".")
		switch t.Kind() { //nolint:exhaustive // the others hold no fields
		case reflect.Interface:
			return "", ""
		case reflect.Map:
			if hasMethod(t, name) {
				return "", ""
			}
			t = t.Elem()
		case reflect.Struct:
			if hasMethod(t, name) {
				return "", ""
			}
			field, ok := t.FieldByName(name)
			if !ok || !field.IsExported() {
				return notAmong(name, fieldsOf(t), "but "+so+" has no "+name, so+" has")
			}
			t = field.Type
		default:
			if hasMethod(t, name) {
				return "", ""
			}
			return "but " + so + " has no fields", "it is " + plainKind(t)
		}
	}
	return "", ""
}

func hasMethod(t reflect.Type, name string) bool {
	_, ok := reflect.PointerTo(t).MethodByName(name)
	return ok
}

func fieldsOf(t reflect.Type) []string {
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if f.IsExported() && !f.Anonymous {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return names
}

func plainKind(t reflect.Type) string {
	switch t.Kind() { //nolint:exhaustive // the others are numbers
	case reflect.String:
		return "text"
	case reflect.Slice, reflect.Array:
		return "a list; use index"
	case reflect.Bool:
		return "true or false"
	}
	return "a number"
}
