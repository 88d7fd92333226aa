package decide

import (
	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// step is one phase of an action, of any kind, in its place.
type step struct {
	action int
	kind   event.PhaseKind
	index  int
	phase  *event.Phase
}

// steps returns the phases of an action in the order in which they run.
func steps(action *event.Action, index int) []step {
	all := make([]step, 0, len(action.Phases)+1)
	for i := range action.Phases {
		all = append(all, step{action: index, kind: event.KindCore, index: i, phase: &action.Phases[i]})
	}
	if action.DeferPhase != nil {
		all = append(all, step{action: index, kind: event.KindDefer, phase: action.DeferPhase})
	}
	if action.Render != nil {
		all = append(all, step{action: index, kind: event.KindRender, phase: action.Render})
	}
	return all
}

// key names the step's current attempt.
func key(run *event.Run, s step) event.Key {
	return event.Key{
		UID: run.UID, Namespace: run.Namespace,
		Action: s.action, Kind: s.kind, Phase: s.index, Attempt: s.phase.Attempt,
	}
}

// Ready returns the keys that the phases which wait for a slot will have, at most
// one for each action.
func Ready(run *event.Run) []event.Key {
	var keys []event.Key
	for i := range run.Actions {
		if s, ok := next(run, i); ok {
			k := key(run, s)
			k.Attempt++
			keys = append(keys, k)
		}
	}
	return keys
}

// next returns the phase of the action that is to run now, if there is one.
func next(run *event.Run, index int) (step, bool) {
	s, ok := following(run, index)
	return s, ok && s.phase.RetryAt == nil && (run.Pause == nil || s.kind == event.KindDefer)
}

// following returns the phase that comes after what ran, though a pause or a
// backoff may hold it up. While a phase runs there is none.
func following(run *event.Run, index int) (step, bool) {
	action := &run.Actions[index]
	if action.State != event.StateRunning {
		return step{}, false
	}
	if _, ok := running(action, index); ok {
		return step{}, false
	}
	for _, s := range steps(action, index) {
		if s.phase.State == event.StatePending && due(run, action, s.kind) {
			return s, true
		}
	}
	return step{}, false
}

// running returns the phase of the action that runs.
func running(action *event.Action, index int) (step, bool) {
	for _, s := range steps(action, index) {
		if s.phase.State == event.StateRunning {
			return s, true
		}
	}
	return step{}, false
}

// due reports whether a pending phase of the kind may run after all that ran
// before it.
func due(run *event.Run, action *event.Action, kind event.PhaseKind) bool {
	goesOn := action.Failure == nil && run.Cancel == nil
	switch kind {
	case event.KindCore, event.KindRender:
		return goesOn
	case event.KindDefer:
		// In a round in which no core phase is left, the deferPhase is what there
		// is to do.
		return coreStarted(action) || coreComplete(action) && goesOn
	}
	return false
}

// coreStarted reports whether a core phase ran since the run was last asked to go
// on, or before its record was lost.
func coreStarted(action *event.Action) bool {
	for i := range action.Phases {
		if p := &action.Phases[i]; p.Attempt > p.Base {
			return true
		}
	}
	return startedBefore(action)
}

// startedBefore reports whether a phase had started when the run's record was
// lost.
func startedBefore(action *event.Action) bool {
	if action.Recovered == nil {
		return false
	}
	for i := range action.Recovered.Phases {
		switch action.Recovered.Phases[i].State {
		case "", kanister.StatePending:
		case kanister.StateRunning, kanister.StateComplete, kanister.StateFailed:
			return true
		}
	}
	return false
}

func coreComplete(action *event.Action) bool {
	for i := range action.Phases {
		if action.Phases[i].State != event.StateComplete {
			return false
		}
	}
	return true
}

// find returns the step a report is about, if its attempt is the running one.
func find(run *event.Run, k event.Key) (step, bool) {
	if k.UID != run.UID || k.Action < 0 || k.Action >= len(run.Actions) {
		return step{}, false
	}
	for _, s := range steps(&run.Actions[k.Action], k.Action) {
		if s.kind == k.Kind && s.index == k.Phase {
			return s, s.phase.State == event.StateRunning && s.phase.Attempt == k.Attempt
		}
	}
	return step{}, false
}
