package bridge_test

import (
	"encoding/json"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/kubesource"
	"github.com/salvor-io/salvor/internal/stream"
)

const wanted = "example.com/backup-wanted"

// onAnnotation makes a trigger that waits for an annotation of ConfigMaps.
func (w *world) onAnnotation(name string, change func(a *salvor.AnnotationSource)) *salvor.ActionTrigger {
	w.t.Helper()
	return w.trigger(name, "", func(t *salvor.ActionTrigger) {
		source := &salvor.AnnotationSource{APIVersion: "v1", Kind: "ConfigMap", Key: wanted}
		if change != nil {
			change(source)
		}
		t.Spec.When = salvor.TriggerSource{Kubernetes: &salvor.KubernetesSource{Annotation: source}}
	})
}

func (w *world) configMap(name, value string, labels map[string]string) {
	w.t.Helper()
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if value != "" {
		object.Annotations = map[string]string{wanted: value}
	}
	_, err := w.clients.Kube.CoreV1().ConfigMaps(w.namespace).Create(w.t.Context(), object, metav1.CreateOptions{})
	require.NoError(w.t, err)
}

func (w *world) patchConfigMap(name, patch string) {
	w.t.Helper()
	_, err := w.clients.Kube.CoreV1().ConfigMaps(w.namespace).Patch(w.t.Context(), name, types.MergePatchType, []byte(`{"metadata":`+patch+`}`), metav1.PatchOptions{})
	require.NoError(w.t, err)
}

func (w *world) annotate(name, value string) {
	w.t.Helper()
	text, err := json.Marshal(map[string]any{"annotations": map[string]any{wanted: value}})
	require.NoError(w.t, err)
	w.patchConfigMap(name, string(text))
}

// stored are the events of a type that lie on EVENTS.
func (w *world) stored(typ string) []cloudevents.Event {
	w.t.Helper()
	s, err := w.js.Stream(w.t.Context(), event.StreamEvents)
	require.NoError(w.t, err)
	info, err := s.Info(w.t.Context())
	require.NoError(w.t, err)
	var out []cloudevents.Event
	for sequence := max(info.State.FirstSeq, 1); sequence <= info.State.LastSeq; sequence++ {
		msg, err := s.GetMsg(w.t.Context(), sequence)
		require.NoError(w.t, err)
		e, err := stream.Decode(msg.Header, msg.Data)
		require.NoError(w.t, err)
		if e.Type() == typ {
			assert.Equal(w.t, event.EventSubject(w.namespace, typ), msg.Subject, "it is for the trigger's namespace")
			out = append(out, e)
		}
	}
	return out
}

// fired waits for so many events of annotations, and returns "object=value" of each.
func (w *world) fired(n int) []string {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return len(w.stored(event.TypeAnnotation)) >= n }, patience, tick, "%d events", n)
	var out []string
	for _, e := range w.stored(event.TypeAnnotation) {
		var data kubesource.Annotation
		require.NoError(w.t, e.DataAs(&data))
		out = append(out, data.Object.Name+"="+data.Value)
	}
	return out
}

// A value that is new counts once, whatever becomes of the bridge; one that was there
// before the trigger does not.
func TestAnnotationFires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.configMap("old", "before", nil)
	w.configMap("plain", "", nil)
	w.start()
	owner := w.onAnnotation("wanted", func(a *salvor.AnnotationSource) {
		a.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "off", Operator: metav1.LabelSelectorOpDoesNotExist}}}
	})
	w.said("wanted", kubesource.Condition, "Watching")

	w.annotate("old", "v1")
	assert.Equal(t, []string{"old=v1"}, w.fired(1))
	e := w.stored(event.TypeAnnotation)[0]
	assert.Equal(t, string(owner.UID), e.Subject())
	assert.Equal(t, event.SourceKubernetes+"/"+w.namespace+"/wanted", e.Source())

	w.annotate("plain", "v1")
	w.fired(2)
	w.configMap("new", "v1", nil)
	w.fired(3)
	w.patchConfigMap("plain", `{"annotations":{"`+wanted+`":null}}`)
	w.patchConfigMap("old", `{"annotations":{"other":"x"},"labels":{"a":"b"}}`)
	w.configMap("off", "v1", map[string]string{"off": "1"})
	w.remembered(owner, 4)

	// Nothing of that counts again, nor what comes to fit; what changes while the bridge
	// is down does.
	w.stop()
	w.start()
	w.said("wanted", kubesource.Condition, "Watching")
	w.patchConfigMap("off", `{"labels":{"off":null}}`)
	w.stop()
	w.annotate("old", "v2")
	w.start()
	assert.Equal(t, []string{"old=v1", "plain=v1", "new=v1", "old=v2"}, w.fired(4))

	// Taken away and set again it counts; and back to a value it once had, too.
	w.annotate("plain", "v1")
	w.fired(5)
	w.annotate("old", "v1")
	assert.Equal(t, []string{"old=v1", "plain=v1", "new=v1", "old=v2", "plain=v1", "old=v1"}, w.fired(6))
	ids := map[string]bool{}
	for _, e := range w.stored(event.TypeAnnotation) {
		ids[e.ID()] = true
	}
	assert.Len(t, ids, 6)

	require.Eventually(t, func() bool { return len(w.actionSets()) == 6 }, patience, tick, "each starts one ActionSet")

	// The record goes with the trigger, also when nobody looks.
	kv, err := w.js.KeyValue(t.Context(), event.BucketTriggers)
	require.NoError(t, err)
	_, err = kv.Get(t.Context(), event.BaselineKey(string(owner.UID)))
	require.NoError(t, err)
	w.stop()
	require.NoError(t, w.clients.ActionTriggers(w.namespace).Delete(t.Context(), "wanted", metav1.DeleteOptions{}))
	w.start()
	w.forgotten(owner)
	second := w.onAnnotation("wanted", nil)
	w.said("wanted", kubesource.Condition, "Watching")
	require.NoError(t, w.clients.ActionTriggers(w.namespace).Delete(t.Context(), "wanted", metav1.DeleteOptions{}))
	w.forgotten(second)
	assert.Len(t, w.stored(event.TypeAnnotation), 6)
}

