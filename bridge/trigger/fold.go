package trigger

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// fold makes one change of many: counts grow by as much, other fields become what they
// are when the changes are made to the status as it was last known.
func fold(was *salvor.ActionTriggerStatus, steps []func(*salvor.ActionTriggerStatus)) func(*salvor.ActionTriggerStatus) {
	is := was.DeepCopy()
	for _, step := range steps {
		step(is)
	}
	was = was.DeepCopy()
	return func(s *salvor.ActionTriggerStatus) {
		before, after := *counts(was), *counts(is)
		if before != after {
			c := counts(s)
			c.Matched += after.Matched - before.Matched
			c.Started += after.Started - before.Started
			c.Coalesced += after.Coalesced - before.Coalesced
			c.Rejected += after.Rejected - before.Rejected
		}
		next := is.DeepCopy()
		if !equality.Semantic.DeepEqual(was.LastEvent, next.LastEvent) {
			s.LastEvent = next.LastEvent
		}
		if was.LastActionSet != next.LastActionSet {
			s.LastActionSet = next.LastActionSet
		}
		if !was.LastTick.Equal(next.LastTick) {
			s.LastTick = next.LastTick
		}
		if !was.NextTick.Equal(next.NextTick) {
			s.NextTick = next.NextTick
		}
		if !equality.Semantic.DeepEqual(was.History, next.History) {
			s.History = next.History
		}
		foldConditions(was, next, s)
	}
}

func foldConditions(was, is, s *salvor.ActionTriggerStatus) {
	for _, c := range is.Conditions {
		if old := meta.FindStatusCondition(was.Conditions, c.Type); old == nil || *old != c {
			meta.SetStatusCondition(&s.Conditions, c)
		}
	}
	for _, c := range was.Conditions {
		if meta.FindStatusCondition(is.Conditions, c.Type) == nil {
			meta.RemoveStatusCondition(&s.Conditions, c.Type)
		}
	}
}
