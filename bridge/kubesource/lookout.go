package kubesource

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// lookout is what a trigger asks for, resolved.
type lookout struct {
	targets []target
	watched []*watching
	// selector of the objects whose annotation is asked for.
	selector labels.Selector
}

// plan resolves what the trigger asks for; the fault is for its condition.
func (c *Controller) plan(t *salvor.ActionTrigger) (*lookout, *fault) {
	l := &lookout{}
	if a := t.Spec.When.Kubernetes.Annotation; a != nil {
		found, wrong := c.targetOf(t.Namespace, a)
		if wrong != nil {
			return nil, wrong
		}
		var err error
		if l.selector, err = metav1.LabelSelectorAsSelector(a.Selector); err != nil {
			return nil, &fault{reasonInvalid, fmt.Sprintf("spec.when.kubernetes.annotation.selector: %v", err), 0}
		}
		if a.Selector == nil {
			l.selector = labels.Everything()
		}
		l.targets = append(l.targets, found)
	}
	if e := t.Spec.When.Kubernetes.Event; e != nil {
		for _, reason := range e.Reasons {
			l.targets = append(l.targets, target{namespace: t.Namespace, resource: events, fields: selectorOf(e, reason)})
		}
	}
	return l, nil
}

func (c *Controller) targetOf(namespace string, a *salvor.AnnotationSource) (target, *fault) {
	const field = "spec.when.kubernetes.annotation"
	gv, err := schema.ParseGroupVersion(a.APIVersion)
	if err != nil {
		return target{}, &fault{reasonInvalid, fmt.Sprintf("%s.apiVersion: %v", field, err), 0}
	}
	mapping, err := c.Clients.Mapper.RESTMapping(gv.WithKind(a.Kind).GroupKind(), gv.Version)
	switch {
	case meta.IsNoMatchError(err):
		return target{}, &fault{reasonUnknown, fmt.Sprintf("%s: the API server knows no kind %s of %s; it is asked again every minute", field, a.Kind, a.APIVersion), unknownPause}
	case err != nil:
		return target{}, &fault{reasonUnread, fmt.Sprintf("%s: find the resource of kind %s: %v", field, a.Kind, err), faultMax}
	case mapping.Scope.Name() != meta.RESTScopeNameNamespace:
		return target{}, &fault{reasonInvalid, fmt.Sprintf("%s.kind: objects of kind %s are in no namespace; name a kind whose objects are", field, a.Kind), 0}
	case mapping.Resource == events:
		return target{}, &fault{reasonInvalid, field + ".kind: for Kubernetes Events use spec.when.kubernetes.event", 0}
	}
	return target{namespace: namespace, resource: mapping.Resource}, nil
}

// selectorOf has the API server select, so that nothing else is sent.
func selectorOf(e *salvor.ObjectEventSource, reason string) string {
	want := fields.Set{"reason": reason}
	for field, value := range map[string]string{"type": e.Type, "involvedObject.kind": e.Kind, "involvedObject.name": e.Name} {
		if value != "" {
			want[field] = value
		}
	}
	return want.AsSelector().String()
}

func (l *lookout) synced() bool {
	for _, w := range l.watched {
		if !w.informer.HasSynced() {
			return false
		}
	}
	return true
}

// comparison is what is new for a trigger, as events, and what it has seen then.
type comparison struct {
	next  *record
	found []cloudevents.Event
	// tooMany is how many objects are not followed.
	tooMany int
}

