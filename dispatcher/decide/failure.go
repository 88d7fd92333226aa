package decide

import (
	"fmt"

	"github.com/salvor-io/salvor/api/event"
)

// failAttempt ends the attempt that runs with a failure: it is made again later, as
// the phase's policy says, or the phase has failed.
func (m *machine) failAttempt(s step, state event.State, f *event.Failure) {
	if f == nil {
		f = &event.Failure{Reason: event.ReasonInternal, Message: "the runner reported a failure without saying which; see its log"}
	}
	at, note := m.again(s, f.Reason)
	if at == nil {
		m.failPhase(s, state, event.Failure{Reason: f.Reason, Message: f.Message + note})
		return
	}
	remember(s.phase, *f, m.now)
	s.phase.State, s.phase.EndedAt = event.StatePending, m.at()
	s.phase.Deadline, s.phase.RetryAt, s.phase.Progress = nil, at, nil
}

// failPhase ends the phase with a failure and makes it the action's.
func (m *machine) failPhase(s step, state event.State, f event.Failure) {
	m.endPhase(s, state)
	s.phase.Failure = &event.Failure{Reason: f.Reason, Message: bound(f.Message, event.MessageLimit)}
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
	m.failAttempt(s, event.StateCancelled, f)
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
