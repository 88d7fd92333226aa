package trigger

import (
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

func aTrigger(name string, filters ...map[string]string) *salvor.ActionTrigger {
	t := &salvor.ActionTrigger{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: "trigger-uid"},
		Spec: salvor.ActionTriggerSpec{Template: salvor.ActionSetTemplate{
			Metadata: salvor.TemplateMetadata{
				Labels:      map[string]string{"team": "db", salvor.LabelTrigger: "forged"},
				Annotations: map[string]string{salvor.AnnotationEventID: "forged"},
			},
			Spec: kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{Name: "backup"}}},
		}},
	}
	t.Spec.When.Event = &salvor.EventSource{}
	for _, filter := range filters {
		t.Spec.When.Event.Filters = append(t.Spec.When.Event.Filters, salvor.EventFilter{Exact: filter})
	}
	return t
}

func anEvent() cloudevents.Event {
	e := cloudevents.NewEvent()
	e.SetID("1")
	e.SetSource("/app")
	e.SetType("com.example.saved")
	e.SetSubject("orders")
	e.SetTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	e.SetExtension("tenant", "a")
	e.SetExtension("count", 7)
	e.SetExtension("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	return e
}

func TestMatch(t *testing.T) {
	saved := map[string]string{"type": "com.example.saved"}
	suspended := aTrigger("t", saved)
	suspended.Spec.Suspend = true
	deleted := aTrigger("t", saved)
	deleted.DeletionTimestamp = &metav1.Time{}
	for name, c := range map[string]struct {
		trigger   *salvor.ActionTrigger
		namespace string
		want      bool
	}{
		"type":                      {aTrigger("t", saved), "", true},
		"all of one filter":         {aTrigger("t", map[string]string{"type": "com.example.saved", "source": "/app", "subject": "orders", "specversion": "1.0"}), "", true},
		"extensions":                {aTrigger("t", map[string]string{"tenant": "a", "count": "7"}), "", true},
		"time":                      {aTrigger("t", map[string]string{"time": "2026-01-02T03:04:05Z"}), "", true},
		"all filters":               {aTrigger("t", saved, map[string]string{"tenant": "a"}), "", true},
		"one filter does not":       {aTrigger("t", saved, map[string]string{"tenant": "b"}), "", false},
		"one attribute does not":    {aTrigger("t", map[string]string{"type": "com.example.saved", "tenant": "b"}), "", false},
		"an attribute is absent":    {aTrigger("t", map[string]string{"nothing": ""}), "", false},
		"to the letter":             {aTrigger("t", map[string]string{"type": "com.example.Saved"}), "", false},
		"no prefix":                 {aTrigger("t", map[string]string{"type": "com.example"}), "", false},
		"no filters":                {aTrigger("t"), "", false},
		"an empty filter":           {aTrigger("t", map[string]string{}), "", false},
		"suspended":                 {suspended, "", false},
		"deleted":                   {deleted, "", false},
		"addressed to it":           {aTrigger("t", saved), "shop", true},
		"addressed to another":      {aTrigger("t", saved), "bank", false},
		"addressed to a look-alike": {aTrigger("t", saved), "sho", false},
	} {
		t.Run(name, func(t *testing.T) {
			e := anEvent()
			assert.Equal(t, c.want, match(c.trigger, c.namespace, attributesOf(&e)))
		})
	}
}

// The name is a pure function of trigger, source and id, valid for any trigger,
// and different for different events.
func TestNames(t *testing.T) {
	e := anEvent()
	assert.Equal(t, "nightly-aae50877a3", actionSetName(aTrigger("nightly"), &e), "a change here makes every event new again")
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?`)
		name := strings.Join(rapid.SliceOfN(label, 1, 8).Draw(t, "name"), ".")
		trigger := aTrigger(name)
		a, b := anEvent(), anEvent()
		a.SetID(rapid.StringMatching(`[!-~]{1,20}`).Draw(t, "a"))
		b.SetID(rapid.StringMatching(`[!-~]{1,20}`).Draw(t, "b"))
		got := actionSetName(trigger, &a)
		assert.Empty(t, validation.IsDNS1123Label(got), got)
		assert.Empty(t, validation.IsValidLabelValue(labelValue(name)), name)
		assert.Equal(t, a.ID() == b.ID(), got == actionSetName(trigger, &b))
		b.SetID(a.ID())
		b.SetSource(a.Source() + "x")
		assert.NotEqual(t, got, actionSetName(trigger, &b))
		trigger.UID = "another"
		assert.NotEqual(t, got, actionSetName(trigger, &a))
	})
}

// The boundary between source and id is part of the identity.
func TestSourceAndIDDoNotRunTogether(t *testing.T) {
	a, b := anEvent(), anEvent()
	a.SetSource("/x")
	a.SetID("y1")
	b.SetSource("/xy")
	b.SetID("1")
	assert.NotEqual(t, actionSetName(aTrigger("t"), &a), actionSetName(aTrigger("t"), &b))
}

func TestNewActionSet(t *testing.T) {
	trigger, e := aTrigger("nightly"), anEvent()
	as := newActionSet(trigger, &e)
	assert.Equal(t, "shop", as.Namespace)
	assert.Equal(t, map[string]string{"team": "db", salvor.LabelTrigger: "nightly"}, as.Labels, "what identifies it cannot be forged by the template")
	assert.Equal(t, map[string]string{
		salvor.AnnotationEventID: "1", salvor.AnnotationEventSource: "/app", salvor.AnnotationEventType: "com.example.saved",
		salvor.AnnotationTraceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}, as.Annotations)
	assert.True(t, madeFrom(as, trigger, &e))
	other := anEvent()
	other.SetID("2")
	assert.False(t, madeFrom(as, trigger, &other))
	as.Spec.Actions[0].Name = "changed"
	assert.Equal(t, "backup", trigger.Spec.Template.Spec.Actions[0].Name, "the trigger in the cache is not shared")
	assert.Equal(t, "forged", trigger.Spec.Template.Metadata.Labels[salvor.LabelTrigger])
}

func TestBackoffAndNamespace(t *testing.T) {
	assert.Equal(t, time.Second, backoff(1))
	assert.Equal(t, 4*time.Second, backoff(3))
	assert.Equal(t, time.Minute, backoff(1000))
	assert.Empty(t, namespaceOf("salvor.events._.a.b"))
	assert.Equal(t, "shop", namespaceOf("salvor.events.shop.a.b"))
}
