package blueprint

import (
	"fmt"
	"text/template"
)

// Condition is a template that is no argument of a blueprint, but the condition of
// a Wait: it is rendered on other data, again and again, within the same bounds.
// It is not for use by more than one goroutine at a time.
type Condition struct {
	engine   *engine
	template *template.Template
}

// ParseCondition parses a condition. Without functions it may call those of
// blueprints' templates; with functions it may call those only, and text/template's
// own. A missing key is no error, as in Kanister and kubectl.
func ParseCondition(text string, funcs template.FuncMap) (*Condition, error) {
	e := newEngine()
	if funcs != nil {
		e.funcs = printers(e.guard)
		for name, fn := range funcs {
			e.funcs[name] = e.guard.wrap(name, fn)
		}
	}
	t, err := e.parse(text)
	if err != nil {
		return nil, fmt.Errorf("template does not parse: %w", err)
	}
	return &Condition{engine: e, template: t.Option("missingkey=zero")}, nil
}

// Render renders the condition on data. Errors do not quote values.
func (c *Condition) Render(data any) (string, error) {
	text, err := c.engine.execute(c.template, data)
	if err == nil {
		return text, nil
	}
	return "", explain(err, nil, true)
}
