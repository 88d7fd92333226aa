package decide

import "github.com/salvor-io/salvor/api/event"

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
	action := &run.Actions[index]
	if action.State != event.StateRunning {
		return step{}, false
	}
	all := steps(action, index)
	for _, s := range all {
		if s.phase.State == event.StateRunning {
			return step{}, false
		}
	}
	for _, s := range all {
		if s.phase.State == event.StatePending && due(run, action, s.kind) {
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
		// Without core phases the deferPhase is all there is to the action.
		return coreStarted(action) || len(action.Phases) == 0 && goesOn
	}
	return false
}

func coreStarted(action *event.Action) bool {
	return len(action.Phases) > 0 && action.Phases[0].State != event.StatePending
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
