package decide

import (
	"slices"

	"github.com/salvor-io/salvor/api/event"
)

// clone copies all of a run that Decide may write to. What it replaces whole and
// never writes into (specs, payloads, artifacts, outputs, labels, policies) is
// shared.
func clone(run event.Run) event.Run {
	run.Cancel, run.Pause, run.Retry = copyOf(run.Cancel), copyOf(run.Pause), copyOf(run.Retry)
	run.Failure = copyOf(run.Failure)
	run.Actions = slices.Clone(run.Actions)
	for i := range run.Actions {
		a := &run.Actions[i]
		a.Blueprint, a.Params, a.Failure = copyOf(a.Blueprint), copyOf(a.Params), copyOf(a.Failure)
		a.StartedAt, a.EndedAt, a.Deadline = copyOf(a.StartedAt), copyOf(a.EndedAt), copyOf(a.Deadline)
		a.Phases = slices.Clone(a.Phases)
		for j := range a.Phases {
			clonePhase(&a.Phases[j])
		}
		a.DeferPhase, a.Render = copyOf(a.DeferPhase), copyOf(a.Render)
		clonePhase(a.DeferPhase)
		clonePhase(a.Render)
	}
	return run
}

func clonePhase(p *event.Phase) {
	if p == nil {
		return
	}
	p.Failure, p.Progress = copyOf(p.Failure), p.Progress.DeepCopy()
	p.StartedAt, p.EndedAt = copyOf(p.StartedAt), copyOf(p.EndedAt)
	p.Deadline, p.RetryAt = copyOf(p.Deadline), copyOf(p.RetryAt)
	p.Attempts = slices.Clone(p.Attempts)
}

func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
