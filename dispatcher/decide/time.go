package decide

import (
	"fmt"
	"hash/fnv"
	"time"

	"github.com/salvor-io/salvor/api/event"
)

// ReportGrace is how long after the deadline of an attempt its runner may still
// report. Then nobody is there who would, and the attempt is ended here.
const ReportGrace = time.Minute

// recordLimit bounds the message of an attempt that was made again, in bytes.
const recordLimit = 512

// limit sets the deadline of an attempt that has just been released. An action's
// own time begins with its first phase, so that waiting for a slot is not part of
// it.
func (m *machine) limit(s step) {
	action := &m.run.Actions[s.action]
	if p := s.phase.Policy; p != nil && p.Timeout.Duration > 0 {
		at := m.now.Add(p.Timeout.Duration)
		s.phase.Deadline = &at
	}
	if s.kind == event.KindDefer || action.Timeout.Duration <= 0 {
		return
	}
	if action.Deadline == nil {
		at := m.now.Add(action.Timeout.Duration)
		action.Deadline = &at
	}
	if s.phase.Deadline == nil || action.Deadline.Before(*s.phase.Deadline) {
		s.phase.Deadline = copyOf(action.Deadline)
	}
}

// tooLate reports whether the action's time is up for the step. A deferPhase has
// all the time its own policy gives it.
func (m *machine) tooLate(s step) bool {
	deadline := m.run.Actions[s.action].Deadline
	return s.kind != event.KindDefer && deadline != nil && !m.now.Before(*deadline)
}

// expire fails the action because its time was up before the step could start.
func (m *machine) expire(s step) {
	timeout := m.run.Actions[s.action].Timeout.Duration
	message := fmt.Sprintf("the action's time limit of %s passed before %s could start", timeout, phaseLabel(s))
	if f := lastFailure(s.phase); f != nil {
		message = fmt.Sprintf("the action's time limit of %s passed before %s could be tried again; attempt %d had failed: %s",
			timeout, phaseLabel(s), s.phase.Attempt, f.Message)
	}
	m.giveUp(s, event.StateFailed)
	m.fail(s.action, event.Failure{Reason: event.ReasonTimeout, Message: message})
}

// giveUp ends a pending phase that was to be tried again. One that was not tried in
// this round stays pending.
func (m *machine) giveUp(s step, state event.State) {
	if f := lastFailure(s.phase); f != nil && s.phase.State == event.StatePending {
		m.endPhase(s, state)
		s.phase.Failure = f
	}
}

// lastFailure is that of the attempt before, if it was of this round.
func lastFailure(p *event.Phase) *event.Failure {
	if n := len(p.Attempts); p.Attempt > p.Base && n > 0 && p.Attempts[n-1].Attempt == p.Attempt {
		return copyOf(&p.Attempts[n-1].Failure)
	}
	return nil
}

// again returns when the step is tried again after an attempt that ended with the
// reason; nil means never, and the note says why if a person would wonder.
func (m *machine) again(s step, reason event.Reason) (at *time.Time, note string) {
	p := s.phase.Policy
	if p == nil || p.Attempts <= 1 {
		return nil, ""
	}
	n := s.phase.Attempt - s.phase.Base
	note = fmt.Sprintf(" (attempt %d of %d", n, p.Attempts)
	switch {
	case n >= p.Attempts:
		return nil, note + ")"
	case m.run.Cancel != nil && s.kind != event.KindDefer:
		return nil, note + "; not tried again, because the run is cancelled)"
	case !retriable(reason, p):
		return nil, note + "; not tried again after " + string(reason) + ")"
	}
	next := m.now.Add(delay(p, n, key(&m.run, s).String()))
	deadline := m.run.Actions[s.action].Deadline
	if s.kind != event.KindDefer && deadline != nil && !next.Before(*deadline) {
		return nil, note + "; not tried again, because the action's time limit comes first)"
	}
	return &next, ""
}

