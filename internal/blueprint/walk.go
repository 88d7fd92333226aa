package blueprint

import (
	"slices"
	"text/template"
	"text/template/parse"
)

// walk calls visit for n and every node below it. root says whether the dot is
// the template's data there: inside with and range it is not.
func walk(n parse.Node, root bool, visit func(n parse.Node, root bool)) {
	visit(n, root)
	switch n := n.(type) {
	case *parse.ListNode:
		for _, child := range n.Nodes {
			walk(child, root, visit)
		}
	case *parse.ActionNode:
		walk(n.Pipe, root, visit)
	case *parse.PipeNode:
		for _, command := range n.Cmds {
			walk(command, root, visit)
		}
	case *parse.CommandNode:
		for _, arg := range n.Args {
			walk(arg, root, visit)
		}
	case *parse.ChainNode:
		walk(n.Node, root, visit)
	case *parse.IfNode:
		branch(&n.BranchNode, root, root, visit)
	case *parse.WithNode:
		branch(&n.BranchNode, root, false, visit)
	case *parse.RangeNode:
		branch(&n.BranchNode, root, false, visit)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			walk(n.Pipe, root, visit)
		}
	}
}

// branch walks if, with and range; body says whether the dot is the data in the
// first list.
func branch(n *parse.BranchNode, root, body bool, visit func(n parse.Node, root bool)) {
	walk(n.Pipe, root, visit)
	walk(n.List, body, visit)
	if n.ElseList != nil {
		walk(n.ElseList, root, visit)
	}
}

// paths returns the fields that a template names, from its data on: .Phases.a and
// $.Phases.a both are [Phases a], and [] is the data as a whole. What it reaches
// by another dot, or by index, is not among them.
func paths(t *template.Template) [][]string {
	var found [][]string
	add := func(path []string) {
		if !slices.ContainsFunc(found, func(p []string) bool { return slices.Equal(p, path) }) {
			found = append(found, path)
		}
	}
	if t.Tree == nil || t.Root == nil {
		return nil
	}
	walk(t.Root, true, func(n parse.Node, root bool) {
		switch n := n.(type) {
		case *parse.FieldNode:
			if root {
				add(n.Ident)
			}
		case *parse.VariableNode:
			if n.Ident[0] == "$" {
				add(n.Ident[1:])
			}
		case *parse.DotNode:
			if root {
				add(nil)
			}
		}
	})
	return found
}

// related reports whether one path leads through the other.
func related(a, b []string) bool {
	n := min(len(a), len(b))
	return slices.Equal(a[:n], b[:n])
}
