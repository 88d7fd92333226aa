package bridge_test

import (
	"fmt"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	ceclient "github.com/cloudevents/sdk-go/v2/client"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge"
	"github.com/salvor-io/salvor/internal/stream"
)

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// trigger makes an ActionTrigger for events of a type.
func (w *world) trigger(name, typ string, change func(t *salvor.ActionTrigger)) *salvor.ActionTrigger {
	w.t.Helper()
	t := &salvor.ActionTrigger{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: salvor.ActionTriggerSpec{
			When: salvor.TriggerSource{Event: &salvor.EventSource{Filters: []salvor.EventFilter{{Exact: map[string]string{"type": typ}}}}},
			Template: salvor.ActionSetTemplate{Spec: kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{
				Name: "backup", Blueprint: "bp", Object: kanister.ObjectReference{Kind: "Namespace", Name: w.namespace},
			}}}},
		},
	}
	if change != nil {
		change(t)
	}
	created, err := w.clients.ActionTriggers(w.namespace).Create(w.t.Context(), t, metav1.CreateOptions{})
	require.NoError(w.t, err)
	return created
}

// send posts an event to the bridge's endpoint.
func (w *world) send(path, id, typ string) {
	w.t.Helper()
	e := cloudevents.NewEvent()
	e.SetID(id)
	e.SetSource("/shop")
	e.SetType(typ)
	e.SetExtension("traceparent", trace)
	client, err := ceclient.NewHTTP(cehttp.WithTarget("http://" + w.bridge.EventsAddr().String() + path))
	require.NoError(w.t, err)
	result := client.Send(w.t.Context(), e)
	require.True(w.t, cloudevents.IsACK(result), "%v", result)
}

func (w *world) actionSets() []kanister.ActionSet {
	w.t.Helper()
	list, err := w.clients.ActionSets(w.namespace).List(w.t.Context(), metav1.ListOptions{})
	require.NoError(w.t, err)
	return list.Items
}

// ready waits for the trigger's condition to have a reason.
func (w *world) ready(name, reason string) *salvor.ActionTrigger {
	w.t.Helper()
	var found *salvor.ActionTrigger
	require.EventuallyWithT(w.t, func(c *assert.CollectT) {
		var err error
		found, err = w.clients.ActionTriggers(w.namespace).Get(w.t.Context(), name, metav1.GetOptions{})
		if assert.NoError(c, err) {
			condition := meta.FindStatusCondition(found.Status.Conditions, "Ready")
			if assert.NotNil(c, condition) {
				assert.Equal(c, reason, condition.Reason)
			}
		}
	}, patience, tick)
	return found
}

// drained waits until every event has been looked at for the last time.
func (w *world) drained() {
	w.t.Helper()
	require.EventuallyWithT(w.t, func(c *assert.CollectT) {
		s, err := w.js.Stream(w.t.Context(), event.StreamEvents)
		if !assert.NoError(c, err) {
			return
		}
		found := 0
		for info := range s.ListConsumers(w.t.Context()).Info() {
			found++
			assert.Equal(c, s.CachedInfo().State.LastSeq, info.AckFloor.Stream)
		}
		assert.Equal(c, 1, found)
	}, patience, tick)
}

// An event becomes one ActionSet and that one run, however often it is sent; the
// trace goes along.
func TestEventStartsARunOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	w.trigger("nightly", "com.example.saved", nil)
	w.ready("nightly", "Watching")
	for range 3 {
		w.send("/events", "e1", "com.example.saved")
	}
	w.send("/events/"+w.namespace, "e2", "com.example.saved")
	w.drained()
	all := w.actionSets()
	require.Len(t, all, 2)
	for i := range all {
		assert.Equal(t, "nightly", all[i].Labels[salvor.LabelTrigger])
		assert.Equal(t, "/shop", all[i].Annotations[salvor.AnnotationEventSource])
		run, _ := w.run(&all[i])
		assert.Equal(t, trace, run.Traceparent)
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		found := w.ready("nightly", "Watching")
		if assert.NotNil(c, found.Status.LastEvent) {
			assert.Contains(c, []string{all[0].Name, all[1].Name}, found.Status.LastActionSet)
			assert.Equal(c, "com.example.saved", found.Status.LastEvent.Type)
		}
	}, patience, tick)

	// Redelivery of everything, as after the loss of the consumer, makes nothing new.
	w.stop()
	s, err := w.js.Stream(t.Context(), event.StreamEvents)
	require.NoError(t, err)
	for name := range s.ConsumerNames(t.Context()).Name() {
		require.NoError(t, s.DeleteConsumer(t.Context(), name))
	}
	w.start()
	w.drained()
	assert.Len(t, w.actionSets(), 2)
}

