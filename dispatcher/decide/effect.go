package decide

import (
	"strconv"
	"time"

	"github.com/salvor-io/salvor/api/event"
)

// Effect is something the world must be told: a ClearCancel, a PublishJob, a
// MarkCancel, a SetTimer, a ClearTimer or an Emit. Each may be repeated without
// harm; ID says which are the same.
type Effect interface {
	// ID is unique for the effect and stable over restarts.
	ID() string
	effect()
}

// PublishJob asks for a job on JOBS.
type PublishJob struct{ Job event.Job }

// MarkCancel asks for the mark that makes runners stop the run's phases.
type MarkCancel struct{ UID string }

// ClearCancel takes back the mark of an earlier round: runners that are new would
// stop what goes on now because of it, and a new mark would not be seen.
type ClearCancel struct {
	UID string
	// Round of the retry, see event.Retry.
	Round int
}

// SetTimer asks for a Wake of the run at a time, in place of an earlier one. There
// is one timer for each run.
type SetTimer struct {
	Namespace, UID string
	At             time.Time
}

// ClearTimer says that the run which had a timer waits for no time any more. It is
// not implied by the state: one that is lost leaves a Wake that means nothing.
type ClearTimer struct{ Namespace, UID string }

// Emit asks for a lifecycle event on EVENTS.
type Emit struct {
	// Type is one of the event.Type constants.
	Type string
	// EventID is the CloudEvent's id.
	EventID string
	// At is when it happened.
	At        time.Time
	Lifecycle event.Lifecycle
}

// ID returns the job's key.
func (e PublishJob) ID() string { return "job/" + e.Job.Key.String() }

// ID returns the run's mark.
func (e MarkCancel) ID() string { return "cancel/" + e.UID }

// ID returns the run and the round.
func (e ClearCancel) ID() string { return "uncancel/" + e.UID + "/" + strconv.Itoa(e.Round) }

// ID returns the run and the time.
func (e SetTimer) ID() string { return "timer/" + e.UID + "/" + strconv.FormatInt(e.At.UnixNano(), 10) }

// ID returns the run.
func (e ClearTimer) ID() string { return "untimer/" + e.UID }

// ID returns the event's id.
func (e Emit) ID() string { return "event/" + e.EventID }

func (PublishJob) effect()  {}
func (MarkCancel) effect()  {}
func (ClearCancel) effect() {}
func (SetTimer) effect()    {}
func (ClearTimer) effect()  {}
func (Emit) effect()        {}

// Implied returns all effects that the run's state asks for, in the order in
// which they are to take place: marks taken back, jobs, marks, the timer, events.
func Implied(run *event.Run) []Effect {
	var effects, jobs, events []Effect
	for i := range run.Actions {
		for _, s := range steps(&run.Actions[i], i) {
			if s.phase.State == event.StateRunning {
				jobs = append(jobs, PublishJob{Job: job(run, s)})
			}
			if e, ok := phaseEvent(run, s); ok {
				events = append(events, e)
			}
		}
	}
	open := !run.State.Terminal()
	if open && run.Retry != nil && run.Cancel == nil {
		effects = append(effects, ClearCancel{UID: run.UID, Round: run.Retry.Round})
	}
	effects = append(effects, jobs...)
	if open && run.Cancel != nil {
		effects = append(effects, MarkCancel{UID: run.UID})
	}
	if at, ok := wakeAt(run); ok {
		effects = append(effects, SetTimer{Namespace: run.Namespace, UID: run.UID, At: at})
	}
	if e, ok := runEvent(run); ok {
		events = append(events, e)
	}
	return append(effects, events...)
}

// owed returns what after implies and before did not.
func owed(before, after *event.Run) []Effect {
	known := map[string]bool{}
	for _, e := range Implied(before) {
		known[e.ID()] = true
	}
	var effects []Effect
	for _, e := range Implied(after) {
		if !known[e.ID()] {
			effects = append(effects, e)
		}
	}
	_, had := wakeAt(before)
	if _, has := wakeAt(after); had && !has {
		effects = append(effects, ClearTimer{Namespace: after.Namespace, UID: after.UID})
	}
	return effects
}

func job(run *event.Run, s step) event.Job {
	action := &run.Actions[s.action]
	return event.Job{
		Key:             key(run, s),
		ActionSet:       run.Name,
		PhaseName:       s.phase.Name,
		Func:            s.phase.Func,
		RenderArtifacts: rendersArtifacts(action, s),
	}
}

// rendersArtifacts reports whether the step's job ends the good path of an action
// that has output artifacts. It is asked while the step runs.
func rendersArtifacts(action *event.Action, s step) bool {
	if !action.RenderArtifacts {
		return false
	}
	switch s.kind {
	case event.KindCore:
		return action.DeferPhase == nil && s.index == len(action.Phases)-1
	case event.KindDefer:
		return coreComplete(action)
	case event.KindRender:
		return true
	}
	return false
}

// phaseEvent tells how a phase ended. A run of one phase says it all with its own
// event.
func phaseEvent(run *event.Run, s step) (Emit, bool) {
	action := &run.Actions[s.action]
	phases := len(action.Phases)
	if action.DeferPhase != nil {
		phases++
	}
	if len(run.Actions) == 1 && phases <= 1 {
		return Emit{}, false
	}
	told, ok := event.PhaseEnded(run, key(run, s), s.phase)
	return emit(told), ok
}

func runEvent(run *event.Run) (Emit, bool) {
	told, ok := event.RunEnded(run)
	return emit(told), ok
}

func emit(t event.Told) Emit {
	return Emit{Type: t.Type, EventID: t.ID, At: t.At, Lifecycle: t.Lifecycle}
}
