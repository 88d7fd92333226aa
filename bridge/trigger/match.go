package trigger

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// ownSource is the prefix of the sources of Salvor's own events.
const ownSource = "/salvor/"

// maxName bounds the name of an ActionSet: it is also used in labels.
const maxName = 63

// match reports whether the trigger fires for an event addressed to namespace
// ("" for all).
func match(t *salvor.ActionTrigger, namespace string, attributes map[string]string) bool {
	if t.Spec.Suspend || t.DeletionTimestamp != nil || (namespace != "" && t.Namespace != namespace) {
		return false
	}
	if t.Spec.When.Event == nil {
		return false
	}
	filters := t.Spec.When.Event.Filters
	for _, filter := range filters {
		// A filter that names nothing would match everything; the CRD refuses it.
		if len(filter.Exact) == 0 {
			return false
		}
		for name, want := range filter.Exact {
			if got, ok := attributes[name]; !ok || got != want {
				return false
			}
		}
	}
	return len(filters) > 0
}

// attributesOf are the context attributes as text, in the canonical form of the
// CloudEvents specification; those that are absent are not in it.
func attributesOf(e *cloudevents.Event) map[string]string {
	all := map[string]string{
		"specversion": e.SpecVersion(), "id": e.ID(), "source": e.Source(), "type": e.Type(), "subject": e.Subject(),
		"dataschema": e.DataSchema(), "datacontenttype": e.DataContentType(),
	}
	if !e.Time().IsZero() {
		all["time"] = types.FormatTime(e.Time())
	}
	for name, value := range e.Extensions() {
		if text, err := types.Format(value); err == nil {
			all[name] = text
		}
	}
	for name, value := range all {
		if value == "" {
			delete(all, name)
		}
	}
	return all
}

// actionSetName is the name of the ActionSet that the trigger makes from the
// event: a DNS label, the same whoever computes it.
func actionSetName(t *salvor.ActionTrigger, e *cloudevents.Event) string {
	return shorten(strings.ReplaceAll(t.Name, ".", "-"), string(t.UID)+"\x1f"+e.Source()+"\x1f"+e.ID())
}

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

// newActionSet is the ActionSet to be made. What identifies it wins over the
// template.
func newActionSet(t *salvor.ActionTrigger, e *cloudevents.Event) *kanister.ActionSet {
	template := t.Spec.Template.DeepCopy()
	as := &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   t.Namespace,
			Name:        actionSetName(t, e),
			Labels:      template.Metadata.Labels,
			Annotations: template.Metadata.Annotations,
		},
		Spec: &template.Spec,
	}
	if as.Labels == nil {
		as.Labels = map[string]string{}
	}
	if as.Annotations == nil {
		as.Annotations = map[string]string{}
	}
	as.Labels[salvor.LabelTrigger] = labelValue(t.Name)
	as.Annotations[salvor.AnnotationEventID] = e.ID()
	as.Annotations[salvor.AnnotationEventSource] = e.Source()
	as.Annotations[salvor.AnnotationEventType] = e.Type()
	if trace, ok := e.Extensions()[event.ExtTraceparent].(string); ok {
		as.Annotations[salvor.AnnotationTraceparent] = trace
	}
	return as
}

// madeFrom reports whether an ActionSet is the one that the trigger makes from
// the event.
func madeFrom(as *kanister.ActionSet, t *salvor.ActionTrigger, e *cloudevents.Event) bool {
	return as.Labels[salvor.LabelTrigger] == labelValue(t.Name) &&
		as.Annotations[salvor.AnnotationEventID] == e.ID() &&
		as.Annotations[salvor.AnnotationEventSource] == e.Source()
}
