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

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

func aTrigger(name string) *salvor.ActionTrigger {
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

// The name is a pure function of trigger, source and id, valid for any trigger,
// and different for different events.
func TestNames(t *testing.T) {
	e := anEvent()
	assert.Equal(t, "nightly-aae50877a3", actionSetName(aTrigger("nightly"), identityOf(&e)), "a change here makes every event new again")
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?`)
		name := strings.Join(rapid.SliceOfN(label, 1, 8).Draw(t, "name"), ".")
		trigger := aTrigger(name)
		a, b := anEvent(), anEvent()
		a.SetID(rapid.StringMatching(`[!-~]{1,20}`).Draw(t, "a"))
		b.SetID(rapid.StringMatching(`[!-~]{1,20}`).Draw(t, "b"))
		got := actionSetName(trigger, identityOf(&a))
		assert.Empty(t, validation.IsDNS1123Label(got), got)
		assert.Empty(t, validation.IsValidLabelValue(labelValue(name)), name)
		assert.Equal(t, a.ID() == b.ID(), got == actionSetName(trigger, identityOf(&b)))
		b.SetID(a.ID())
		b.SetSource(a.Source() + "x")
		assert.NotEqual(t, got, actionSetName(trigger, identityOf(&b)))
		trigger.UID = "another"
		assert.NotEqual(t, got, actionSetName(trigger, identityOf(&a)))
	})
}

// The boundary between source and id is part of the identity.
func TestSourceAndIDDoNotRunTogether(t *testing.T) {
	a, b := anEvent(), anEvent()
	a.SetSource("/x")
	a.SetID("y1")
	b.SetSource("/xy")
	b.SetID("1")
	assert.NotEqual(t, actionSetName(aTrigger("t"), identityOf(&a)), actionSetName(aTrigger("t"), identityOf(&b)))
}

func TestIdentify(t *testing.T) {
	trigger, e := aTrigger("nightly"), anEvent()
	trigger.Spec.Key = "{{ .Event.subject }}"
	made := func(o order) *kanister.ActionSet {
		as := &kanister.ActionSet{ObjectMeta: metav1.ObjectMeta{
			Labels:      map[string]string{"team": "db", salvor.LabelTrigger: "forged", salvor.LabelPrunes: "forged"},
			Annotations: map[string]string{salvor.AnnotationEventID: "forged", salvor.AnnotationEvents: "9", "a": "b"},
		}}
		o.identify(as, trigger)
		return as
	}
	as := made(order{name: "n", event: &e, key: "orders", events: 1})
	assert.Equal(t, "shop", as.Namespace)
	assert.Equal(t, map[string]string{
		"team": "db", salvor.LabelTrigger: "nightly", salvor.LabelTriggerKey: keyLabel("orders"),
	}, as.Labels, "what identifies it cannot be forged by the template")
	assert.Equal(t, map[string]string{
		"a": "b", salvor.AnnotationTriggerUID: "trigger-uid", salvor.AnnotationChain: "trigger-uid",
		salvor.AnnotationEventID: "1", salvor.AnnotationEventSource: "/app", salvor.AnnotationEventType: "com.example.saved",
		salvor.AnnotationTraceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}, as.Annotations)
	assert.True(t, madeFrom(as, trigger, &e))
	other := anEvent()
	other.SetID("2")
	assert.False(t, madeFrom(as, trigger, &other))

	// A chain goes on, but only one that Salvor itself tells of.
	e.SetExtension(event.ExtChain, "first,second")
	assert.Equal(t, "trigger-uid", made(order{event: &e}).Annotations[salvor.AnnotationChain])
	e.SetSource(event.SourceDispatcher)
	as = made(order{event: &e, events: 3})
	assert.Equal(t, "first,second,trigger-uid", as.Annotations[salvor.AnnotationChain])
	assert.Equal(t, "3", as.Annotations[salvor.AnnotationEvents])
}

func TestBackoffAndNamespace(t *testing.T) {
	assert.Equal(t, time.Second, backoff(1))
	assert.Equal(t, 4*time.Second, backoff(3))
	assert.Equal(t, time.Minute, backoff(1000))
	assert.Empty(t, namespaceOf("salvor.events._.a.b"))
	assert.Equal(t, "shop", namespaceOf("salvor.events.shop.a.b"))
}
