package decide

import (
	"time"

	"github.com/salvor-io/salvor/api/event"
)

// Input is something that happened: a Start, a Refuse, a Release, a Report or a
// Wake.
type Input interface{ input() }

// Start says that a pending action was planned: its blueprint is pinned and its
// template parameters are resolved. It starts no phase; Release does. While the
// run is paused it means nothing: the action is planned again at its next turn.
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
	// Timeout of the core phases together, backoff included; 0 is none.
	Timeout time.Duration
}

// PhasePlan is one phase of a plan.
type PhasePlan struct {
	Name string
	Func string
	// Policy is nil for one attempt without a time limit.
	Policy *event.Policy
	// Once says that the function may not be run again when it is not known how
	// far it came. It counts for an action that is recovered only.
	Once bool
	// Attempt is the highest attempt of which a pod is there. It counts for an
	// action that is recovered only.
	Attempt int
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

// Report is a message of REPORTS: what a runner says, or a request to cancel, to
// pause, to resume or to retry.
type Report struct {
	event.Report
}

// Wake says that a time may have come. What the run waits for is in its state, so
// a Wake that comes early, late, twice or for another reason does no harm.
type Wake struct{}

func (Start) input()   {}
func (Refuse) input()  {}
func (Release) input() {}
func (Report) input()  {}
func (Wake) input()    {}
