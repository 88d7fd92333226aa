package trigger

import (
	"slices"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// Conditions of a trigger.
const (
	// ConditionReady says whether the trigger fires for events that match.
	ConditionReady = "Ready"
	// ConditionLoopDetected says that the trigger was started by its own consequences,
	// which was stopped. It stands until the trigger is changed.
	ConditionLoopDetected = "LoopDetected"
	// ConditionRateLimited says that the last event met the rate limit.
	ConditionRateLimited = "RateLimited"
)

// reasonInvalid: the trigger, or the ActionSet that it makes, is not valid.
const reasonInvalid = "Invalid"

// mostHistory bounds the history in status.
const mostHistory = 10

// rejection is why an event started nothing.
type rejection struct {
	result event.Result
	why    string
	// condition to set, besides Ready.
	condition string
	// fault to show in Ready.
	fault *PermanentError
}

// noticed sees to the conditions of a trigger that is new or was changed, and to
// what waits at it.
func (c *Controller) noticed(t *salvor.ActionTrigger, gone bool) {
	if gone {
		c.catalog.forget(t.UID)
		c.keeper.kick(string(t.UID))
		return
	}
	if ready := meta.FindStatusCondition(t.Status.Conditions, ConditionReady); ready != nil && ready.ObservedGeneration == t.Generation {
		return
	}
	c.keeper.kick(string(t.UID))
	fault := c.catalog.of(t).fault
	c.Tell(t, func(s *salvor.ActionTriggerStatus) {
		if ready := meta.FindStatusCondition(s.Conditions, ConditionReady); ready != nil && ready.ObservedGeneration == t.Generation {
			return
		}
		meta.SetStatusCondition(&s.Conditions, c.ready(t, fault))
		meta.RemoveStatusCondition(&s.Conditions, ConditionLoopDetected)
		meta.RemoveStatusCondition(&s.Conditions, ConditionRateLimited)
	})
}

// matched notes an event, which joined others or did not.
func (c *Controller) matched(t *salvor.ActionTrigger, a *arrival, joined bool) {
	last := recordOf(a.event, a.at)
	c.Tell(t, func(s *salvor.ActionTriggerStatus) {
		counts(s).Matched++
		if joined {
			counts(s).Coalesced++
		}
		note(s, last)
	})
}

// started notes that an ActionSet was made.
func (c *Controller) started(t *salvor.ActionTrigger, o *order, at time.Time) {
	c.Log.Info().Str("namespace", t.Namespace).Str("trigger", t.Name).Str("event", o.event.ID()).Str("source", o.event.Source()).
		Int64("events", o.events).Str("actionset", o.name).Msg("ActionSet created")
	entry := salvor.TriggerRecord{
		At: seconds(c.Clock.Now()), Result: string(event.ResultStarted), Event: recordOf(o.event, at), ActionSet: o.name,
	}
	if o.events > 1 {
		entry.Events = o.events
	}
	c.Tell(t, func(s *salvor.ActionTriggerStatus) {
		counts(s).Started++
		s.LastActionSet = entry.ActionSet
		remember(s, entry)
		meta.SetStatusCondition(&s.Conditions, c.ready(t, nil))
		if meta.FindStatusCondition(s.Conditions, ConditionRateLimited) != nil {
			meta.SetStatusCondition(&s.Conditions, c.condition(t, ConditionRateLimited, false, "Room", "an ActionSet was made since"))
		}
	})
}

// rejected notes an event that starts nothing.
func (c *Controller) rejected(t *salvor.ActionTrigger, a *arrival, r rejection) {
	last := recordOf(a.event, a.at)
	c.Tell(t, func(s *salvor.ActionTriggerStatus) {
		counts(s).Matched++
		note(s, last)
	})
	c.notStarted(t, last, 1, r)
}

// notStarted notes that events which were counted already start nothing.
func (c *Controller) notStarted(t *salvor.ActionTrigger, last salvor.EventRecord, events int64, r rejection) {
	c.Metrics.rejected(r)
	c.Log.Warn().Str("namespace", t.Namespace).Str("trigger", t.Name).Str("event", last.ID).Str("source", last.Source).
		Str("result", string(r.result)).Msg("the event starts nothing: " + r.why)
	c.announcer.reject(t, r.why)
	entry := salvor.TriggerRecord{At: seconds(c.Clock.Now()), Result: string(r.result), Event: last, Events: events, Reason: limit(r.why)}
	c.Tell(t, func(s *salvor.ActionTriggerStatus) {
		counts(s).Rejected += events
		remember(s, entry)
		if r.fault != nil {
			meta.SetStatusCondition(&s.Conditions, c.ready(t, r.fault))
		}
		if r.condition != "" {
			meta.SetStatusCondition(&s.Conditions, c.condition(t, r.condition, true, "Rejected", r.why))
		}
	})
}

func (c *Controller) ready(t *salvor.ActionTrigger, fault *PermanentError) metav1.Condition {
	switch {
	case fault != nil:
		return c.condition(t, ConditionReady, false, fault.Reason, fault.Error())
	case t.Spec.Suspend:
		return c.condition(t, ConditionReady, false, "Suspended", "spec.suspend is true; events are accepted and ignored")
	}
	return c.condition(t, ConditionReady, true, "Watching", "fires for events that match")
}

func (c *Controller) condition(t *salvor.ActionTrigger, name string, holds bool, reason, message string) metav1.Condition {
	status := metav1.ConditionFalse
	if holds {
		status = metav1.ConditionTrue
	}
	return metav1.Condition{
		Type: name, Status: status, Reason: reason, Message: limit(message),
		ObservedGeneration: t.Generation, LastTransitionTime: seconds(c.Clock.Now()),
	}
}

func counts(s *salvor.ActionTriggerStatus) *salvor.TriggerCounts {
	if s.Counts == nil {
		s.Counts = &salvor.TriggerCounts{}
	}
	return s.Counts
}

// note keeps the last event. Events are worked on side by side; the later one counts.
func note(s *salvor.ActionTriggerStatus, last salvor.EventRecord) {
	if s.LastEvent == nil || s.LastEvent.ReceivedAt == nil || !s.LastEvent.ReceivedAt.After(last.ReceivedAt.Time) {
		s.LastEvent = &last
	}
}

// remember puts an entry before the others. What repeats is one entry, so that a
// storm of rejections does not hide what was made.
func remember(s *salvor.ActionTriggerStatus, entry salvor.TriggerRecord) {
	if len(s.History) > 0 && entry.ActionSet == "" {
		if last := s.History[0]; last.Result == entry.Result && last.Reason == entry.Reason {
			entry.Events = max(entry.Events, 1) + max(last.Events, 1)
			s.History[0] = entry
			return
		}
	}
	s.History = slices.Insert(s.History, 0, entry)
	s.History = s.History[:min(len(s.History), mostHistory)]
}

func recordOf(e *cloudevents.Event, at time.Time) salvor.EventRecord {
	received := seconds(at)
	return salvor.EventRecord{ID: e.ID(), Source: e.Source(), Type: e.Type(), ReceivedAt: &received}
}

// seconds is a time as the API server keeps it.
func seconds(at time.Time) metav1.Time { return metav1.NewTime(at.UTC().Truncate(time.Second)) }

func setCondition(s *salvor.ActionTriggerStatus, c metav1.Condition) {
	meta.SetStatusCondition(&s.Conditions, c)
}
