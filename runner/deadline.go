package runner

import (
	"context"
	"fmt"
	"strings"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
)

// The annotations that set time limits, as messages name them.
const (
	annotationTimeout       = "salvor.io/timeout"
	annotationActionTimeout = "salvor.io/action-timeout"
)

// timedOut is the cause of the end of a call at its deadline.
func timedOut(action *event.Action, phase *event.Phase, kind event.PhaseKind) *function.Error {
	const text = "the attempt was stopped at %s: it had not ended within %s, %s; raise it there if the phase needs longer"
	at := phase.Deadline.UTC().Format("2006-01-02T15:04:05Z")
	switch {
	case kind != event.KindDefer && action.Deadline != nil && !phase.Deadline.Before(*action.Deadline):
		return function.Errorf(event.ReasonTimeout, text, at, action.Timeout.Duration, "the limit of the whole action (annotation "+annotationActionTimeout+")")
	case phase.Policy != nil && phase.Policy.Timeout.Duration > 0:
		return function.Errorf(event.ReasonTimeout, text, at, phase.Policy.Timeout.Duration, "the limit of one attempt (annotation "+annotationTimeout+")")
	}
	return function.Errorf(event.ReasonTimeout, "the attempt was stopped at %s, its deadline (annotation %s or %s)", at, annotationTimeout, annotationActionTimeout)
}

// watchDeadline ends the call at the phase's deadline, at once if it has passed.
// The returned function ends the watch.
func (t *task) watchDeadline(call context.Context, stop context.CancelCauseFunc, run *event.Run) (end func()) {
	action, phase := find(run, t.job.Key)
	if phase == nil || phase.Deadline == nil {
		return func() {}
	}
	t.timedOut = timedOut(action, phase, t.job.Key.Kind)
	left := phase.Deadline.Sub(t.runner.clock.Now())
	if left <= 0 {
		stop(t.timedOut)
		return func() {}
	}
	timer := t.runner.clock.NewTimer(left)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-timer.C():
			stop(t.timedOut)
		case <-call.Done():
		}
	}()
	return func() {
		stop(nil)
		timer.Stop()
		<-ended
	}
}

// overdue is the failure of a phase that its deadline ended. What the function says
// of how far it had come is kept.
func (t *task) overdue(err error, redact func(string) string) *event.Failure {
	failure := failureOf(t.timedOut, nil)
	if text := err.Error(); strings.Contains(text, t.timedOut.Error()) {
		failure = failureOf(function.Errorf(event.ReasonTimeout, "%w", err), redact)
	} else {
		more := failureOf(err, redact)
		failure.Message = bound(fmt.Sprintf("%s (%s)", failure.Message, more.Message))
	}
	return failure
}