// retriable reports whether another attempt could end otherwise, and may be made.
func retriable(reason event.Reason, p *event.Policy) bool {
	switch reason {
	case event.ReasonInvalid, event.ReasonRender, event.ReasonCancelled, event.ReasonPoison:
		return false
	case event.ReasonInterrupted:
		return p.OnInterrupt == event.InterruptRetries
	case event.ReasonNotFound, event.ReasonForbidden, event.ReasonImagePull, event.ReasonPodFailed, event.ReasonOutput,
		event.ReasonTimeout, event.ReasonInternal, event.ReasonFailed:
		return true
	}
	return true // a reason of a newer runner
}

// delay before the attempt that follows the n-th of a round: the backoff, doubled
// for each attempt up to its limit, and 0.8 to 1.2 times that, so that what failed
// together is not tried again together. The share comes from a hash of the key:
// whoever computes it gets the same.
func delay(p *event.Policy, n int, key string) time.Duration {
	d := p.Backoff.Duration
	for i := 1; i < n && d < p.BackoffLimit.Duration; i++ {
		d *= 2
	}
	d = min(d, p.BackoffLimit.Duration)
	const shares = 1000
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // never fails
	share := int64(800 + h.Sum32()%(400+1))
	whole := d.Nanoseconds()
	return time.Duration(whole/shares*share + whole%shares*share/shares)
}

// remember keeps how an attempt that is made again ended.
func remember(p *event.Phase, f event.Failure, at time.Time) {
	f.Message = bound(f.Message, recordLimit)
	p.Attempts = append(p.Attempts, event.AttemptRecord{Attempt: p.Attempt, EndedAt: at, Failure: f})
	if n := len(p.Attempts) - event.AttemptsKept; n > 0 {
		p.Attempts = p.Attempts[n:]
	}
}

// wake looks what has become due.
func (m *machine) wake() bool {
	changed := false
	for i := range m.run.Actions {
		changed = m.wakeAction(i) || changed
	}
	return changed
}

func (m *machine) wakeAction(index int) bool {
	action := &m.run.Actions[index]
	if s, ok := running(action, index); ok {
		if s.phase.Deadline == nil || m.now.Before(s.phase.Deadline.Add(ReportGrace)) {
			return false
		}
		m.failAttempt(s, event.StateFailed, &event.Failure{Reason: event.ReasonTimeout, Message: fmt.Sprintf(
			"its time was up at %s, and no runner has reported its end since; it may still be going on",
			s.phase.Deadline.UTC().Format(time.RFC3339))})
		m.goOn(index)
		return true
	}
	s, ok := following(&m.run, index)
	switch {
	case !ok:
		return false
	case m.tooLate(s) && m.run.Pause == nil:
		m.expire(s)
		m.goOn(index)
		return true
	case s.phase.RetryAt == nil || m.now.Before(*s.phase.RetryAt):
		return false
	}
	s.phase.RetryAt = nil
	if s.kind == event.KindDefer {
		m.goOn(index) // what it puts right must not wait for others
	}
	return true
}

// wakeAt is the earliest time at which the state needs a Wake.
func wakeAt(run *event.Run) (at time.Time, ok bool) {
	if run.State.Terminal() {
		return at, false
	}
	earliest := func(t *time.Time, after time.Duration) {
		if t != nil && (!ok || t.Add(after).Before(at)) {
			at, ok = t.Add(after), true
		}
	}
	for i := range run.Actions {
		action := &run.Actions[i]
		if s, runs := running(action, i); runs {
			earliest(s.phase.Deadline, ReportGrace)
			continue
		}
		s, waits := following(run, i)
		if !waits {
			continue
		}
		earliest(s.phase.RetryAt, 0)
		if s.kind != event.KindDefer && run.Pause == nil {
			earliest(action.Deadline, 0)
		}
	}
	return at, ok
}
