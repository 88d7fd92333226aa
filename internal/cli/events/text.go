package events

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/salvor-io/salvor/api/event"
)

// text is an event on one line for a person.
func text(e *cloudevents.Event) string {
	var l event.Lifecycle
	if err := e.DataAs(&l); err != nil || l.UID == "" {
		return clean(fmt.Sprintf("%s  %s  %s %s", stamp(e.Time()), e.Subject(), e.Type(), e.ID()))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s/%s  ", stamp(e.Time()), l.Namespace, l.ActionSet)
	if l.Kind != "" {
		fmt.Fprintf(&b, "phase %s: %s", l.State, phase(&l))
		if l.Attempt > 1 {
			fmt.Fprintf(&b, " (attempt %d)", l.Attempt)
		}
	} else {
		fmt.Fprintf(&b, "run %s: %s", l.State, actions(&l))
	}
	if l.StartedAt != nil && l.EndedAt != nil {
		fmt.Fprintf(&b, ", took %s", l.EndedAt.Sub(*l.StartedAt).Round(100*time.Millisecond))
	}
	if l.Trigger != "" {
		fmt.Fprintf(&b, ", by %s", l.Trigger)
	}
	if l.Failure != nil {
		fmt.Fprintf(&b, ": %s: %s", l.Failure.Reason, l.Failure.Message)
	}
	return clean(b.String())
}

func phase(l *event.Lifecycle) string {
	name := l.Phase
	switch {
	case name == "" && l.Kind == event.KindDefer:
		name = "deferPhase"
	case name == "":
		name = "output artifacts"
	}
	return l.Action + " " + name
}

// actions names the first action and how many there are besides it.
func actions(l *event.Lifecycle) string {
	text := l.Action
	if text == "" {
		text = "no action"
	}
	if o := l.Object; o != nil {
		text += " " + strings.Trim(o.Kind+" "+strings.Trim(o.Namespace+"/"+o.Name, "/"), " ")
	}
	if l.Blueprint != "" {
		text += " with " + l.Blueprint
	}
	if n := len(l.Actions); n > 1 {
		text += fmt.Sprintf(" and %d more", n-1)
	}
	return text
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05Z") }

// clean is text on one line, without what moves the cursor.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}
