package trigger

import (
	"fmt"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// While a status cannot be written, what waits to be written does not grow with each
// event, and nothing of it is lost.
func TestChangesThatCannotBeWrittenAreBounded(t *testing.T) {
	t.Parallel()
	s := newStatuses(nil, clock.RealClock{}, zerolog.Nop())
	trigger := aTrigger("t")
	trigger.Status.Counts = &salvor.TriggerCounts{Matched: 5, Started: 1}
	trigger.Status.Conditions = []metav1.Condition{{Type: ConditionLoopDetected, Status: metav1.ConditionTrue}}
	calls := 0
	const n = 10 * mostChanges
	for i := range n {
		s.tell(trigger, func(status *salvor.ActionTriggerStatus) {
			calls++
			counts(status).Matched++
			note(status, salvor.EventRecord{ID: fmt.Sprint(i)})
			remember(status, salvor.TriggerRecord{Result: "started", ActionSet: fmt.Sprint("as-", i)})
			setCondition(status, metav1.Condition{Type: ConditionReady, Status: metav1.ConditionTrue})
			meta.RemoveStatusCondition(&status.Conditions, ConditionLoopDetected)
		})
	}
	todo, _ := s.take(key{trigger.Namespace, trigger.Name})
	calls = 0
	// Another bridge has written meanwhile.
	found := trigger.Status.DeepCopy()
	found.Counts.Matched += 100
	found.LastActionSet = "another"
	for range 2 { // perhaps more than once
		is := found.DeepCopy()
		for _, step := range todo.steps {
			step(is)
		}
		assert.Equal(t, salvor.TriggerCounts{Matched: 105 + n, Started: 1}, *is.Counts)
		assert.Equal(t, fmt.Sprint(n-1), is.LastEvent.ID)
		assert.Equal(t, "another", is.LastActionSet)
		assert.Len(t, is.History, mostHistory)
		assert.Equal(t, fmt.Sprint("as-", n-1), is.History[0].ActionSet)
		assert.True(t, meta.IsStatusConditionTrue(is.Conditions, ConditionReady))
		assert.Nil(t, meta.FindStatusCondition(is.Conditions, ConditionLoopDetected))
	}
	assert.LessOrEqual(t, calls, 2*mostChanges)
}
