package decide

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// takeOver brings an action whose record was lost to where the ActionSet's status
// says that it was. It stops at the first phase that did not end well, or that the
// blueprint now calls otherwise.
func (m *machine) takeOver(index int, plan Plan) {
	action := &m.run.Actions[index]
	was := action.Recovered
	if was == nil {
		return
	}
	for i := range action.Phases {
		action.Phases[i].Attempt = max(plan.Phases[i].Attempt-1, 0) // Release makes it the one whose pod is there
	}
	over := true
	for i := range action.Phases {
		if i >= len(was.Phases) || was.Phases[i].Name != action.Phases[i].Name {
			over = false
			break
		}
		s := step{action: index, kind: event.KindCore, index: i, phase: &action.Phases[i]}
		if over = m.takeOverPhase(s, was.Phases[i], plan.Phases[i]); !over {
			break
		}
	}
	if d := action.DeferPhase; d != nil {
		d.Attempt = max(plan.Defer.Attempt-1, 0)
		if was.DeferPhase != nil && (over || action.Failure != nil) {
			m.takeOverPhase(step{action: index, kind: event.KindDefer, phase: d}, *was.DeferPhase, *plan.Defer)
		}
	}
	done := coreComplete(action) && (action.DeferPhase == nil || action.DeferPhase.State == event.StateComplete)
	if done && action.RenderArtifacts && action.Render == nil {
		action.Render = &event.Phase{State: event.StatePending}
	}
}

// takeOverPhase reports whether the phase had ended well.
func (m *machine) takeOverPhase(s step, was kanister.Phase, plan PhasePlan) bool {
	ran := max(plan.Attempt, 1)
	switch was.State {
	case kanister.StateComplete:
		s.phase.Attempt, s.phase.Output = ran, payload(was.Output)
		m.endPhase(s, event.StateComplete)
		return true
	case kanister.StateFailed: // all its attempts were made
		s.phase.Attempt = ran
		m.failPhase(s, event.StateFailed, event.Failure{
			Reason: event.ReasonFailed, Message: "it had failed before the record of the run was lost; the reason was lost with it",
		})
	case kanister.StateRunning:
		if plan.Once {
			s.phase.Attempt = ran
			m.failAttempt(s, event.StateFailed, &event.Failure{
				Reason: event.ReasonInterrupted,
				Message: "it was running when the record of the run was lost or its engine left it, and " + plan.Func +
					" may not be run again without knowing how far it came; look at what it did, then retry the run",
			})
		}
	case kanister.StatePending, "":
	}
	return false
}

// payload is an output as the status has it. What was too large for a status comes
// back as the excerpt that stood there.
func payload(output kanister.JSONMap) *event.Payload {
	if len(output) == 0 {
		return nil
	}
	data, err := json.Marshal(output)
	if err != nil {
		return nil // it came as JSON
	}
	sum := sha256.Sum256(data)
	return &event.Payload{Inline: data, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: len(data)}
}
