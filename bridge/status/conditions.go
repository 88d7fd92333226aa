package status

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// Types of the conditions on an ActionSet. Kanister's state words stay what they
// are; the conditions say what those cannot.
const (
	// ConditionCancelled is True on an ActionSet whose run was cancelled, False
	// with reason Stopping while it is being stopped.
	ConditionCancelled = "Cancelled"
	// ConditionPaused is True while no further phase is to start.
	ConditionPaused = "Paused"
	// ConditionRetrying is True while a phase that failed has attempts left.
	ConditionRetrying = "Retrying"
	// ConditionTimedOut is True once a time limit ended a phase for good.
	ConditionTimedOut = "TimedOut"
	// ConditionDeadLettered is True once a phase was parked because it took
	// its runners down.
	ConditionDeadLettered = "DeadLettered"
	// ConditionRecovered is True on an ActionSet whose run's record was lost and
	// made anew from this status.
	ConditionRecovered = "Recovered"
	// ConditionRetried answers a request for a retry: True when the run goes on,
	// False when it cannot. Its message begins with the token.
	ConditionRetried = "Retried"
	// ConditionExcerpted is True when the status shows only the beginning of
	// the values of an output.
	ConditionExcerpted = "Excerpted"
)

// Reasons of the conditions.
const (
	reasonCancelled = "Cancelled"
	reasonStopping  = "Stopping"
	reasonAsked     = "Asked"
	reasonBackOff   = "BackOff"
	reasonAttempt   = "Attempt"
	reasonTimeout   = "Timeout"
	reasonPoison    = "Poison"
	reasonLost      = "RecordLost"
	reasonTooLarge  = "TooLarge"
	reasonGranted   = "Granted"
	reasonRefused   = "Refused"
)

// conditionLimit bounds a condition's message, in bytes.
const conditionLimit = 4 << 10

// projectConditions is pure, as Project is. The order is that of the type names'
// importance to a reader.
func projectConditions(run *event.Run) []metav1.Condition {
	var out []metav1.Condition
	for _, project := range []func(*event.Run) (metav1.Condition, bool){
		cancelled, paused, retrying, timedOut, deadLettered, retried, recovered, excerpted,
	} {
		if condition, ok := project(run); ok {
			if len(condition.Message) > conditionLimit {
				condition.Message = strings.ToValidUTF8(condition.Message[:conditionLimit], "") + "…"
			}
			out = append(out, condition)
		}
	}
	return out
}

func isTrue(typ, reason, message string, since time.Time) metav1.Condition {
	return metav1.Condition{
		Type: typ, Status: metav1.ConditionTrue, Reason: reason, Message: message, LastTransitionTime: *seconds(since),
	}
}

func cancelled(run *event.Run) (metav1.Condition, bool) {
	if run.Cancel == nil && run.State != event.StateCancelled {
		return metav1.Condition{}, false
	}
	condition := isTrue(ConditionCancelled, reasonCancelled, cancelReason(run), run.UpdatedAt)
	if run.Cancel != nil {
		condition.LastTransitionTime = *seconds(run.Cancel.At)
	}
	if run.State != event.StateCancelled {
		if run.State.Terminal() {
			return metav1.Condition{}, false // it ended otherwise before the request took effect
		}
		condition.Status, condition.Reason = metav1.ConditionFalse, reasonStopping
	}
	return condition, true
}

func paused(run *event.Run) (metav1.Condition, bool) {
	if run.Pause == nil || run.State.Terminal() {
		return metav1.Condition{}, false
	}
	return isTrue(ConditionPaused, reasonAsked, run.Pause.Reason, run.Pause.At), true
}

// retrying tells of each phase that is not at its first attempt.
func retrying(run *event.Run) (metav1.Condition, bool) {
	if run.State.Terminal() {
		return metav1.Condition{}, false
	}
	var (
		lines  []string
		reason = reasonAttempt
		since  time.Time
	)
	eachPhase(run, func(a *event.Action, p *event.Phase) {
		if len(p.Attempts) == 0 || p.State.Terminal() {
			return
		}
		last := &p.Attempts[len(p.Attempts)-1]
		if last.Attempt <= p.Base {
			return // of a round before the retry that was asked for
		}
		n, all := p.Attempt-p.Base, 1
		if p.Policy != nil {
			all = p.Policy.Attempts
		}
		var next string
		switch {
		case p.State == event.StateRunning:
			next = fmt.Sprintf("attempt %d of %d is running", n, all)
		case p.RetryAt != nil:
			next = fmt.Sprintf("attempt %d of %d at %s", n+1, all, p.RetryAt.UTC().Format(time.RFC3339))
			reason = reasonBackOff
		default:
			next = fmt.Sprintf("attempt %d of %d waits for its turn", n+1, all)
		}
		lines = append(lines, fmt.Sprintf("%s: %s; attempt %d failed (%s): %s",
			place(a, p), next, last.Attempt-p.Base, last.Failure.Reason, last.Failure.Message))
		since = latest(since, &last.EndedAt)
	})
	if len(lines) == 0 {
		return metav1.Condition{}, false
	}
	return isTrue(ConditionRetrying, reason, strings.Join(lines, "\n"), since), true
}

