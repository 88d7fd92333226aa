package decide

import (
	"fmt"

	"github.com/salvor-io/salvor/api/event"
)

// failPhase ends the phase with a failure and makes it the action's.
func (m *machine) failPhase(s step, state event.State, f *event.Failure) {
	if f == nil {
		f = &event.Failure{Reason: event.ReasonInternal, Message: "the runner reported a failure without saying which; see its log"}
	}
	own := event.Failure{Reason: f.Reason, Message: bound(f.Message, event.MessageLimit)}
	m.endPhase(s, state)
	s.phase.Failure = &own
	m.fail(s.action, event.Failure{Reason: f.Reason, Message: phaseLabel(s) + ": " + f.Message})
}

// stopPhase ends a phase that its runner stopped. That is a failure unless it was
// asked for: a cancel does not stop a deferPhase.
func (m *machine) stopPhase(s step, f *event.Failure) {
	if m.run.Cancel != nil && s.kind != event.KindDefer {
		m.endPhase(s, event.StateCancelled)
		return
	}
	if f == nil {
		f = &event.Failure{Reason: event.ReasonCancelled, Message: "the runner stopped it although nobody asked for that; see the runner's log"}
	}
	m.failPhase(s, event.StateCancelled, f)
}

// artifacts takes over what the last phase rendered.
func (m *machine) artifacts(s step, r event.Report) {
	if f := r.ArtifactsFailure; f != nil {
		after := " after " + phaseLabel(s) + " ended well"
		if s.kind == event.KindRender {
			after = ""
		}
		m.fail(s.action, event.Failure{Reason: f.Reason, Message: "output artifacts could not be rendered" + after + ": " + f.Message})
		return
	}
	size := artifactsSize(r.Artifacts)
	for i := range m.run.Actions {
		size += artifactsSize(m.run.Actions[i].Artifacts)
	}
	if size > ArtifactsLimit {
		m.fail(s.action, event.Failure{
			Reason: event.ReasonOutput,
			Message: fmt.Sprintf("output artifacts: with these the ActionSet's artifacts have %d bytes, the limit is %d; "+
				"keep large data in the object store and its path in the artifact", size, ArtifactsLimit),
		})
		return
	}
	m.run.Actions[s.action].Artifacts = r.Artifacts
}

// fail records a failure of the action, and of the run if it is the first.
func (m *machine) fail(index int, f event.Failure) {
	action := &m.run.Actions[index]
	label := fmt.Sprintf("action %q (actions[%d]): ", action.Spec.Name, index)
	// The run's failure is that of the action which failed first, and grows with it.
	first := m.run.Failure == nil || action.Failure != nil && *action.Failure == *m.run.Failure
	if action.Failure == nil {
		action.Failure = &event.Failure{Reason: f.Reason, Message: bound(label+f.Message, event.MessageLimit)}
	} else {
		// Half the room for each, so that neither pushes the other out.
		const half = event.MessageLimit / 2
		action.Failure = &event.Failure{
			Reason:  action.Failure.Reason,
			Message: bound(action.Failure.Message, half-1) + "; then " + bound(f.Message, half-len("; then ")),
		}
	}
	if first {
		own := *action.Failure
		m.run.Failure = &own
	}
}

// phaseLabel names a phase for a person.
func phaseLabel(s step) string {
	var label string
	switch s.kind {
	case event.KindCore:
		label = "phase"
	case event.KindDefer:
		label = "deferPhase"
	case event.KindRender:
		return "output artifacts"
	}
	if s.phase.Name != "" {
		label += fmt.Sprintf(" %q", s.phase.Name)
	}
	return label + " (" + s.phase.Func + ")"
}
