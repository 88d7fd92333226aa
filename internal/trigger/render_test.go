package trigger_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func withData(contentType, data string) func(e *cloudevents.Event) {
	return func(e *cloudevents.Event) {
		e.SetSubject("Orders/7")
		if contentType != "" {
			e.SetDataContentType(contentType)
		}
		e.DataEncoded = []byte(data)
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key   string
		event func(e *cloudevents.Event)
		want  string
		fault string
	}{
		{"", nil, "", ""},
		{"fixed", nil, "fixed", ""},
		{"{{ .Event.subject | lower }}", withData("", ""), "orders/7", ""},
		{"{{ .Event.subject }}", nil, "", `spec.key: line 1: "subject" not found in .Event; it has id, source, specversion, type`},
		{"{{ .Event.data.n }}", withData("application/json", `{"n": 12345678901}`), "12345678901", ""},
		{"{{ .Event.data.n }}", withData("application/cloudevents+json; charset=utf-8", `{"n": 1.5}`), "1.5", ""},
		{"{{ (index .Event.data 1).a }}", withData("", `[1, {"a": "b"}]`), "b", ""},
		{"{{ .Event.data }}", withData("text/plain", `{"n": 1}`), `{"n": 1}`, ""},
		{"{{ .Event.data }}", withData("application/json", `{"n":`), `{"n":`, ""},
		{"{{ .Event.data }}", withData("application/octet-stream", "\xff\xfe"), "", `"data" not found in .Event`},
		{"{{ .Event.data.missing }}", withData("application/json", `{"n": 1}`), "", `"missing" not found in .Event.data; it has n`},
		{"{{ .Event.data.n.m }}", withData("application/json", `{"n": "text"}`), "", `spec.key: line 1: `},
		{`{{ .Event.id | repeat 2000 }}`, nil, "", "spec.key: the key is 2000 bytes long; at most 1024 are allowed"},
		{`{{ range until 100000 }}{{ range until 100000 }}x{{ end }}{{ end }}`, nil, "", "spec.key: "},
		{`{{ fail "not this one" }}`, nil, "", "not this one"},
	} {
		compiled := compile(t, fmt.Sprintf("key: %q", c.key))
		got, err := compiled.Key(newEvent(c.event))
		if c.fault != "" {
			require.ErrorContains(t, err, c.fault, "%s", c.key)
			continue
		}
		require.NoError(t, err, "%s", c.key)
		assert.Equal(t, c.want, got)
	}
}

func TestActionSet(t *testing.T) {
	t.Parallel()
	const text = `
template:
  metadata:
    labels: {tier: gold, order: "{{ .Event.data.order }}"}
    annotations: {note: "{{ .Event.source }} said {{ .Event.data.note | quote }}"}
  spec:
    actions:
    - {name: backup, blueprint: bp, object: {kind: Namespace, name: shop}, options: {a: "{{ .Event.tenant }}", b: plain}}
    - {name: verify, blueprint: bp, object: {kind: Namespace, name: shop}}`
	c := compile(t, text)
	e := func(order string) *cloudevents.Event {
		return newEvent(func(e *cloudevents.Event) {
			e.SetExtension("tenant", "t1")
			assert.NoError(t, e.SetData(cloudevents.ApplicationJSON, map[string]string{"order": order, "note": "{{ .Event.id }}"}))
		})
	}
	as, err := c.ActionSet(e("7"))
	require.NoError(t, err)
	assert.Empty(t, as.Name)
	assert.Empty(t, as.Namespace)
	assert.Equal(t, map[string]string{"tier": "gold", "order": "7"}, as.Labels)
	assert.Equal(t, `/shop/orders said "{{ .Event.id }}"`, as.Annotations["note"], "what an event brings is no template")
	require.Len(t, as.Spec.Actions, 2)
	assert.Equal(t, map[string]string{"a": "t1", "b": "plain"}, as.Spec.Actions[0].Options)

	// The next one is made of the same template, not of what the first has left.
	other, err := c.ActionSet(e("8"))
	require.NoError(t, err)
	assert.Equal(t, "8", other.Labels["order"])
	assert.Equal(t, "7", as.Labels["order"])

	_, err = c.ActionSet(e("not a label"))
	require.ErrorContains(t, err, `spec.template.metadata.labels[order]: "not a label" is no value of a label: `)
	_, err = c.ActionSet(newEvent(nil))
	require.ErrorContains(t, err, `spec.template.metadata.labels[order]: line 1: "data" not found in .Event; it has id`)
}

// All that is rendered for one ActionSet is bounded, not only each value.
func TestActionSetIsBounded(t *testing.T) {
	t.Parallel()
	options := make([]string, 8)
	for i := range options {
		options[i] = fmt.Sprintf(`o%d: "{{ .Event.data }}"`, i)
	}
	c := compile(t, `template: {spec: {actions: [{name: b, object: {}, options: {`+strings.Join(options, ", ")+`}}]}}`)
	_, err := c.ActionSet(newEvent(withData("text/plain", strings.Repeat("x", 30_000))))
	require.NoError(t, err)
	_, err = c.ActionSet(newEvent(withData("text/plain", strings.Repeat("x", 40_000))))
	require.ErrorContains(t, err, "spec.template.spec.actions[0].options[o6]: what is made of the event is over 262144 bytes")
}

// One trigger, many events at once.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	c := compile(t, `{key: "{{ .Event.id }}", when: {event: {filters: [{cesql: "id != ''"}]}}, template: {metadata: {labels: {id: "{{ .Event.id }}"}}, spec: {actions: [{name: b, object: {}}]}}}`)
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			for j := range 50 {
				id := fmt.Sprintf("%d-%d", i, j)
				e := newEvent(func(e *cloudevents.Event) { e.SetID(id) })
				assert.True(t, c.Match(e))
				if key, err := c.Key(e); assert.NoError(t, err) {
					assert.Equal(t, id, key)
				}
				as, err := c.ActionSet(e)
				if assert.NoError(t, err) {
					assert.Equal(t, id, as.Labels["id"])
				}
			}
		})
	}
	running.Wait()
}