func timedOut(run *event.Run) (metav1.Condition, bool) {
	return failedWith(run, event.ReasonTimeout, ConditionTimedOut, reasonTimeout)
}

func deadLettered(run *event.Run) (metav1.Condition, bool) {
	return failedWith(run, event.ReasonPoison, ConditionDeadLettered, reasonPoison)
}

// failedWith tells of the phases, and the actions, that failed for good for one
// reason.
func failedWith(run *event.Run, why event.Reason, typ, reason string) (metav1.Condition, bool) {
	var (
		lines []string
		since time.Time
		told  = map[*event.Action]bool{}
	)
	eachPhase(run, func(a *event.Action, p *event.Phase) {
		if p.State != event.StateFailed || p.Failure == nil || p.Failure.Reason != why {
			return
		}
		told[a] = true
		lines = append(lines, fmt.Sprintf("%s, function %s, attempt %d: %s", place(a, p), p.Func, p.Attempt, p.Failure.Message))
		since = latest(since, p.EndedAt)
	})
	for i := range run.Actions {
		a := &run.Actions[i]
		if a.Failure != nil && a.Failure.Reason == why && !told[a] {
			lines = append(lines, fmt.Sprintf("action %s: %s", strconv.Quote(a.Spec.Name), a.Failure.Message))
			since = latest(since, a.EndedAt)
		}
	}
	if len(lines) == 0 {
		return metav1.Condition{}, false
	}
	if since.IsZero() {
		since = run.UpdatedAt
	}
	return isTrue(typ, reason, strings.Join(lines, "\n"), since), true
}

func retried(run *event.Run) (metav1.Condition, bool) {
	if run.Retry == nil {
		return metav1.Condition{}, false
	}
	return isTrue(ConditionRetried, reasonGranted, answer(run.Retry.Token, grantWords+strconv.Itoa(run.Retry.Round)), run.Retry.At), true
}

// grantWords stand in the answer to a retry before the number of the round.
const grantWords = "the run goes on where it ended, round "

// Granted is the last retry that the status says was granted; nil if none was.
func Granted(s *kanister.ActionSetStatus) *event.Retry {
	c := condition(s, ConditionRetried)
	if c == nil {
		return nil
	}
	token, round, ok := strings.Cut(strings.TrimPrefix(c.Message, "token "), ": "+grantWords)
	n, err := strconv.Atoi(round)
	if !ok || token == "" || err != nil {
		return nil
	}
	return &event.Retry{Token: token, Round: n, At: c.LastTransitionTime.Time}
}

func recovered(run *event.Run) (metav1.Condition, bool) {
	for i := range run.Actions {
		if run.Actions[i].Recovered != nil {
			return isTrue(ConditionRecovered, reasonLost,
				"the record of the run had been lost; it was made anew from what this status said", run.CreatedAt), true
		}
	}
	return metav1.Condition{}, false
}

// excerpted names the phases whose output is not whole in the status, so that a
// recovery does not take a part for the whole.
func excerpted(run *event.Run) (metav1.Condition, bool) {
	var (
		places []string
		since  time.Time
	)
	eachPhase(run, func(a *event.Action, p *event.Phase) {
		if p.Output != nil && len(p.Output.Inline) == 0 {
			places = append(places, place(a, p))
			since = latest(since, p.EndedAt)
		}
	})
	if len(places) == 0 {
		return metav1.Condition{}, false
	}
	if since.IsZero() {
		since = run.UpdatedAt
	}
	return isTrue(ConditionExcerpted, reasonTooLarge, "the output is too large for the status, which shows an excerpt of it: "+strings.Join(places, "; "), since), true
}

// place names a phase of an action; see Excerpted.
func place(a *event.Action, p *event.Phase) string { return placeOf(a.Spec.Name, phaseName(p)) }

func placeOf(action, phase string) string {
	return "action " + strconv.Quote(action) + ", phase " + strconv.Quote(phase)
}

// Excerpted reports whether the status shows only an excerpt of the output of a
// phase. It may say so of another phase of the same name too.
func Excerpted(s *kanister.ActionSetStatus, action *kanister.ActionStatus, phase *kanister.Phase) bool {
	name := phase.Name
	if name == "" {
		name = deferName
	}
	for i := range s.Conditions {
		c := &s.Conditions[i]
		if c.Type == ConditionExcerpted && c.Status == metav1.ConditionTrue {
			// A list that was cut may have named it.
			return strings.Contains(c.Message, placeOf(action.Name, name)) || strings.HasSuffix(c.Message, "…")
		}
	}
	return false
}

// answer is the message of a ConditionRetried.
func answer(token, words string) string { return "token " + token + ": " + words }

// Answered reports whether the status answers the request for a retry that has
// the token, and whether it was granted.
func Answered(s *kanister.ActionSetStatus, token string) (granted, answered bool) {
	if s == nil {
		return false, false
	}
	for i := range s.Conditions {
		c := &s.Conditions[i]
		if c.Type == ConditionRetried && strings.HasPrefix(c.Message, answer(token, "")) {
			return c.Status == metav1.ConditionTrue, true
		}
	}
	return false, false
}
