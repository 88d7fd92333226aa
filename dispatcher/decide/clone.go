package decide

import (
	"slices"

	"github.com/salvor-io/salvor/api/event"
)

// clone copies all of a run that Decide may write to. What it replaces whole and
// never writes into (specs, payloads, artifacts, outputs, labels) is shared.
func clone(run event.Run) event.Run {
	run.Cancel = copyOf(run.Cancel)
	run.Failure = copyOf(run.Failure)
	run.Actions = slices.Clone(run.Actions)
	for i := range run.Actions {
		a := &run.Actions[i]
		a.Blueprint, a.Params, a.Failure = copyOf(a.Blueprint), copyOf(a.Params), copyOf(a.Failure)
		a.StartedAt, a.EndedAt = copyOf(a.StartedAt), copyOf(a.EndedAt)
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
}

func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
