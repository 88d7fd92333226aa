package trigger_test

import (
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/trigger"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, filters string
		event         func(e *cloudevents.Event)
		want          bool
	}{
		{"exact", `[{exact: {type: com.example.saved}}]`, nil, true},
		{"exact is to the letter", `[{exact: {type: com.example.Saved}}]`, nil, false},
		{"exact, all attributes", `[{exact: {type: com.example.saved, source: /shop/invoices}}]`, nil, false},
		{"an attribute that is absent", `[{exact: {subject: x}}]`, nil, false},
		{"an extension", `[{exact: {tenant: a}}]`, func(e *cloudevents.Event) { e.SetExtension("tenant", "a") }, true},
		{"an extension that is a number", `[{exact: {size: "7"}}]`, func(e *cloudevents.Event) { e.SetExtension("size", 7) }, true},
		{"an extension that is true", `[{exact: {big: "true"}}]`, func(e *cloudevents.Event) { e.SetExtension("big", true) }, true},
		{"prefix", `[{prefix: {source: /shop/}}]`, nil, true},
		{"prefix of nothing", `[{prefix: {subject: ""}}]`, nil, false},
		{"prefix of all", `[{prefix: {type: ""}}]`, nil, true},
		{"suffix", `[{suffix: {type: .saved}}]`, nil, true},
		{
			"all standard attributes", `[{exact: {specversion: "1.0", id: "1", subject: s, time: "2026-11-23T01:02:03.5Z", datacontenttype: text/plain, dataschema: "https://example.com/s"}}]`,
			func(e *cloudevents.Event) {
				e.SetSubject("s")
				e.SetTime(time.Date(2026, 11, 23, 2, 2, 3, 500e6, time.FixedZone("", 3600)))
				e.SetDataContentType("text/plain")
				e.SetDataSchema("https://example.com/s")
			}, true,
		},
		{"a time that is absent", `[{prefix: {time: ""}}]`, nil, false},
		{"all filters of the list", `[{prefix: {type: com}}, {suffix: {type: .lost}}]`, nil, false},
		{"all", `[{all: [{prefix: {type: com}}, {suffix: {type: .saved}}]}]`, nil, true},
		{"all, one does not", `[{all: [{prefix: {type: com}}, {suffix: {type: .lost}}]}]`, nil, false},
		{"any", `[{any: [{exact: {type: a}}, {exact: {type: com.example.saved}}]}]`, nil, true},
		{"any, none does", `[{any: [{exact: {type: a}}, {exact: {type: b}}]}]`, nil, false},
		{"not", `[{not: {exact: {type: a}}}]`, nil, true},
		{"not, it does", `[{not: {prefix: {type: com.}}}]`, nil, false},
		{"nested", `[{all: [{any: [{not: {exact: {source: /x}}}, {cesql: "FALSE AND id = '1'"}]}]}]`, nil, true},
		{"cesql", `[{cesql: "type LIKE 'com.%.saved' AND NOT EXISTS subject"}]`, nil, true},
		{"cesql, an attribute that is absent", `[{cesql: "subject = 'a'"}]`, nil, false},
		{"cesql, not even turned round", `[{cesql: "NOT (subject = 'a')"}]`, nil, false},
		{"cesql, a division by nothing", `[{cesql: "1 / (LENGTH(id) - 1) = 1"}]`, nil, false},
		{"cesql, text that says true", `[{cesql: "big"}]`, func(e *cloudevents.Event) { e.SetExtension("big", "TRUE") }, true},
		{"cesql, text that says nothing", `[{cesql: "type"}]`, nil, false},
		{"cesql, numbers", `[{cesql: "size > 5"}]`, func(e *cloudevents.Event) { e.SetExtension("size", 7) }, true},
		{
			"cesql, attributes too large to look at", `[{cesql: "CONCAT(tenant, tenant) != ''"}]`,
			func(e *cloudevents.Event) { e.SetExtension("tenant", strings.Repeat("x", 20_000)) }, false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, c.want, compile(t, `when: {event: {filters: `+c.filters+`}}`).Match(newEvent(c.event)))
		})
	}
}

