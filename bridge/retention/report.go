package retention

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// Condition of an ActionTrigger that has spec.keep: False when something that should
// go cannot.
const Condition = "Retention"

// Reasons of the condition.
const (
	reasonKeeping     = "Keeping"
	reasonSuspended   = "Suspended"
	reasonInUse       = "InUse"
	reasonInvalid     = "Invalid"
	reasonShared      = "SharedArtifacts"
	reasonNoAction    = "NoDeleteAction"
	reasonNoBlueprint = "BlueprintNotFound"
	reasonRefused     = "PruneRefused"
	reasonPruneFailed = "PruneFailed"
)

// report is what a look found, for the condition.
type report struct {
	staying, removing, waiting int
	// reason and message of the first problem; more is how many others there were.
	reason, message string
	more            int
	// noted is said when there is no problem.
	noted, notedMessage string
}

func (r *report) problem(reason, message string) {
	if r.reason != "" {
		r.more++
		return
	}
	r.reason, r.message = reason, message
}

func (r *report) note(reason, message string) {
	if r.noted == "" {
		r.noted, r.notedMessage = reason, message
	}
}

func (r *report) add(o report) {
	r.staying += o.staying
	r.removing += o.removing
	r.waiting += o.waiting
	r.more += o.more
	if o.reason != "" {
		r.problem(o.reason, o.message)
	}
	if o.noted != "" {
		r.note(o.noted, o.notedMessage)
	}
}

// mostMessage bounds the condition's message, in bytes.
const mostMessage = 2048

func (r *report) condition(generation int64, now time.Time) metav1.Condition {
	counts := fmt.Sprintf("%d stay, %d are to go", r.staying, r.removing)
	if r.waiting > 0 {
		counts += fmt.Sprintf(", %d wait", r.waiting)
	}
	c := metav1.Condition{
		Type: Condition, Status: metav1.ConditionTrue, Reason: reasonKeeping, Message: counts,
		ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(now.UTC().Truncate(time.Second)),
	}
	switch {
	case r.reason != "":
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, r.reason, counts+": "+r.message
		if r.more > 0 {
			c.Message = fmt.Sprintf("%s (and %d more)", cut(c.Message), r.more)
		}
	case r.noted != "":
		c.Reason, c.Message = r.noted, counts+": "+r.notedMessage
	}
	c.Message = cut(c.Message)
	return c
}

func cut(message string) string {
	if len(message) <= mostMessage {
		return message
	}
	return strings.ToValidUTF8(message[:mostMessage], "") + "…"
}

// Statuses writes the status of triggers.
type Statuses interface {
	Tell(t *salvor.ActionTrigger, change func(*salvor.ActionTriggerStatus))
}

// tell puts the report into the trigger's condition.
func (c *Controller) tell(t *salvor.ActionTrigger, r report) {
	// Told each time: what was told last may not have been written yet.
	is := r.condition(t.Generation, c.Clock.Now())
	c.Statuses.Tell(t, func(s *salvor.ActionTriggerStatus) { meta.SetStatusCondition(&s.Conditions, is) })
}

// silence takes the condition away from a trigger that keeps everything.
func (c *Controller) silence(t *salvor.ActionTrigger) {
	if meta.FindStatusCondition(t.Status.Conditions, Condition) != nil {
		c.Statuses.Tell(t, func(s *salvor.ActionTriggerStatus) { meta.RemoveStatusCondition(&s.Conditions, Condition) })
	}
}
