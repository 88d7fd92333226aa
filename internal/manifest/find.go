package manifest

import (
	"fmt"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// Place is what is to be found in a document.
type Place struct {
	// Path of keys (string) and indexes (int).
	Path []any
	// Key: the key, not the value.
	Key bool
	// Line and Column are where in the text of the value, from 1 on; 0 is unknown.
	Line, Column int
}

// Position of a place. Of what is not there it is that of the nearest thing around it.
func (d *Document) Position(p Place) Position {
	found := d.find(p.Path)
	if found.value == nil {
		return d.Start()
	}
	if p.Line > 0 && found.whole && !p.Key && found.value.Kind == yaml.ScalarNode {
		return d.inside(found.value, p.Line, p.Column)
	}
	if found.key != nil && (p.Key || !found.whole || found.value.Kind != yaml.ScalarNode) {
		return d.position(found.key.Line, found.key.Column)
	}
	return d.position(found.value.Line, found.value.Column)
}

// inside is a position in the text of a scalar, as far as its style lets one tell.
func (d *Document) inside(n *yaml.Node, line, column int) Position {
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		row := n.Line + line
		if row > len(d.source) {
			break
		}
		return d.position(row, d.indent(n, row)+max(column, 1))
	case line == 1 && column > 0 && n.Style&yaml.FoldedStyle == 0:
		quote := 0
		if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
			quote = 1
		}
		at := n.Column + quote + column - 1
		if n.Line <= len(d.source) && at <= len(d.source[n.Line-1]) {
			return d.position(n.Line, at)
		}
	}
	return d.position(n.Line, n.Column)
}

// indent is how far a block is indented: as far as its first line with something on it.
func (d *Document) indent(n *yaml.Node, row int) int {
	for _, text := range d.source[n.Line:row] {
		if trimmed := strings.TrimLeft(text, " "); strings.TrimSpace(trimmed) != "" {
			return len(text) - len(trimmed)
		}
	}
	return 0
}

// found is where a path leads.
type found struct {
	key, value *yaml.Node
	// whole: to its end.
	whole bool
}

// find goes down a path as far as it can.
func (d *Document) find(path []any) found {
	at := found{value: d.root, whole: true}
	for _, step := range path {
		if at.value == nil {
			return at
		}
		key, value := child(at.value, step, 0)
		if value == nil {
			at.whole = false
			return at
		}
		// An element of a list is found by itself.
		at.key, at.value = key, value
	}
	return at
}

// maxAliases bounds how aliases lead to aliases.
const maxAliases = 32

func child(n *yaml.Node, step any, depth int) (key, value *yaml.Node) {
	if depth > maxAliases {
		return nil, nil
	}
	switch {
	case n.Kind == yaml.AliasNode && n.Alias != nil:
		return child(n.Alias, step, depth+1)
	case n.Kind == yaml.SequenceNode:
		if i, ok := step.(int); ok && i >= 0 && i < len(n.Content) {
			return nil, n.Content[i]
		}
	case n.Kind == yaml.MappingNode:
		name := fmt.Sprint(step)
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return n.Content[i], n.Content[i+1]
			}
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Tag != "!!merge" {
				continue
			}
			merged := []*yaml.Node{n.Content[i+1]}
			if merged[0].Kind == yaml.SequenceNode {
				merged = merged[0].Content
			}
			for _, m := range merged {
				if key, value := child(m, step, depth+1); value != nil {
					return key, value
				}
			}
		}
	}
	return nil, nil
}
