package blueprint

import (
	"errors"
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
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: line:"))
	}
	t.Funcs(template.FuncMap{stepFunc: func(cost int) (string, error) { return "", e.guard.spend(cost) }})
	for _, part := range t.Templates() {
		if part.Tree == nil || part.Root == nil {
			continue
		}
		if err := meter(part.Root); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// execute renders a template that this engine parsed.
func (e *engine) execute(t *template.Template, d any) (string, error) {
	e.guard.start()
	var out output
	if err := t.Execute(&out, d); err != nil {
		return "", err // explain does
	}
	return string(out.text), nil
}

// meter makes every turn of a loop, and every call of a template, pay for the
// nodes it may run.
func meter(list *parse.ListNode) error {
	costs := map[*parse.ListNode]int{list: callCost + stepCost*nodes(list)}
	walk(list, false, func(n parse.Node, _ bool) {
		if loop, ok := n.(*parse.RangeNode); ok {
			costs[loop.List] = stepCost * nodes(loop.List)
		}
	})
	for list, cost := range costs {
		if err := pay(list, cost); err != nil {
			return err
		}
	}
	return nil
}

// callCost is what a call of a template costs beside its nodes, so that they
// cannot nest some ten thousand deep, which takes hundreds of megabytes of stack.
const callCost = 4 << 10

func nodes(list *parse.ListNode) int {
	n := 0
	walk(list, false, func(parse.Node, bool) { n++ })
	return n
}

// pay makes the list begin with a step of that cost.
func pay(list *parse.ListNode, cost int) error {
	text := fmt.Sprintf("{{%s %d}}", stepFunc, cost)
	trees, err := parse.Parse("step", text, "", "", map[string]any{stepFunc: true})
	if err != nil {
		return fmt.Errorf("meter a template: %w", err)
	}
	list.Nodes = append([]parse.Node{trees["step"].Root.Nodes[0]}, list.Nodes...)
	return nil
}
