package status

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// Reasons of the Kubernetes Events on an ActionSet.
const (
	ReasonActionStarted      = "ActionStarted"
	ReasonPhaseFailed        = "PhaseFailed"
	ReasonActionSetComplete  = "ActionSetComplete"
	ReasonActionSetFailed    = "ActionSetFailed"
	ReasonActionSetCancelled = "ActionSetCancelled"
	// ReasonRetried: a run that had ended goes on.
	ReasonRetried = "Retried"
	// ReasonPaused and ReasonResumed tell of a pause and of its end.
	ReasonPaused  = "Paused"
	ReasonResumed = "Resumed"
	// ReasonRetrying: a phase failed and is tried again.
	ReasonRetrying = "Retrying"
	// ReasonDeadLettered: a phase was parked.
	ReasonDeadLettered = "DeadLettered"
)

// notice is a Kubernetes Event to be.
type notice struct {
	kind, reason, message string
}

// notices tells what happened between two statuses of one ActionSet, oldest
// first; was may be nil. A phase's failure is told on its own only while the run
// goes on, because the end names it anyway.
func notices(was, is *kanister.ActionSetStatus) []notice {
	if was == nil {
		was = &kanister.ActionSetStatus{}
	}
	if Terminal(was.State) {
		if Terminal(is.State) {
			return nil
		}
		was = &kanister.ActionSetStatus{}
	}
	out := conditionNotices(was, is)
	// What is known of a run that goes on after its end began long ago.
	reopened := len(was.Actions) == 0 && condition(is, ConditionRetried) != nil
	for i := range is.Actions {
		before, now := actionAt(was, i), &is.Actions[i]
		if !reopened && !started(before) && !betweenAttempts(was, now.Name) && started(now) {
			out = append(out, notice{
				corev1.EventTypeNormal, ReasonActionStarted,
				fmt.Sprintf("Action %s of blueprint %s started", now.Name, now.Blueprint),
			})
		}
		if !Terminal(is.State) {
			out = append(out, phaseNotices(before, now)...)
		}
	}
	if end, ok := endNotice(is); ok {
		out = append(out, end)
	}
	return out
}

// conditionNotices tells of the conditions that are new and ask for attention.
func conditionNotices(was, is *kanister.ActionSetStatus) []notice {
	var out []notice
	for _, c := range []struct{ typ, kind, reason, words string }{
		{ConditionRetried, corev1.EventTypeNormal, ReasonRetried, "A retry was asked for: "},
		{ConditionPaused, corev1.EventTypeNormal, ReasonPaused, "Paused: "},
		{ConditionRetrying, corev1.EventTypeWarning, ReasonRetrying, ""},
		{ConditionDeadLettered, corev1.EventTypeWarning, ReasonDeadLettered, ""},
	} {
		before, now := condition(was, c.typ), condition(is, c.typ)
		if now == nil || (before != nil && before.Message == now.Message) || (c.typ == ConditionRetrying && now.Reason != reasonBackOff) {
			continue
		}
		out = append(out, notice{c.kind, c.reason, c.words + now.Message})
	}
	if condition(was, ConditionPaused) != nil && condition(is, ConditionPaused) == nil && !Terminal(is.State) {
		out = append(out, notice{corev1.EventTypeNormal, ReasonResumed, "The run goes on"})
	}
	return out
}

// betweenAttempts reports whether a phase of the action had begun and waited to be
// tried again: it is pending then, and may be the action's first.
func betweenAttempts(was *kanister.ActionSetStatus, action string) bool {
	c := condition(was, ConditionRetrying)
	return c != nil && strings.Contains(c.Message, "action "+strconv.Quote(action)+",")
}

// condition returns the condition of a type that is True.
func condition(s *kanister.ActionSetStatus, typ string) *metav1.Condition {
	for i := range s.Conditions {
		if c := &s.Conditions[i]; c.Type == typ && c.Status == metav1.ConditionTrue {
			return c
		}
	}
	return nil
}

func phaseNotices(before, now *kanister.ActionStatus) []notice {
	var out []notice
	for i := range now.Phases {
		if now.Phases[i].State != kanister.StateFailed {
			continue
		}
		if before != nil && i < len(before.Phases) && before.Phases[i].State == kanister.StateFailed {
			continue
		}
		out = append(out, notice{
			corev1.EventTypeWarning, ReasonPhaseFailed,
			fmt.Sprintf("Phase %s of action %s failed", now.Phases[i].Name, now.Name),
		})
	}
	return out
}

func endNotice(is *kanister.ActionSetStatus) (notice, bool) {
	switch is.State {
	case kanister.StateComplete:
		return notice{corev1.EventTypeNormal, ReasonActionSetComplete, "All actions are complete"}, true
	case kanister.StateFailed:
		reason := ReasonActionSetFailed
		for i := range is.Conditions {
			if is.Conditions[i].Type == ConditionCancelled {
				reason = ReasonActionSetCancelled
			}
		}
		return notice{corev1.EventTypeWarning, reason, is.Error.Message}, true
	case kanister.StatePending, kanister.StateRunning:
	}
	return notice{}, false
}

func actionAt(s *kanister.ActionSetStatus, i int) *kanister.ActionStatus {
	if i < len(s.Actions) {
		return &s.Actions[i]
	}
	return nil
}

// started reports whether a phase of the action has left pending.
func started(a *kanister.ActionStatus) bool {
	if a == nil {
		return false
	}
	for i := range a.Phases {
		if left(a.Phases[i].State) {
			return true
		}
	}
	return a.DeferPhase != nil && left(a.DeferPhase.State)
}

func left(s kanister.State) bool { return s != "" && s != kanister.StatePending }

// shows reports whether the status has an action that has started.
func shows(s *kanister.ActionSetStatus) bool {
	for i := range s.Actions {
		if started(&s.Actions[i]) {
			return true
		}
	}
	return false
}

// Terminal reports whether nothing follows the state.
func Terminal(s kanister.State) bool {
	switch s {
	case kanister.StateComplete, kanister.StateFailed:
		return true
	case kanister.StatePending, kanister.StateRunning:
	}
	return false
}
