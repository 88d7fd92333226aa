package trigger

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// maxName bounds the name of an ActionSet: it is also used in labels.
const maxName = 63

// actionSetName is the name of an ActionSet of the trigger: a DNS label, the same
// whoever computes it. identity is what it must differ by from others.
func actionSetName(t *salvor.ActionTrigger, identity string) string {
	return shorten(strings.ReplaceAll(t.Name, ".", "-"), string(t.UID)+"\x1f"+identity)
}

// identityOf is what makes an event this event.
func identityOf(e *cloudevents.Event) string { return e.Source() + "\x1f" + e.ID() }

// shorten appends a hash of identity to as much of name as fits.
func shorten(name, identity string) string {
	sum := sha256.Sum256([]byte(identity))
	suffix := "-" + hex.EncodeToString(sum[:5])
	return strings.TrimRight(name[:min(len(name), maxName-len(suffix))], "-.") + suffix
}

// labelValue is the trigger's name as a label's value, which may be shorter than
// a name.
func labelValue(name string) string {
	if len(name) <= maxName {
		return name
	}
	return shorten(name, name)
}

// keyLabel is the trigger's key as a label's value: a hash, since a key may be any
// text and may be somebody's name.
func keyLabel(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}

// order is an ActionSet to be made.
type order struct {
	name string
	// event that it is made from; of several, the last.
	event *cloudevents.Event
	// key of the event.
	key string
	// events is how many it stands for.
	events int64
	// patience is how long to wait for its turn.
	patience time.Duration
}

// identify says where an ActionSet came from. That wins over the template.
func (o *order) identify(as *kanister.ActionSet, t *salvor.ActionTrigger) {
	as.Namespace, as.Name = t.Namespace, o.name
	if as.Labels == nil {
		as.Labels = map[string]string{}
	}
	if as.Annotations == nil {
		as.Annotations = map[string]string{}
	}
	// What only Salvor says about an ActionSet is not to be had from a template.
	delete(as.Labels, salvor.LabelPrunes)
	delete(as.Labels, salvor.LabelTriggerKey)
	delete(as.Annotations, salvor.AnnotationEvents)
	as.Labels[salvor.LabelTrigger] = labelValue(t.Name)
	if t.Spec.Key != "" {
		as.Labels[salvor.LabelTriggerKey] = keyLabel(o.key)
	}
	as.Annotations[salvor.AnnotationTriggerUID] = string(t.UID)
	as.Annotations[salvor.AnnotationEventID] = o.event.ID()
	as.Annotations[salvor.AnnotationEventSource] = o.event.Source()
	as.Annotations[salvor.AnnotationEventType] = o.event.Type()
	as.Annotations[salvor.AnnotationChain] = strings.Join(append(chainOf(o.event), string(t.UID)), ",")
	if o.events > 1 {
		as.Annotations[salvor.AnnotationEvents] = strconv.FormatInt(o.events, 10)
	}
	if trace, ok := o.event.Extensions()[event.ExtTraceparent].(string); ok {
		as.Annotations[salvor.AnnotationTraceparent] = trace
	}
}

// madeFrom reports whether an ActionSet is the one that the trigger makes from
// the event.
func madeFrom(as *kanister.ActionSet, t *salvor.ActionTrigger, e *cloudevents.Event) bool {
	return as.Labels[salvor.LabelTrigger] == labelValue(t.Name) &&
		as.Annotations[salvor.AnnotationEventID] == e.ID() &&
		as.Annotations[salvor.AnnotationEventSource] == e.Source()
}
