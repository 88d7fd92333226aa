package blueprint

import (
	"fmt"
	"sync"
	"text/template"
)

// Texts parses and renders templates that are not a blueprint's, such as those of
// an ActionTrigger, with the same functions and the same limits. It may be used by
// several goroutines; they take turns. It is large (some 100 KB), so whoever has
// many of them makes one when it is needed.
type Texts struct {
	mu     sync.Mutex
	engine *engine
	parsed map[string]*template.Template
}

// NewTexts returns an empty set.
func NewTexts() *Texts {
	return &Texts{engine: newEngine(), parsed: map[string]*template.Template{}}
}

// IsTemplate reports whether there is anything to render in the text.
func IsTemplate(text string) bool { return isTemplate(text) }

// Parse returns the fields that a template names, from its data on: .Event.id is
// [Event id]. If it does not parse, the error says why and hint what to do.
func (s *Texts) Parse(text string) (found [][]string, hint string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.parse(text)
	if err != nil {
		c := checker{engine: s.engine}
		return nil, c.hint(err.Error()), err
	}
	return paths(t), "", nil
}

// Render renders a template over values. The error says in words what is missing.
func (s *Texts) Render(text string, values map[string]any) (string, error) {
	if !isTemplate(text) {
		return text, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.parse(text)
	if err != nil {
		return "", fmt.Errorf("template does not parse: %w", err)
	}
	out, err := s.engine.execute(t, values)
	if err != nil {
		return "", explainOver(err, &data{}, values, false)
	}
	return out, nil
}

func (s *Texts) parse(text string) (*template.Template, error) {
	if t, ok := s.parsed[text]; ok {
		return t, nil
	}
	t, err := s.engine.parse(text)
	if err != nil {
		return nil, err
	}
	s.parsed[text] = t
	return t, nil
}
