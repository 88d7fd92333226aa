package blueprint

import (
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"
)

// stepFunc is the name under which templates are made to call guard.spend. It is
// known only after the text is parsed, so no text can call it.
const stepFunc = "salvorStep"

// engine parses and renders templates. It is not for use by more than one
// goroutine at a time.
type engine struct {
	guard *guard
	funcs template.FuncMap
}

func newEngine() *engine {
	g := &guard{}
	return &engine{guard: g, funcs: functions(g)}
}

// isTemplate reports whether there is anything to render in the text.
func isTemplate(text string) bool { return strings.Contains(text, "{{") }

// parse parses a text. Its errors are text/template's, without the name.
func (e *engine) parse(text string) (*template.Template, error) {
	t, err := template.New("line").Option("missingkey=error").Funcs(e.funcs).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "template: line:")) //nolint:err113 // text/template has no types for these
	}
	return t, nil
}

// execute renders a template that was parsed.
func (e *engine) execute(t *template.Template, d *data) (string, error) {
	t.Funcs(template.FuncMap{stepFunc: func(cost int) (string, error) { return "", e.guard.spend(cost) }})
	for _, part := range t.Templates() {
		if part.Tree == nil || part.Root == nil {
			continue
		}
		if err := meter(part.Root); err != nil {
			return "", err
		}
	}
	e.guard.start()
	var out output
	if err := t.Execute(&out, d); err != nil {
		return "", err //nolint:wrapcheck // explain does
	}
	return string(out.text), nil
}

// meter makes every turn of a loop, and every call of a template, pay for the
// nodes it may run.
func meter(list *parse.ListNode) error {
	var failed error
	var nested []*parse.ListNode
	nodes := 1
	walk(list, false, func(n parse.Node, _ bool) {
		nodes++
		if r, ok := n.(*parse.RangeNode); ok {
			nested = append(nested, r.List)
		}
	})
	for _, inner := range nested {
		if err := meterOne(inner, count(inner)); err != nil {
			failed = err
		}
	}
	if err := meterOne(list, nodes); err != nil {
		failed = err
	}
	return failed
}

func count(list *parse.ListNode) int {
	nodes := 1
	walk(list, false, func(parse.Node, bool) { nodes++ })
	return nodes
}

func meterOne(list *parse.ListNode, nodes int) error {
	text := fmt.Sprintf("{{%s %d}}", stepFunc, nodes*stepCost)
	trees, err := parse.Parse("step", text, "", "", map[string]any{stepFunc: true})
	if err != nil {
		return fmt.Errorf("meter a template: %w", err)
	}
	list.Nodes = append([]parse.Node{trees["step"].Root.Nodes[0]}, list.Nodes...)
	return nil
}
