package validate

import (
	"fmt"
	"time"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/trigger"
)

// shownTicks is how many of the next ticks are shown.
const shownTicks = 3

// ticks shows when the schedule of a trigger fires next, so that a mistake in the
// expression is seen.
func (o *options) ticks(found *object) {
	t, ok := found.value.(*salvor.ActionTrigger)
	if !ok {
		return
	}
	t = t.DeepCopy()
	if t.Namespace == "" {
		t.Namespace = o.namespace // the jitter depends on it
	}
	compiled, err := trigger.Compile(t)
	if err != nil || compiled.Schedule() == nil {
		return
	}
	s := compiled.Schedule()
	zone, err := time.LoadLocation(t.Spec.When.Schedule.TimeZone)
	if err != nil {
		return // Check has said so
	}
	share := ""
	if offset := s.Offset(); offset > 0 {
		share = fmt.Sprintf(", %s after the tick: its share of the jitter in namespace %s", offset, t.Namespace)
	}
	tick := o.app.Clock.Now().Add(-s.Offset())
	for range shownTicks {
		if tick = s.Next(tick); tick.IsZero() {
			return
		}
		o.app.Printf("trigger %s: fires at %s%s\n", t.Name, tick.Add(s.Offset()).In(zone).Format(time.RFC1123Z), share)
	}
}
