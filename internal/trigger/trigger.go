package trigger

import (
	"fmt"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
)

// Problem is something in a trigger that is wrong or can never fire.
type Problem struct { //nolint:errname // a finding; that it can be returned as an error is beside the point
	// Field is where, for example spec.when.event.filters[0].exact.
	Field string
	// Message is what is wrong.
	Message string
	// Hint is what to do.
	Hint string
}

// Error returns the whole in one line.
func (p Problem) Error() string {
	text := p.Field + ": " + p.Message
	if p.Hint != "" {
		text += "; " + p.Hint
	}
	return text
}

// InvalidError says what is wrong with a trigger.
type InvalidError struct{ Problems []Problem }

// Error returns all problems, one after the other.
func (e *InvalidError) Error() string {
	texts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		texts[i] = p.Error()
	}
	return strings.Join(texts, "\n")
}

// Compiled is a trigger that nothing is wrong with. It may be used by several
// goroutines.
type Compiled struct {
	trigger  *salvor.ActionTrigger
	filters  []filter
	schedule *Schedule
	coalesce time.Duration
	starts   int
	per      time.Duration

	texts weakTexts
}

// Compile prepares a trigger, which the caller does not change afterwards. If
// something is wrong with it, the error is an *InvalidError.
func Compile(t *salvor.ActionTrigger) (*Compiled, error) {
	c, problems := compile(t)
	if len(problems) > 0 {
		return nil, &InvalidError{Problems: problems}
	}
	return c, nil
}

// Check returns what is wrong with a trigger; nil if nothing is.
func Check(t *salvor.ActionTrigger) []Problem {
	_, problems := compile(t)
	return problems
}

// Match reports whether the event is one for the trigger. Suspension, deletion and
// the namespace that the event was addressed to are the caller's to look at.
func (c *Compiled) Match(e *cloudevents.Event) bool {
	if c.addressed(e) {
		return true
	}
	if len(c.filters) == 0 {
		return false
	}
	in := newInput(e)
	if in.own && (forOneTrigger(e.Type()) || prunes(e)) {
		return false
	}
	named := false
	for _, f := range c.filters {
		ok, names := f.match(in)
		if !ok {
			return false
		}
		named = named || names
	}
	return named || !in.own
}

// prunes reports whether the event tells of a run that removes a backup which a trigger
// does not keep. It is the end of a backup's life and no step of a chain: a trigger of
// all ends of runs would else find a loop in its own retention.
func prunes(e *cloudevents.Event) bool {
	value, err := e.Context.GetExtension(event.ExtPrunes)
	return err == nil && value != ""
}

// addressed reports whether the event is one that Salvor made for this trigger and
// no other.
func (c *Compiled) addressed(e *cloudevents.Event) bool {
	if e.Subject() == "" || e.Subject() != string(c.trigger.UID) {
		return false
	}
	when := &c.trigger.Spec.When
	name := "/" + c.trigger.Namespace + "/" + c.trigger.Name
	switch e.Type() {
	case event.TypeTick:
		return when.Schedule != nil && e.Source() == TickSource(c.trigger)
	case event.TypeAnnotation:
		return when.Kubernetes != nil && when.Kubernetes.Annotation != nil && e.Source() == event.SourceKubernetes+name
	case event.TypeObject:
		return when.Kubernetes != nil && when.Kubernetes.Event != nil && e.Source() == event.SourceKubernetes+name
	}
	return false
}

// forOneTrigger reports whether events of this type are for one trigger only.
func forOneTrigger(typ string) bool {
	return typ == event.TypeTick || typ == event.TypeAnnotation || typ == event.TypeObject
}

// Coalesce is the length of the window; 0 if each event makes its own ActionSet.
func (c *Compiled) Coalesce() time.Duration { return c.coalesce }

// RateLimit is how many starts are allowed within a time; 0, 0 if there is no limit.
func (c *Compiled) RateLimit() (starts int, per time.Duration) { return c.starts, c.per }

// Schedule is the trigger's schedule; nil if it has none.
func (c *Compiled) Schedule() *Schedule { return c.schedule }

// compiler collects what is found on the way.
type compiler struct {
	trigger  *salvor.ActionTrigger
	texts    *blueprint.Texts
	problems []Problem
	// templates counts those that were met.
	templates int
}

func (c *compiler) add(field, hint, format string, args ...any) {
	c.problems = append(c.problems, Problem{Field: field, Message: fmt.Sprintf(format, args...), Hint: hint})
}