// What must not fire does not: suspended, other namespaces, Salvor's own events.
func TestEventsThatStartNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *bridge.Options) { o.Namespaces = nil }).start()
	w.trigger("watching", "t.a", nil)
	w.trigger("asleep", "t.b", func(t *salvor.ActionTrigger) { t.Spec.Suspend = true })
	w.trigger("loop", "", func(t *salvor.ActionTrigger) {
		t.Spec.When.Event.Filters[0] = salvor.EventFilter{Prefix: map[string]string{"type": "io."}} // names nothing of Salvor's
	})
	w.ready("asleep", "Suspended")
	w.ready("watching", "Watching")
	w.ready("loop", "Watching")
	w.send("/events/kube-system", "1", "t.a") // another namespace's
	w.send("/events", "2", "t.b")
	w.send("/events", "3", "nobody.cares")
	own, err := event.NewLifecycleEvent(event.TypeRunCompleted, "x", time.Now(), "", &event.Lifecycle{Namespace: w.namespace})
	require.NoError(t, err)
	_, err = stream.NewEvents(w.js).Publish(t.Context(), w.namespace, own)
	require.NoError(t, err)
	w.drained()
	assert.Empty(t, w.actionSets())

	// Woken up, it fires for what comes then, not for what was ignored.
	_, err = w.clients.ActionTriggers(w.namespace).Patch(t.Context(), "asleep", types.MergePatchType, []byte(`{"spec":{"suspend":false}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	w.ready("asleep", "Watching")
	w.send("/events", "4", "t.b")
	w.drained()
	require.Len(t, w.actionSets(), 1)
	assert.Equal(t, "4", w.actionSets()[0].Annotations[salvor.AnnotationEventID])
}

// A trigger that was made a moment before the event fires for it.
func TestTriggerMadeAMomentAgo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	for i := range 5 {
		typ := fmt.Sprintf("t.%d", i)
		w.trigger(fmt.Sprintf("fresh-%d", i), typ, nil)
		w.send("/events", typ, typ)
	}
	w.drained()
	assert.Len(t, w.actionSets(), 5)
}

// A name that somebody else took is told, and the event is not tried for ever.
func TestNameTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	w.trigger("first", "t.a", nil)
	w.ready("first", "Watching")
	w.send("/events", "1", "t.a")
	w.drained()
	all := w.actionSets()
	require.Len(t, all, 1)
	// The same name, but not made from the event.
	require.NoError(t, w.clients.ActionSets(w.namespace).Delete(t.Context(), all[0].Name, metav1.DeleteOptions{}))
	w.create(all[0].Name)
	_, err := stream.NewEvents(w.js).Publish(t.Context(), w.namespace, again(t, "1", "t.a"))
	require.NoError(t, err)
	found := w.ready("first", "NameTaken")
	assert.Contains(t, meta.FindStatusCondition(found.Status.Conditions, "Ready").Message, all[0].Name)
	w.drained()
}

// again is the event that send sends, for a stream that would take the one from
// the endpoint for a duplicate.
func again(t *testing.T, id, typ string) cloudevents.Event {
	t.Helper()
	e := cloudevents.NewEvent()
	e.SetID(id)
	e.SetSource("/shop")
	e.SetType(typ)
	return e
}

// An ActionSet that the API server refuses for good is told in the condition.
func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.trigger("bad", "t.a", func(t *salvor.ActionTrigger) {
		t.Spec.Template.Metadata.Labels = map[string]string{"not a label": "x"}
	})
	w.start()
	w.send("/events", "1", "t.a")
	found := w.ready("bad", "Invalid")
	assert.Contains(t, meta.FindStatusCondition(found.Status.Conditions, "Ready").Message, "not a label")
	w.drained()
	assert.Empty(t, w.actionSets())
}

// The bridge works with no more rights than these. A right to create ActionSets
// that is missing is told in the condition.
func TestRights(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.user = "system:serviceaccount:" + w.namespace + ":bridge"
	grant(t, w, []rbacv1.PolicyRule{
		{APIGroups: []string{kanister.GroupName}, Resources: []string{"actionsets"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{kanister.GroupName}, Resources: []string{"actionsets/status"}, Verbs: []string{"patch"}},
		{APIGroups: []string{salvor.GroupName}, Resources: []string{"actiontriggers"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{salvor.GroupName}, Resources: []string{"actiontriggers/status"}, Verbs: []string{"patch"}},
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
	})
	w.start()
	as := w.create("allowed")
	w.advance(as, begin)
	w.advance(as, finish)
	w.status(as, kanister.StateComplete)
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Len(c, w.reasons(as), 2) }, patience, tick)

	w.trigger("t", "t.a", nil)
	w.send("/events", "1", "t.a")
	found := w.ready("t", "Forbidden")
	assert.Contains(t, meta.FindStatusCondition(found.Status.Conditions, "Ready").Message, "cannot create resource")
	w.drained()
}

func grant(t *testing.T, w *world, rules []rbacv1.PolicyRule) {
	t.Helper()
	rbac := w.clients.Kube.RbacV1()
	_, err := rbac.Roles(w.namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "bridge"}, Rules: rules}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = rbac.RoleBindings(w.namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "bridge"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "bridge"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: w.user}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
}
