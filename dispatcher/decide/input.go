package decide

import "github.com/salvor-io/salvor/api/event"

// Input is something that happened: a Start, a Refuse, a Release or a Report.
type Input interface{ input() }

// Start says that a pending action was planned: its blueprint is pinned and its
// template parameters are resolved. It starts no phase; Release does.
type Start struct {
	// Action is an index into Run.Actions.
	Action int
	Plan   Plan
}

// Plan is what an action is going to do.
type Plan struct {
	Blueprint event.BlueprintRef
	Params    event.Payload
	Phases    []PhasePlan
	// Defer is nil when the blueprint's action has no deferPhase.
	Defer *PhasePlan
	// Artifacts says that the blueprint's action names output artifacts.
	Artifacts bool
}

// PhasePlan is one phase of a plan.
type PhasePlan struct {
	Name string
	Func string
}

// Refuse says that a pending action cannot be planned, now or later.
type Refuse struct {
	Action  int
	Failure event.Failure
}

// Release gives the action a slot for the phase that Ready names.
type Release struct {
	Action int
}

// Report is a message of REPORTS, a request to cancel among them.
type Report struct {
	event.Report
}

func (Start) input()   {}
func (Refuse) input()  {}
func (Release) input() {}
func (Report) input()  {}
