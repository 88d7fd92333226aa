package trigger_test

import (
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/trigger"
)

func TestSmoke(t *testing.T) {
	var at salvor.ActionTrigger
	require.NoError(t, yaml.Unmarshal([]byte(`
metadata: {name: a, namespace: b, uid: u}
spec:
  when:
    event: {filters: [{cesql: "type = 'x' AND EXISTS subject"}, {any: [{not: {exact: {source: /a}}}]}]}
    schedule: {cron: "0 2 * * *", timeZone: Europe/Berlin, jitter: 1h}
  key: "{{ .Event.subject | lower }}"
  coalesce: 30s
  template: {metadata: {labels: {a: "{{ .Event.type }}"}}, spec: {actions: [{name: backup, object: {kind: Namespace, name: a}, options: {x: "{{ .Event.id }}"}}]}}
`), &at))
	c, err := trigger.Compile(&at)
	require.NoError(t, err)
	e := cloudevents.NewEvent()
	e.SetID("1")
	e.SetType("x")
	e.SetSource("/s")
	e.SetSubject("ABC")
	require.True(t, c.Match(&e))
	key, err := c.Key(&e)
	require.NoError(t, err)
	require.Equal(t, "abc", key)
	as, err := c.ActionSet(&e)
	require.NoError(t, err)
	require.Equal(t, "1", as.Spec.Actions[0].Options["x"])
	require.Equal(t, "2026-03-29T01:00:00Z", c.Schedule().Next(time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)).Format(time.RFC3339))
}