// remembered waits until the trigger's record has so many objects.
func (w *world) remembered(t *salvor.ActionTrigger, n int) {
	w.t.Helper()
	kv, err := w.js.KeyValue(w.t.Context(), event.BucketTriggers)
	require.NoError(w.t, err)
	require.EventuallyWithT(w.t, func(c *assert.CollectT) {
		entry, err := kv.Get(w.t.Context(), event.BaselineKey(string(t.UID)))
		if !assert.NoError(c, err) {
			return
		}
		var record struct {
			Annotation struct {
				Objects map[string]any `json:"objects"`
			} `json:"annotation"`
		}
		assert.NoError(c, json.Unmarshal(entry.Value(), &record))
		assert.Len(c, record.Annotation.Objects, n)
	}, patience, tick)
}

func (w *world) forgotten(t *salvor.ActionTrigger) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		s, err := w.js.Stream(w.t.Context(), "KV_"+event.BucketTriggers)
		if err != nil {
			return false
		}
		_, err = s.GetLastMsgForSubject(w.t.Context(), "$KV."+event.BucketTriggers+"."+event.BaselineKey(string(t.UID)))
		return err != nil
	}, patience, tick, "the record of %s is to go", t.Name)
}

// Two triggers share a watch and each sees what it asks for; one that is suspended sees
// and tells nothing.
func TestAnnotationFiresForSome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	w.onAnnotation("named", func(a *salvor.AnnotationSource) { a.Name = "b" })
	w.onAnnotation("all", nil)
	for _, name := range []string{"named", "all"} {
		w.said(name, kubesource.Condition, "Watching")
	}
	w.configMap("a", "1", nil)
	w.fired(1)
	w.configMap("b", "1", nil)
	assert.ElementsMatch(t, []string{"a=1", "b=1", "b=1"}, w.fired(3))

	suspend := func(yes string) {
		_, err := w.clients.ActionTriggers(w.namespace).Patch(t.Context(), "all", types.MergePatchType, []byte(`{"spec":{"suspend":`+yes+`}}`), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	suspend("true")
	w.ready("all", "Suspended")
	w.annotate("b", "2")
	w.fired(4)
	suspend("false")
	w.ready("all", "Watching")
	w.annotate("a", "3")
	assert.ElementsMatch(t, []string{"a=1", "b=1", "b=1", "b=2", "a=3"}, w.fired(5))
}

// What the trigger asks for and cannot have is told; when it can, it has it.
func TestAnnotationThatCannotBeSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.user = "system:serviceaccount:" + w.namespace + ":bridge"
	rules := []rbacv1.PolicyRule{
		{APIGroups: []string{kanister.GroupName}, Resources: []string{"actionsets"}, Verbs: []string{"get", "list", "watch", "create"}},
		{APIGroups: []string{salvor.GroupName}, Resources: []string{"actiontriggers"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{salvor.GroupName}, Resources: []string{"actiontriggers/status"}, Verbs: []string{"patch"}},
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
	}
	grant(t, w, rules)
	w.start()
	w.onAnnotation("forbidden", nil)
	w.onAnnotation("nothing", func(a *salvor.AnnotationSource) { a.Kind = "ConfigMop" })
	w.onAnnotation("everywhere", func(a *salvor.AnnotationSource) { a.Kind = "Namespace" })
	w.onEvent("events", "BackupWanted")
	assert.Contains(t, w.said("forbidden", kubesource.Condition, "Forbidden").Message, `{apiGroups: [""], resources: ["configmaps"], verbs: ["list", "watch"]}`)
	assert.Contains(t, w.said("events", kubesource.Condition, "Forbidden").Message, `resources: ["events"]`)
	assert.Contains(t, w.said("nothing", kubesource.Condition, "UnknownKind").Message, "ConfigMop")
	assert.Contains(t, w.said("everywhere", kubesource.Condition, "Invalid").Message, "in no namespace")

	rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps", "events"}, Verbs: []string{"list", "watch"}})
	_, err := w.clients.Kube.RbacV1().Roles(w.namespace).Update(t.Context(),
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "bridge"}, Rules: rules}, metav1.UpdateOptions{})
	require.NoError(t, err)
	w.said("forbidden", kubesource.Condition, "Watching")
	w.said("events", kubesource.Condition, "Watching")
	w.configMap("a", "1", nil)
	w.fired(1)
}