// compare finds out what is new for the trigger.
func (l *lookout) compare(t *salvor.ActionTrigger, was *record, now time.Time) (*comparison, error) {
	first := was == nil
	if first {
		was = &record{}
	}
	next := &record{Namespace: t.Namespace}
	out := &comparison{next: next}
	if a := t.Spec.When.Kubernetes.Annotation; a != nil {
		var changes []change
		of := strings.Join([]string{a.APIVersion, a.Kind, a.Key, a.Name}, " ")
		next.Annotation, changes, out.tooMany = was.Annotation.compare(of, a.Key, now, l.objects(a))
		for i := range changes {
			e, err := annotationEvent(t, &changes[i], now)
			if err != nil {
				return nil, err // it says all
			}
			out.found = append(out.found, e)
		}
	}
	if o := t.Spec.When.Kubernetes.Event; o != nil {
		// Without a record, those since the trigger was made count, unless there was one
		// before: then the store was lost, and they have been told.
		var since *time.Time
		if before := meta.FindStatusCondition(t.Status.Conditions, Condition); first && (before == nil || before.Status != metav1.ConditionTrue) {
			since = &t.CreationTimestamp.Time
		}
		var fired []occurrence
		var more int
		of := strings.Join([]string{strings.Join(o.Reasons, ","), o.Type, o.Kind, o.Name}, " ")
		all := l.occurrences()
		next.Events, fired, more = was.Events.compare(of, since, occurrencesOf(all))
		out.tooMany += more
		for _, f := range fired {
			e, err := objectEvent(t, all[f.uid], f, now)
			if err != nil {
				return nil, err // it says all
			}
			out.found = append(out.found, e)
		}
	}
	return out, nil
}

// objects of the kind that have the name, if one is asked for. Those that the selector
// does not fit are seen too: a value that they had before they fitted is not new.
func (l *lookout) objects(a *salvor.AnnotationSource) []object {
	var out []object
	for _, w := range l.watched {
		if w.resource == events {
			continue
		}
		for _, obj := range w.informer.GetStore().List() {
			o, ok := obj.(*metav1.PartialObjectMetadata)
			if !ok || (a.Name != "" && o.Name != a.Name) {
				continue
			}
			value, has := o.Annotations[a.Key]
			out = append(out, object{
				uid: string(o.UID), name: o.Name, value: value, has: has,
				fits: l.selector.Matches(labels.Set(o.Labels)) && o.DeletionTimestamp == nil,
			})
		}
	}
	return out
}

// occurrences are the Kubernetes Events by UID, but for those that Salvor causes.
func (l *lookout) occurrences() map[string]*corev1.Event {
	out := map[string]*corev1.Event{}
	for _, w := range l.watched {
		if w.resource != events {
			continue
		}
		for _, obj := range w.informer.GetStore().List() {
			if e, ok := obj.(*corev1.Event); ok && !own(e) {
				out[string(e.UID)] = e
			}
		}
	}
	return out
}

func occurrencesOf(all map[string]*corev1.Event) []occurrence {
	var out []occurrence
	for uid, e := range all {
		o := occurrence{uid: uid, count: max(int64(e.Count), 1), at: e.CreationTimestamp.Time}
		times := []time.Time{e.FirstTimestamp.Time, e.LastTimestamp.Time, e.EventTime.Time}
		if e.Series != nil {
			o.count = max(o.count, int64(e.Series.Count))
			times = append(times, e.Series.LastObservedTime.Time)
		}
		for _, at := range times {
			if at.After(o.at) {
				o.at = at
			}
		}
		out = append(out, o)
	}
	return out
}

// taskPod is the form of the names of Salvor's task pods, which event.Key makes.
var taskPod = regexp.MustCompile(`^salvor-[0-9a-z_-]{1,8}-[0-9]+(p[0-9]+|defer|render)-[0-9]+-[0-9a-f]{10}$`)

// own reports whether Salvor made the Event, or it is about a task pod: a trigger that
// fired for what its own run causes would never end.
func own(e *corev1.Event) bool {
	for _, reporter := range []string{e.ReportingController, e.Source.Component} {
		if reporter == "salvor" || strings.HasPrefix(reporter, "salvor-") || strings.HasPrefix(reporter, "salvor.io/") {
			return true
		}
	}
	return e.InvolvedObject.Kind == "Pod" && taskPod.MatchString(e.InvolvedObject.Name)
}
