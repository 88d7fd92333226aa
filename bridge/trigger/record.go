package trigger

import (
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// ConditionReady says whether the trigger fires for events that match.
const ConditionReady = "Ready"

// noticed sees to the condition of a trigger that is new or was changed. A fault
// stands until the trigger is changed or fires well.
func (c *Controller) noticed(t *salvor.ActionTrigger) {
	if ready := meta.FindStatusCondition(t.Status.Conditions, ConditionReady); ready != nil && ready.ObservedGeneration == t.Generation {
		return
	}
	c.Tell(t, func(s *salvor.ActionTriggerStatus) {
		if ready := meta.FindStatusCondition(s.Conditions, ConditionReady); ready == nil || ready.ObservedGeneration != t.Generation {
			meta.SetStatusCondition(&s.Conditions, c.ready(t, nil))
		}
	})
}

// record notes what the trigger did with an event.
func (c *Controller) record(t *salvor.ActionTrigger, e *cloudevents.Event, at time.Time, actionSet string, fault *PermanentError) {
	received := metav1.NewTime(at.UTC().Truncate(time.Second))
	last := salvor.EventRecord{ID: e.ID(), Source: e.Source(), Type: e.Type(), ReceivedAt: &received}
	c.Tell(t, func(s *salvor.ActionTriggerStatus) {
		if s.LastEvent != nil && s.LastEvent.ReceivedAt.After(received.Time) {
			return // events are worked on side by side; the later one counts
		}
		s.LastEvent = &last
		if actionSet != "" {
			s.LastActionSet = actionSet
		}
		meta.SetStatusCondition(&s.Conditions, c.ready(t, fault))
	})
}

func (c *Controller) ready(t *salvor.ActionTrigger, fault *PermanentError) metav1.Condition {
	condition := metav1.Condition{
		Type: ConditionReady, Status: metav1.ConditionTrue, Reason: "Watching", Message: "fires for events that match",
		ObservedGeneration: t.Generation, LastTransitionTime: metav1.NewTime(c.Clock.Now().UTC().Truncate(time.Second)),
	}
	switch {
	case fault != nil:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, fault.Reason, limit(fault.Error())
	case t.Spec.Suspend:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, "Suspended", "spec.suspend is true; events are accepted and ignored"
	}
	return condition
}
