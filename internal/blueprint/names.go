package blueprint

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// Names returns what the templates of an action name of their data, each as the path
// to it: .Options.pitr is [Options pitr], (index .Object.spec.sets 0).name is
// [Object spec sets [0] name]. What is reached by the dot of range and with, or by a
// variable, is not among them. Templates that do not parse name nothing.
func Names(action *kanister.BlueprintAction) [][]string {
	return named(action, deepPaths)
}

// Asked returns those of Names that the templates ask for before they use them: what
// index looks up in the condition of if or with, or for default. That it may not be
// there is foreseen.
func Asked(action *kanister.BlueprintAction) [][]string {
	return named(action, askedPaths)
}

// PipedTo returns those of Names that go through a function, as what is written
// .Object.data.key | b64dec goes through b64dec.
func PipedTo(action *kanister.BlueprintAction, function string) [][]string {
	return named(action, func(t *template.Template) [][]string { return pipedPaths(t, function) })
}

// named is what in finds in the templates of an action, sorted and each once.
func named(action *kanister.BlueprintAction, in func(*template.Template) [][]string) [][]string {
	seen := map[string][]string{}
	for _, text := range texts(action) {
		t, err := newEngine().parse(text)
		if err != nil {
			continue
		}
		for _, path := range in(t) {
			seen[strings.Join(path, "\x00")] = path
		}
	}
	found := make([][]string, 0, len(seen))
	for _, key := range slices.Sorted(maps.Keys(seen)) {
		found = append(found, seen[key])
	}
	return found
}

// texts returns all texts of an action that are templates, also the conditions of Wait.
func texts(a *kanister.BlueprintAction) []string {
	var all []string
	var collect func(x any)
	collect = func(x any) {
		switch x := x.(type) {
		case string:
			all = append(all, x)
		case []any:
			for _, item := range x {
				collect(item)
			}
		case map[string]any:
			for key, item := range x {
				collect(key)
				collect(item)
			}
		}
	}
	phases := slices.Clone(a.Phases)
	if a.DeferPhase != nil {
		phases = append(phases, *a.DeferPhase)
	}
	for i := range phases {
		collect(map[string]any(phases[i].Args))
		for _, ref := range phases[i].ObjectRefs {
			all = append(all, ref.Name, ref.Namespace)
		}
	}
	for _, artifact := range a.OutputArtifacts {
		all = append(all, artifact.KopiaSnapshot)
		all = slices.AppendSeq(all, maps.Values(artifact.KeyValue))
	}
	return all
}

// deepPaths is paths with what index leads to.
func deepPaths(t *template.Template) [][]string {
	var found [][]string
	walkAll(t, func(n parse.Node, root bool) {
		if path := pathOf(n, root); len(path) > 0 {
			found = append(found, path)
		}
	})
	return found
}

// askedPaths is what index leads to where a template asks whether something is there.
func askedPaths(t *template.Template) [][]string {
	var found [][]string
	ask := func(pipe *parse.PipeNode, root bool) {
		walk(pipe, root, func(n parse.Node, root bool) {
			if command, ok := n.(*parse.CommandNode); ok && isCall(command, "index") {
				if path := commandPath(command, root); path != nil {
					found = append(found, path)
				}
			}
		})
	}
	walkAll(t, func(n parse.Node, root bool) {
		switch n := n.(type) {
		case *parse.IfNode:
			ask(n.Pipe, root)
		case *parse.WithNode:
			ask(n.Pipe, root)
		case *parse.PipeNode:
			if calls(n, "default") {
				ask(n, root)
			}
		}
	})
	return found
}

// pipedPaths is what goes through a function.
func pipedPaths(t *template.Template, function string) [][]string {
	var found [][]string
	walkAll(t, func(n parse.Node, root bool) {
		if pipe, ok := n.(*parse.PipeNode); ok && calls(pipe, function) {
			walk(pipe, root, func(n parse.Node, root bool) {
				if path := pathOf(n, root); len(path) > 0 {
					found = append(found, path)
				}
			})
		}
	})
	return found
}

// walkAll walks a template that may be empty.
func walkAll(t *template.Template, visit func(n parse.Node, root bool)) {
	if t.Tree != nil && t.Root != nil {
		walk(t.Root, true, visit)
	}
}

// calls reports whether a command of a pipe calls that function.
func calls(pipe *parse.PipeNode, function string) bool {
	return slices.ContainsFunc(pipe.Cmds, func(c *parse.CommandNode) bool { return isCall(c, function) })
}

// isCall reports whether a command calls that function.
func isCall(n *parse.CommandNode, function string) bool {
	name, ok := n.Args[0].(*parse.IdentifierNode)
	return ok && name.Ident == function
}

// pathOf is the path that a node leads to from the data, empty when it leads nowhere
// that is known.
func pathOf(n parse.Node, root bool) []string {
	switch n := n.(type) {
	case *parse.FieldNode:
		if root {
			return n.Ident
		}
	case *parse.VariableNode:
		if n.Ident[0] == "$" {
			return n.Ident[1:]
		}
	case *parse.ChainNode:
		if path := pathOf(n.Node, root); path != nil {
			return slices.Concat(path, n.Field)
		}
	case *parse.PipeNode:
		if len(n.Cmds) == 1 && len(n.Decl) == 0 {
			return pathOf(n.Cmds[0], root)
		}
	case *parse.CommandNode:
		return commandPath(n, root)
	}
	return nil
}

// commandPath is pathOf for index and for what is in parentheses.
func commandPath(n *parse.CommandNode, root bool) []string {
	if len(n.Args) == 1 {
		return pathOf(n.Args[0], root)
	}
	if !isCall(n, "index") || len(n.Args) < 2 {
		return nil
	}
	path := slices.Clone(pathOf(n.Args[1], root))
	if path == nil {
		return nil
	}
	for _, arg := range n.Args[2:] {
		switch arg := arg.(type) {
		case *parse.StringNode:
			path = append(path, arg.Text)
		case *parse.NumberNode:
			path = append(path, "["+strconv.FormatInt(arg.Int64, 10)+"]")
		default:
			return path
		}
	}
	return path
}
