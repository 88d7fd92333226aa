package kubesource

import (
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// Condition of an ActionTrigger that has spec.when.kubernetes: True once changes count.
const Condition = "KubernetesSource"

// Reasons of the condition.
const (
	reasonWatching  = "Watching"
	reasonForbidden = "Forbidden"
	reasonUnknown   = "UnknownKind"
	reasonInvalid   = "Invalid"
	reasonUnread    = "NotRead"
	reasonTooMany   = "TooMany"
)

// fault is what keeps a trigger from seeing what it asks for.
type fault struct {
	reason, message string
	// again is when to try again; zero if something tells.
	again time.Duration
}

// fault of one of the watches, nil if all go on.
func (l *lookout) fault() *fault {
	for _, w := range l.watched {
		err := w.failed()
		switch {
		case err == nil, apierrors.IsResourceExpired(err), apierrors.IsGone(err):
		case apierrors.IsForbidden(err):
			return &fault{reason: reasonForbidden, message: fmt.Sprintf(
				"Salvor may not watch %s in namespace %s; give its service account a Role there with the rule %s: %v",
				w.resource.GroupResource(), w.namespace, w.rule(), err)}
		default:
			return &fault{reason: reasonUnread, message: fmt.Sprintf("%s of namespace %s cannot be watched: %v", w.resource.GroupResource(), w.namespace, err)}
		}
	}
	return nil
}

// verdict is nil when changes count.
func verdict(tooMany int) *fault {
	if tooMany > 0 {
		return &fault{reason: reasonTooMany, message: fmt.Sprintf(
			"%d objects are not followed, since a trigger follows %d at most; name fewer, or make several triggers", tooMany, mostObjects)}
	}
	return nil
}

// mostMessage bounds the condition's message, in bytes.
const mostMessage = 2048

// tell puts the fault, or that there is none, into the condition.
func (c *Controller) tell(t *salvor.ActionTrigger, f *fault) {
	is := metav1.Condition{
		Type: Condition, Status: metav1.ConditionTrue, Reason: reasonWatching, Message: "what changes from now on counts",
		ObservedGeneration: t.Generation, LastTransitionTime: metav1.NewTime(c.Clock.Now().UTC().Truncate(time.Second)),
	}
	if f != nil {
		is.Status, is.Reason, is.Message = metav1.ConditionFalse, f.reason, f.message
		if len(is.Message) > mostMessage {
			is.Message = strings.ToValidUTF8(is.Message[:mostMessage], "") + "…"
		}
	}
	c.Statuses.Tell(t, func(s *salvor.ActionTriggerStatus) { meta.SetStatusCondition(&s.Conditions, is) })
}

// silence takes the condition away from a trigger that asks no more.
func (c *Controller) silence(t *salvor.ActionTrigger) {
	if meta.FindStatusCondition(t.Status.Conditions, Condition) != nil {
		c.Statuses.Tell(t, func(s *salvor.ActionTriggerStatus) { meta.RemoveStatusCondition(&s.Conditions, Condition) })
	}
}