func (w *world) onEvent(name string, reasons ...string) *salvor.ActionTrigger {
	w.t.Helper()
	return w.trigger(name, "", func(t *salvor.ActionTrigger) {
		t.Spec.When = salvor.TriggerSource{Kubernetes: &salvor.KubernetesSource{Event: &salvor.ObjectEventSource{Reasons: reasons}}}
	})
}

func (w *world) happens(name, reason string, change func(e *corev1.Event)) {
	w.t.Helper()
	now := metav1.Now()
	e := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: name},
		InvolvedObject: corev1.ObjectReference{APIVersion: "apps/v1", Kind: "StatefulSet", Namespace: w.namespace, Name: "db"},
		Reason:         reason, Type: corev1.EventTypeNormal, Message: "please", Source: corev1.EventSource{Component: "db-operator"},
		Count: 1, FirstTimestamp: now, LastTimestamp: now,
	}
	if change != nil {
		change(e)
	}
	_, err := w.clients.Kube.CoreV1().Events(w.namespace).Create(w.t.Context(), e, metav1.CreateOptions{})
	require.NoError(w.t, err)
}

// Each occurrence of a Kubernetes Event counts once; those of Salvor's own doing do
// not, or a trigger would never come to rest.
func TestKubernetesEventFires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	owner := w.onEvent("wanted", "BackupWanted", "Upgrading")
	w.said("wanted", kubesource.Condition, "Watching")
	occurred := func(n int) []kubesource.Occurrence {
		t.Helper()
		require.Eventually(t, func() bool { return len(w.stored(event.TypeObject)) >= n }, patience, tick, "%d events", n)
		var out []kubesource.Occurrence
		for _, e := range w.stored(event.TypeObject) {
			assert.Equal(t, string(owner.UID), e.Subject())
			var data kubesource.Occurrence
			require.NoError(t, e.DataAs(&data))
			out = append(out, data)
		}
		return out
	}
	w.happens("other", "SomethingElse", nil)
	w.happens("own", "BackupWanted", func(e *corev1.Event) { e.Source.Component = "salvor" })
	w.happens("pod", "BackupWanted", func(e *corev1.Event) {
		e.InvolvedObject.Kind, e.InvolvedObject.Name = "Pod", (event.Key{Namespace: w.namespace, UID: "0d1a8f3e-x", Kind: event.KindCore, Attempt: 1}).PodName()
	})
	w.happens("first", "BackupWanted", nil)
	got := occurred(1)
	assert.Equal(t, kubesource.Occurrence{
		Object: kubesource.Object{APIVersion: "apps/v1", Kind: "StatefulSet", Namespace: w.namespace, Name: "db"},
		Reason: "BackupWanted", Type: "Normal", Message: "please", Count: 1, Reporter: "db-operator",
	}, got[0])
	_, err := w.clients.Kube.CoreV1().Events(w.namespace).Patch(t.Context(), "first", types.MergePatchType, []byte(`{"count":2}`), metav1.PatchOptions{})
	require.NoError(t, err)
	assert.EqualValues(t, 2, occurred(2)[1].Count)
	w.stop()
	w.happens("second", "Upgrading", nil)
	w.start()
	w.said("wanted", kubesource.Condition, "Watching")
	assert.Equal(t, "Upgrading", occurred(3)[2].Reason)
	w.happens("third", "BackupWanted", nil)
	assert.Len(t, occurred(4), 4)
}