// Salvor's own events match who asks for them, and nobody else.
func TestMatchOwnEvents(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, filters string
		want          bool
	}{
		{"its type", `[{exact: {type: io.salvor.run.completed.v1}}]`, true},
		{"a prefix of its type", `[{prefix: {type: io.salvor.run.}}]`, true},
		{"all of its types", `[{prefix: {type: io.salvor}}]`, true},
		{"its source", `[{exact: {source: /salvor/dispatcher}}]`, true},
		{"a prefix of its source", `[{prefix: {source: /salvor}}]`, true},
		{"its type and more", `[{exact: {type: io.salvor.run.completed.v1}}, {exact: {salvoraction: backup}}]`, true},
		{"its type in another filter", `[{prefix: {id: ""}}, {any: [{exact: {type: a}}, {exact: {type: io.salvor.run.completed.v1}}]}]`, true},
		{"cesql", `[{cesql: "type = 'io.salvor.run.completed.v1'"}]`, true},
		{"everything", `[{prefix: {type: ""}}]`, false},
		{"almost everything", `[{prefix: {type: io.}}]`, false},
		{"a suffix", `[{suffix: {type: .completed.v1}}]`, false},
		{"what is not something else", `[{not: {exact: {type: a}}}]`, false},
		{"what is not Salvor's", `[{not: {exact: {type: io.salvor.run.failed.v1}}}]`, false},
		{"named in a branch that does not match", `[{any: [{exact: {type: io.salvor.run.failed.v1}}, {prefix: {type: ""}}]}]`, false},
		{"named in one that does", `[{any: [{prefix: {type: ""}}, {exact: {type: io.salvor.run.completed.v1}}]}]`, true},
		{"cesql that matches all", `[{cesql: "EXISTS type"}]`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEvent(func(e *cloudevents.Event) {
				e.SetType(event.TypeRunCompleted)
				e.SetSource(event.SourceDispatcher)
				e.SetExtension(event.ExtAction, "backup")
			})
			trigger := compile(t, `when: {event: {filters: `+c.filters+`}}`)
			assert.Equal(t, c.want, trigger.Match(e))
			e.SetExtension(event.ExtPrunes, "nightly-1")
			assert.False(t, trigger.Match(e), "the removal of a backup starts nothing")
		})
	}
}

// Events that are for one trigger match that one, whatever its filters are, if it
// has the source.
func TestMatchEventsForOneTrigger(t *testing.T) {
	t.Parallel()
	const all = `event: {filters: [{any: [{prefix: {type: io.salvor}}, {prefix: {source: /salvor/}}]}]}`
	sources := map[string]string{
		"schedule":   `schedule: {cron: "@daily"}`,
		"annotation": `kubernetes: {annotation: {apiVersion: v1, kind: Pod, key: example.com/backup}}`,
		"event":      `kubernetes: {event: {reasons: [Saved]}}`,
	}
	types := map[string]struct{ typ, source string }{
		"schedule":   {event.TypeTick, event.SourceSchedule},
		"annotation": {event.TypeAnnotation, event.SourceKubernetes},
		"event":      {event.TypeObject, event.SourceKubernetes},
	}
	for has, source := range sources {
		for sent, is := range types {
			e := newEvent(func(e *cloudevents.Event) {
				e.SetType(is.typ)
				e.SetSource(is.source + "/shop/nightly")
				e.SetSubject("4711")
			})
			assert.Equal(t, has == sent, compile(t, `when: {`+source+`}`).Match(e), "%s for %s", sent, has)
			assert.Equal(t, has == sent, compile(t, `when: {`+source+`, `+all+`}`).Match(e), "%s for %s with filters", sent, has)
			e.SetSubject("4712")
			assert.False(t, compile(t, `when: {`+source+`, `+all+`}`).Match(e), "another trigger's")
			e.SetSubject("4711")
			e.SetSource("/somebody" + is.source + "/shop/nightly")
			assert.False(t, compile(t, `when: {`+source+`}`).Match(e), "not told by Salvor")
		}
	}
	nameless := newTrigger(func(s *salvor.ActionTriggerSpec) {
		s.When = salvor.TriggerSource{Schedule: &salvor.ScheduleSource{Cron: "@daily"}}
	})
	nameless.UID = ""
	c, err := trigger.Compile(nameless)
	require.NoError(t, err)
	assert.False(t, c.Match(newEvent(func(e *cloudevents.Event) {
		e.SetType(event.TypeTick)
		e.SetSource(event.SourceSchedule + "/shop/nightly")
	})))
}

// What is bounded ends soon, however it is built.
func TestExpressionsAreBounded(t *testing.T) {
	t.Parallel()
	big := newEvent(func(e *cloudevents.Event) { e.SetExtension("tenant", strings.Repeat("a", 15_000)) })
	for name, text := range map[string]string{
		"brackets": strings.Repeat("(", 32) + "EXISTS id" + strings.Repeat(")", 32),
		"nots":     strings.Repeat("NOT ", 1000) + "EXISTS id",
		"signs":    strings.Repeat("-", 4000) + "1 = LENGTH(id)",
		"calls":    strings.Repeat("CONCAT(", 32) + "tenant" + strings.Repeat(",tenant)", 32) + " = 'a'",
		"long":     "CONCAT(" + strings.Repeat("tenant,", 500) + "id) = 'a'",
		"pattern":  "tenant LIKE '" + strings.Repeat("%a", 1900) + "b'",
		"mixed":    strings.Repeat("(id = type OR NOT ", 32) + "TRUE" + strings.Repeat(")", 32),
		"lists":    "id IN (" + strings.Repeat("'a',", 900) + "'b')",
	} {
		compile(t, `when: {event: {filters: [{cesql: "`+text+`"}]}}`).Match(big)
		t.Log(name)
	}
}

func BenchmarkMatch(b *testing.B) {
	e := newEvent(func(e *cloudevents.Event) { e.SetExtension("tenant", "a") })
	for name, filters := range map[string]string{
		"exact": `[{exact: {type: other}}]`,
		"cesql": `[{cesql: "type LIKE 'com.%' AND tenant = 'b'"}]`,
	} {
		c := compile(b, `when: {event: {filters: `+filters+`}}`)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Match(e)
			}
		})
	}
}
