package decide

import (
	"reflect"
	"time"

	"github.com/salvor-io/salvor/api/event"
)

// Decision is what an input makes of a run.
type Decision struct {
	// Run is the new state. It shares with the old one only what nobody ever
	// writes: specs, payloads, artifacts.
	Run event.Run
	// Changed is false when the input means nothing for this state; Run is then
	// as it was.
	Changed bool
	// Effects are to take place after Run was stored, in order.
	Effects []Effect
}

// Decide returns what in makes of run at the time now. It never changes run. A
// terminal run changes only when it is asked to go on.
func Decide(run event.Run, in Input, now time.Time) Decision {
	m := machine{run: clone(run), now: now}
	if run.State.Terminal() && !asksToGoOn(in) || !m.take(in) {
		return Decision{Run: run}
	}
	m.settle()
	m.run.UpdatedAt = now
	return Decision{Run: m.run, Changed: true, Effects: owed(&run, &m.run)}
}

// machine is a run while it is being decided upon.
type machine struct {
	run event.Run
	now time.Time
}

// take reports whether the input changed the run.
func (m *machine) take(in Input) bool {
	if len(m.run.Actions) == 0 {
		return !m.run.State.Terminal() // settle ends it
	}
	switch in := in.(type) {
	case Start:
		return m.start(in)
	case Refuse:
		return m.refuse(in)
	case Release:
		return m.release(in.Action)
	case Report:
		return m.report(in.Report)
	case Wake:
		return m.wake()
	}
	return false
}

func (m *machine) start(in Start) bool {
	action, ok := m.pending(in.Action)
	if !ok || m.run.Pause != nil {
		return false
	}
	blueprint, params := in.Plan.Blueprint, in.Plan.Params
	action.State, action.StartedAt = event.StateRunning, m.at()
	action.Blueprint, action.Params = &blueprint, &params
	action.RenderArtifacts = in.Plan.Artifacts
	action.Timeout.Duration = in.Plan.Timeout
	action.Phases = nil
	for _, p := range in.Plan.Phases {
		action.Phases = append(action.Phases, newPhase(p))
	}
	if in.Plan.Defer != nil {
		p := newPhase(*in.Plan.Defer)
		action.DeferPhase = &p
	}
	if len(action.Phases) == 0 && action.DeferPhase == nil && in.Plan.Artifacts {
		p := newPhase(PhasePlan{})
		action.Render = &p
	}
	m.takeOver(in.Action, in.Plan)
	m.endIfIdle(in.Action)
	return true
}

func (m *machine) refuse(in Refuse) bool {
	action, ok := m.pending(in.Action)
	if !ok {
		return false
	}
	m.fail(in.Action, in.Failure)
	m.end(action, event.StateFailed)
	return true
}

func (m *machine) release(index int) bool {
	if index < 0 || index >= len(m.run.Actions) {
		return false
	}
	s, ok := next(&m.run, index)
	if !ok {
		return false
	}
	if m.tooLate(s) {
		m.expire(s)
		m.goOn(index)
		return true
	}
	s.phase.State, s.phase.StartedAt, s.phase.EndedAt = event.StateRunning, m.at(), nil
	s.phase.Attempt++
	m.limit(s)
	return true
}

func (m *machine) report(r event.Report) bool {
	switch r.Kind {
	case event.ReportCancel, event.ReportPause, event.ReportResume, event.ReportRetry:
		return r.Key.UID == m.run.UID && m.request(r)
	case event.ReportProgress, event.ReportSucceeded, event.ReportFailed, event.ReportCancelled:
		s, ok := find(&m.run, r.Key)
		return ok && m.outcome(s, r)
	}
	return false // a kind that a newer program knows
}

// outcome takes what a runner says of the attempt that runs.
func (m *machine) outcome(s step, r event.Report) bool {
	switch r.Kind {
	case event.ReportProgress:
		if r.Progress == nil || reflect.DeepEqual(s.phase.Progress, r.Progress) {
			return false
		}
		s.phase.Progress = r.Progress.DeepCopy()
		return true
	case event.ReportSucceeded:
		asked := rendersArtifacts(&m.run.Actions[s.action], s)
		m.endPhase(s, event.StateComplete)
		s.phase.Output, s.phase.Excerpt = r.Output, boundExcerpt(r.Excerpt)
		if asked {
			m.artifacts(s, r)
		}
	case event.ReportFailed:
		m.failAttempt(s, event.StateFailed, r.Failure)
	case event.ReportCancelled:
		m.stopPhase(s, r.Failure)
	case event.ReportCancel, event.ReportPause, event.ReportResume, event.ReportRetry:
		return false // requests are not about a step
	}
	m.goOn(s.action)
	return true
}

// goOn releases the action's next phase, or ends the action if none is left. The
// action has its slot, or what follows is its deferPhase, which waits for none.
func (m *machine) goOn(index int) {
	if !m.release(index) {
		m.endIfIdle(index)
	}
}

// endIfIdle ends an action of which nothing runs and nothing is to run, now or
// later.
func (m *machine) endIfIdle(index int) {
	action := &m.run.Actions[index]
	if action.State != event.StateRunning {
		return
	}
	if _, ok := running(action, index); ok {
		return
	}
	if _, ok := following(&m.run, index); ok {
		return
	}
	state := event.StateComplete
	for _, s := range steps(action, index) {
		if s.phase.State != event.StateComplete {
			state = event.StateCancelled
		}
	}
	if action.Failure != nil {
		state = event.StateFailed
	}
	m.end(action, state)
}

// settle derives the run's state from its actions.
func (m *machine) settle() {
	if len(m.run.Actions) == 0 {
		m.run.State = event.StateFailed
		m.run.Failure = &event.Failure{
			Reason: event.ReasonInvalid, Message: "the ActionSet has no actions; give it at least one in spec.actions",
		}
		return
	}
	ended, failed, begun := true, false, false
	for i := range m.run.Actions {
		state := m.run.Actions[i].State
		ended = ended && state.Terminal()
		failed = failed || state == event.StateFailed
		begun = begun || state != event.StatePending
	}
	switch {
	case ended && m.run.Cancel != nil:
		m.run.State = event.StateCancelled
	case ended && failed:
		m.run.State = event.StateFailed
	case ended:
		m.run.State = event.StateComplete
	case begun:
		m.run.State = event.StateRunning
	}
	if m.run.State.Terminal() {
		m.run.Pause = nil // nothing is left to hold
	}
}

func (m *machine) pending(index int) (*event.Action, bool) {
	if index < 0 || index >= len(m.run.Actions) {
		return nil, false
	}
	action := &m.run.Actions[index]
	return action, action.State == event.StatePending
}

func (m *machine) endPhase(s step, state event.State) {
	s.phase.State, s.phase.EndedAt = state, m.at()
	s.phase.Deadline, s.phase.RetryAt = nil, nil
}

func (m *machine) end(action *event.Action, state event.State) {
	action.State, action.EndedAt = state, m.at()
}

func (m *machine) at() *time.Time {
	t := m.now
	return &t
}

func newPhase(p PhasePlan) event.Phase {
	return event.Phase{Name: p.Name, Func: p.Func, State: event.StatePending, Policy: p.Policy}
}
