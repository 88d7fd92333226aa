package trigger_test

import (
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/trigger"
)

// newTrigger is a trigger that nothing is wrong with.
func newTrigger(change func(s *salvor.ActionTriggerSpec)) *salvor.ActionTrigger {
	t := &salvor.ActionTrigger{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "nightly", UID: "4711"},
		Spec: salvor.ActionTriggerSpec{
			When: salvor.TriggerSource{Event: &salvor.EventSource{Filters: []salvor.EventFilter{{Exact: map[string]string{"type": "com.example.saved"}}}}},
			Template: salvor.ActionSetTemplate{Spec: kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{
				Name: "backup", Blueprint: "bp", Object: kanister.ObjectReference{Kind: "Namespace", Name: "shop"},
			}}}},
		},
	}
	if change != nil {
		change(&t.Spec)
	}
	return t
}

// parse is newTrigger with the YAML of some fields of spec over it.
func parse(t require.TestingT, text string) *salvor.ActionTrigger {
	at := newTrigger(nil)
	var fields map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &fields))
	if _, ok := fields["when"]; ok {
		at.Spec.When = salvor.TriggerSource{}
	}
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &at.Spec))
	return at
}

func compile(t require.TestingT, text string) *trigger.Compiled {
	c, err := trigger.Compile(parse(t, text))
	require.NoError(t, err)
	return c
}

// newEvent is an event from outside.
func newEvent(change func(e *cloudevents.Event)) *cloudevents.Event {
	e := cloudevents.NewEvent()
	e.SetID("1")
	e.SetSource("/shop/orders")
	e.SetType("com.example.saved")
	if change != nil {
		change(&e)
	}
	return &e
}

func TestInvalidErrorSaysAll(t *testing.T) {
	t.Parallel()
	_, err := trigger.Compile(parse(t, `{concurrency: forbid, coalesce: 3d}`))
	var invalid *trigger.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, `spec.concurrency: "forbid" is not known; did you mean Forbid?
spec.coalesce: "3d" is no length of time; write days as hours: 72h`, err.Error())
}
