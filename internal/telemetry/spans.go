package telemetry

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// Span is a span that has ended.
type Span struct {
	Name string
	ID   trace.SpanID
	// Parent has the trace and, unless the span is its root, the span above.
	Parent trace.SpanContext
	// Root says that the span has no parent.
	Root       bool
	Start, End time.Time
	// Failed is the reason for which it failed, a word; empty if it did not.
	Failed     string
	Attributes []attribute.KeyValue
}

// Accepted is the span from the creation of an ActionSet until it is a run.
func Accepted(run *event.Run, created time.Time) Span {
	attributes := about(run)
	for key, annotation := range map[string]string{
		"salvor.event.id": salvor.AnnotationEventID, "salvor.event.source": salvor.AnnotationEventSource,
		"salvor.event.type": salvor.AnnotationEventType,
	} {
		if value := run.Annotations[annotation]; value != "" {
			attributes = append(attributes, attribute.String(key, value))
		}
	}
	return Span{
		Name: "accept", ID: spanID("accept", run.UID), Parent: contextOf(run),
		Start: created, End: run.CreatedAt, Attributes: attributes,
	}
}

// Ended returns the spans of what ended between two states of a run, innermost first.
func Ended(before, after *event.Run) []Span {
	var spans []Span
	for i := range after.Actions {
		a := &after.Actions[i]
		old := &event.Action{}
		if i < len(before.Actions) {
			old = &before.Actions[i]
		}
		parent := contextOf(after).WithSpanID(actionID(after.UID, i, round(after)))
		for _, p := range pairs(old, a) {
			p.key.UID, p.key.Namespace, p.key.Action = after.UID, after.Namespace, i
			if s, ok := attempt(after, p); ok {
				s.Parent = parent
				spans = append(spans, s)
			}
		}
		if a.State.Terminal() && !old.State.Terminal() {
			spans = append(spans, action(after, i))
		}
	}
	if after.State.Terminal() && !before.State.Terminal() {
		spans = append(spans, whole(after))
	}
	return spans
}

// pair is a phase before and after.
type pair struct {
	key        event.Key
	old, phase *event.Phase
}

func pairs(old, a *event.Action) []pair {
	var out []pair
	add := func(kind event.PhaseKind, index int, before, phase *event.Phase) {
		if phase == nil {
			return
		}
		if before == nil {
			before = &event.Phase{}
		}
		out = append(out, pair{key: event.Key{Kind: kind, Phase: index}, old: before, phase: phase})
	}
	for i := range a.Phases {
		var before *event.Phase
		if i < len(old.Phases) {
			before = &old.Phases[i]
		}
		add(event.KindCore, i, before, &a.Phases[i])
	}
	add(event.KindDefer, 0, old.DeferPhase, a.DeferPhase)
	add(event.KindRender, 0, old.Render, a.Render)
	return out
}

// attempt is the span of the attempt that ended, if one did.
func attempt(run *event.Run, p pair) (Span, bool) {
	now, before := p.phase, p.old
	started, number := before.StartedAt, before.Attempt
	switch {
	case before.State == event.StateRunning && (now.State != event.StateRunning || now.Attempt != before.Attempt):
	case before.State != event.StateRunning && now.State.Terminal() && now.Attempt > before.Attempt:
		started, number = now.StartedAt, now.Attempt // it began and ended in one step
	default:
		return Span{}, false
	}
	p.key.Attempt = number
	s := Span{
		Name: "phase " + phaseName(p), ID: attemptID(p.key), End: run.UpdatedAt,
		Attributes: append(about(run),
			attribute.String("salvor.action", run.Actions[p.key.Action].Spec.Name),
			attribute.String("salvor.phase", phaseName(p)),
			attribute.String("salvor.func", now.Func),
			attribute.Int("salvor.attempt", number)),
	}
	state := event.StateFailed
	if now.State.Terminal() && now.Attempt == number {
		state = now.State
		s.Failed = failure(state, now.Failure)
		s.End = timeOr(now.EndedAt, s.End)
	} else { // it is tried again
		s.Failed = failure(state, nil)
		for i := range now.Attempts {
			if r := &now.Attempts[i]; r.Attempt == number {
				s.Failed, s.End = failure(state, &r.Failure), r.EndedAt
			}
		}
	}
	s.Start = timeOr(started, s.End)
	s.Attributes = append(s.Attributes, attribute.String("salvor.state", string(state)))
	return s, true
}

func phaseName(p pair) string {
	switch {
	case p.phase.Name != "":
		return p.phase.Name
	case p.key.Kind == event.KindDefer:
		return "deferPhase"
	}
	return string(p.key.Kind)
}

func action(run *event.Run, i int) Span {
	a := &run.Actions[i]
	s := Span{
		Name: "action " + a.Spec.Name, ID: actionID(run.UID, i, round(run)),
		Parent: contextOf(run).WithSpanID(runID(run.UID, round(run))),
		End:    timeOr(a.EndedAt, run.UpdatedAt), Failed: failure(a.State, a.Failure),
		Attributes: append(about(run),
			attribute.String("salvor.action", a.Spec.Name),
			attribute.String("salvor.blueprint", a.Spec.Blueprint),
			attribute.String("salvor.state", string(a.State))),
	}
	s.Start = since(run, timeOr(a.StartedAt, s.End))
	return s
}

func whole(run *event.Run) Span {
	name := "run"
	if len(run.Actions) > 0 {
		name += " " + run.Actions[0].Spec.Name
	}
	s := Span{
		Name: name, ID: runID(run.UID, round(run)), Parent: contextOf(run),
		Start: since(run, run.CreatedAt), End: run.UpdatedAt, Failed: failure(run.State, run.Failure),
		Attributes: append(about(run), attribute.String("salvor.state", string(run.State)), attribute.Int("salvor.round", round(run))),
	}
	s.Root = s.Parent.SpanID() == s.ID // the context was made from the UID
	return s
}

func about(run *event.Run) []attribute.KeyValue {
	attributes := []attribute.KeyValue{
		attribute.String("salvor.run", run.UID),
		attribute.String("k8s.namespace.name", run.Namespace),
		attribute.String("salvor.actionset", run.Name),
	}
	if trigger := run.Labels[salvor.LabelTrigger]; trigger != "" {
		attributes = append(attributes, attribute.String("salvor.trigger", trigger))
	}
	return attributes
}

func round(run *event.Run) int {
	if run.Retry == nil {
		return 0
	}
	return run.Retry.Round
}

// since is t, but not before the round began.
func since(run *event.Run, t time.Time) time.Time {
	if run.Retry != nil && run.Retry.At.After(t) {
		return run.Retry.At
	}
	return t
}

// failure is empty for what ended well.
func failure(state event.State, f *event.Failure) string {
	switch {
	case state == event.StateComplete:
		return ""
	case f != nil:
		return string(f.Reason)
	case state == event.StateCancelled:
		return string(event.ReasonCancelled)
	}
	return string(event.ReasonFailed)
}

func timeOr(t *time.Time, other time.Time) time.Time {
	if t == nil {
		return other
	}
	return *t
}
