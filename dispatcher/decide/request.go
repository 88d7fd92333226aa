package decide

import "github.com/salvor-io/salvor/api/event"

// asksToGoOn reports whether the input may change a run that has ended.
func asksToGoOn(in Input) bool {
	r, ok := in.(Report)
	return ok && r.Kind == event.ReportRetry
}

// request takes what a person asks for.
func (m *machine) request(r event.Report) bool {
	switch r.Kind {
	case event.ReportCancel:
		return m.cancel(r)
	case event.ReportPause:
		return m.pause(r)
	case event.ReportResume:
		return m.resume()
	case event.ReportRetry:
		return m.retry(r)
	case event.ReportProgress, event.ReportSucceeded, event.ReportFailed, event.ReportCancelled:
		return false // of runners
	}
	return false
}

// cancel asks every action for its end. Phases that run are left to report; what
// waits, for a time, a slot or the end of a pause, ends at once.
func (m *machine) cancel(r event.Report) bool {
	if m.run.Cancel != nil || m.ofEarlierRound(r) {
		return false
	}
	reason := given(r.Reason, "somebody asked for the end of the run and gave no reason")
	m.run.Cancel, m.run.Pause = &event.Cancel{Reason: reason, At: m.now}, nil
	for i := range m.run.Actions {
		switch action := &m.run.Actions[i]; action.State {
		case event.StatePending:
			if !startedBefore(action) { // else it is planned, for its deferPhase
				m.end(action, event.StateCancelled)
			}
		case event.StateRunning:
			for j := range action.Phases {
				m.giveUp(step{action: i, kind: event.KindCore, index: j, phase: &action.Phases[j]}, event.StateCancelled)
			}
			m.goOn(i)
		case event.StateComplete, event.StateFailed, event.StateCancelled:
		}
	}
	return true
}

// ofEarlierRound reports whether a request was made before the run was last asked to
// go on: it has had its effect, and comes again because its acknowledgement was lost.
// One of now that looks old, by a clock that is behind, is made again by the bridge.
func (m *machine) ofEarlierRound(r event.Report) bool {
	return m.run.Retry != nil && !r.At.IsZero() && r.At.Before(m.run.Retry.At)
}

// pause holds what has not started. A run that is to end anyway is not held.
func (m *machine) pause(r event.Report) bool {
	if m.run.Pause != nil || m.run.Cancel != nil || m.ofEarlierRound(r) {
		return false
	}
	m.run.Pause = &event.Pause{Reason: given(r.Reason, "somebody asked for a pause and gave no reason"), At: m.now}
	return true
}

// resume lets go. The time that a pause took does not count for the time limit of
// an action; what goes on waits for a slot.
func (m *machine) resume() bool {
	if m.run.Pause == nil {
		return false
	}
	for i := range m.run.Actions {
		action := &m.run.Actions[i]
		if action.Deadline == nil {
			continue
		}
		if _, idle := following(&m.run, i); !idle {
			continue
		}
		since := m.run.Pause.At
		for _, s := range steps(action, i) { // what ran into the pause counts to its end
			if s.phase.EndedAt != nil && s.phase.EndedAt.After(since) {
				since = *s.phase.EndedAt
			}
		}
		if held := m.now.Sub(since); held > 0 {
			deadline := action.Deadline.Add(held)
			action.Deadline = &deadline
		}
	}
	m.run.Pause = nil
	return true
}

// retry lets a run that did not end well go on where it ended.
func (m *machine) retry(r event.Report) bool {
	switch m.run.State {
	case event.StateFailed, event.StateCancelled:
	case event.StatePending, event.StateRunning, event.StateComplete:
		return false
	}
	round := 1
	if last := m.run.Retry; last != nil {
		if last.Token == r.Token || m.ofEarlierRound(r) {
			return false
		}
		round = last.Round + 1
	}
	if r.Token == "" {
		return false
	}
	m.run.State = event.StatePending // settle knows better
	m.run.Retry = &event.Retry{Token: r.Token, Round: round, At: m.now}
	m.run.Cancel, m.run.Failure = nil, nil
	for i := range m.run.Actions {
		switch action := &m.run.Actions[i]; action.State {
		case event.StateFailed, event.StateCancelled:
			reopen(action)
		case event.StatePending, event.StateRunning, event.StateComplete:
		}
	}
	return true
}

// reopen puts an action that did not end well back to where it goes on: its phases
// that ended well stay so, all others are to run again, in new attempts. Its time
// limit counts anew from the first of them.
func reopen(action *event.Action) {
	action.Failure, action.EndedAt, action.Deadline = nil, nil, nil
	if action.Blueprint == nil { // it was never planned
		action.State, action.StartedAt = event.StatePending, nil
		return
	}
	action.State, action.Artifacts, action.Recovered = event.StateRunning, nil, nil
	unrendered := coreComplete(action) && (action.DeferPhase == nil || action.DeferPhase.State == event.StateComplete)
	for i := range action.Phases {
		if p := &action.Phases[i]; p.State == event.StateComplete {
			p.Base = p.Attempt
		} else {
			reset(p)
		}
	}
	switch {
	case !unrendered:
		reset(action.DeferPhase)
	case action.Render != nil:
		reset(action.Render)
	default:
		action.Render = &event.Phase{State: event.StatePending}
	}
}

// reset makes a phase one that was not tried in this round.
func reset(p *event.Phase) {
	if p == nil {
		return
	}
	if p.Failure != nil && p.EndedAt != nil && lastFailure(p) == nil {
		remember(p, *p.Failure, *p.EndedAt)
	}
	*p = event.Phase{
		Name: p.Name, Func: p.Func, State: event.StatePending,
		Attempt: p.Attempt, Base: p.Attempt, Policy: p.Policy, Attempts: p.Attempts,
	}
}

func given(reason, otherwise string) string {
	if reason == "" {
		reason = otherwise
	}
	return bound(reason, event.MessageLimit/4)
}
