package trigger_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/trigger"
)

// What nothing is wrong with.
func TestCheckAccepts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{}`,
		`{concurrency: Forbid, coalesce: 30s, rateLimit: {starts: 3, per: 1h}, key: "{{ .Event.subject }}"}`,
		`{concurrency: Replace, coalesce: 24h}`,
		`{coalesce: 0s}`,
		`{keep: {count: 3, within: 168h, daily: 7, timeZone: Europe/Berlin, action: purge}}`,
		`{keep: {failed: 3}}`,
		`when: {schedule: {cron: "0 2 * * *", timeZone: Europe/Berlin, jitter: 24h, missed: Skip}}`,
		`when: {schedule: {cron: "@hourly", jitter: 1h}}`,
		`when: {schedule: {cron: "0 0 29 2 *", jitter: 1000h}}`,
		`when: {schedule: {cron: "0 0 31 1 *"}}`,
		`when: {schedule: {cron: "0 2 * JAN-MAR mon"}}`,
		`{when: {schedule: {cron: "@daily"}}, key: '{{ .Event.source }}'}`,
		`{when: {schedule: {cron: "@daily"}}, key: '{{ with .Event.data }}{{ .tick }}{{ end }}'}`,
		`{when: {schedule: {cron: "@daily"}}, key: '{{ if hasKey .Event "tenant" }}{{ .Event.tenant }}{{ end }}{{ get .Event "region" }}'}`,
		`when: {kubernetes: {annotation: {apiVersion: apps/v1, kind: StatefulSet, key: example.com/backup, selector: {matchLabels: {a: b}}}, event: {reasons: [Saved], type: Normal}}}`,
		`when: {event: {filters: [{exact: {type: a}}, {prefix: {type: ""}}, {not: {exact: {type: b}}}]}}`,
		`when: {event: {filters: [{exact: {type: ab}}, {any: [{exact: {type: a}}, {suffix: {type: b}}]}]}}`,
		`when: {event: {filters: [{exact: {time: "2026-01-02T03:04:05.5Z", source: /shop, type: io.salvo}}]}}`,
		`when: {event: {filters: [{prefix: {type: io., source: /salvor/}}, {prefix: {source: /}}]}}`,
		`when: {event: {filters: [{prefix: {type: io.salvor.run.}}, {any: [{exact: {source: /shop}}, {prefix: {source: /salvor}}]}]}}`,
		`when: {event: {filters: [{cesql: "TRUE"}]}}`,
		`when: {event: {filters: [{cesql: "subject = 'data' AND EXISTS dataschema"}]}}`,
		`when: {event: {filters: [{cesql: "source = 'it is a word(' OR \"x\" = type"}]}}`,
		`{when: {event: {filters: [{exact: {type: io.salvor.run.completed.v1, salvoraction: backup}}]}}, template: {artifactsFrom: Run}}`,
		`{when: {event: {filters: [{any: [{cesql: "type = 'io.salvor.run.completed.v1'"}, {exact: {source: /salvor/dispatcher}}]}]}}, template: {artifactsFrom: Run}}`,
		`template: {metadata: {labels: {tier: gold, from: "{{ .Event.source | sha256sum | trunc 20 }}"}, annotations: {salvor.io/timeout: 10m, salvor.io/timeout.backup: 5m, salvor.io/attempts: "{{ .Event.attempts }}", note: "{{ .Event.data.note }}"}}}`,
	} {
		// template is merged over the one that is there.
		assert.Empty(t, trigger.Check(withActions(t, text)), "%s", text)
	}
}

// withActions is parse with the actions of newTrigger if the text has none.
func withActions(t *testing.T, text string) *salvor.ActionTrigger {
	t.Helper()
	at := parse(t, text)
	if !strings.Contains(text, "actions") {
		at.Spec.Template.Spec = newTrigger(nil).Spec.Template.Spec
	}
	return at
}

// What is wrong is named, with its field and what to do about it.
func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		// Sources.
		{`when: {}`, `spec.when: it is empty, so nothing fires the trigger; set event, schedule or kubernetes`},
		{`when: {event: {filters: []}}`, `spec.when.event.filters: it is empty; say which events`},
		{`when: {kubernetes: {}}`, `spec.when.kubernetes: it is empty; set annotation or event`},
		{`when: {kubernetes: {event: {reasons: []}}}`, `spec.when.kubernetes.event.reasons: it is empty`},
		{`when: {kubernetes: {event: {reasons: [a, ""]}}}`, `spec.when.kubernetes.event.reasons[1]: it is empty`},
		{`when: {kubernetes: {event: {reasons: [a], type: warning}}}`, `spec.when.kubernetes.event.type: "warning" is not known; did you mean Warning?`},
		{`when: {kubernetes: {annotation: {apiVersion: a/b/c, kind: Pod, key: k}}}`, `spec.when.kubernetes.annotation.apiVersion: "a/b/c" is no apiVersion`},
		{`when: {kubernetes: {annotation: {apiVersion: v1, kind: "", key: k}}}`, `spec.when.kubernetes.annotation.kind: it is empty`},
		{`when: {kubernetes: {annotation: {apiVersion: v1, kind: Pod, key: "a b"}}}`, `spec.when.kubernetes.annotation.key: "a b" is no name of an annotation`},
		{`when: {kubernetes: {annotation: {apiVersion: v1, kind: Pod, key: k, selector: {matchExpressions: [{key: a, operator: Nin}]}}}}`, `spec.when.kubernetes.annotation.selector: "Nin" is not a valid label selector operator`},

		// Filters.
		{`when: {event: {filters: [{}]}}`, `filters[0]: the filter is empty; set one of exact, prefix`},
		{`when: {event: {filters: [{exact: {}}]}}`, `filters[0].exact: it is empty`},
		{`when: {event: {filters: [{exact: {type: a}, prefix: {type: a}}]}}`, `filters[0]: it has exact and prefix; a filter has exactly one; make each a filter of its own`},
		{`when: {event: {filters: [{exact: {Type: a}}]}}`, `filters[0].exact.Type: "Type" cannot be an attribute: names are lower-case letters and digits; did you mean type?`},
		{`when: {event: {filters: [{exact: {event-type: a}}]}}`, `filters[0].exact.event-type: "event-type" cannot be an attribute`},
		{`when: {event: {filters: [{exact: {data: a}}]}}`, `filters[0].exact.data: filters see attributes, not data`},
		{`when: {event: {filters: [{exact: {subject: ""}}]}}`, `filters[0].exact.subject: an attribute is never empty, so nothing matches; to say that an attribute must be absent, use cesql: NOT EXISTS subject`},
		{`when: {event: {filters: [{exact: {specversion: "2.0"}}]}}`, `filters[0].exact.specversion: no event has version 2.0: Salvor takes 1.0 only; use 1.0, or leave it out`},
		{`when: {event: {filters: [{exact: {specversion: "0.3"}}]}}`, `filters[0].exact.specversion: no event has version 0.3`},
		{`when: {event: {filters: [{exact: {type: "a "}}]}}`, `filters[0].exact.type: no event has it: attributes neither begin nor end with white space; use "a"`},
		{`when: {event: {filters: [{exact: {time: yesterday}}]}}`, `filters[0].exact.time: no event has it: times are compared as CloudEvents writes them`},
		{`when: {event: {filters: [{exact: {time: "2026-01-02T03:04:05+01:00"}}]}}`, `filters[0].exact.time: no event has it`},
		{`when: {event: {filters: [{exact: {source: /salvor/shop}}]}}`, `filters[0].exact.source: Salvor tells nothing from source "/salvor/shop"; use /salvor/dispatcher or /salvor/bridge`},
		{`when: {event: {filters: [{exact: {type: io.salvor.schedule.tick.v1}}]}}`, `use when.schedule or when.kubernetes`},
		{`when: {event: {filters: [{exact: {type: io.salvor.run.complete.v1}}]}}`, `did you mean io.salvor.run.completed.v1?`},
		{`when: {event: {filters: [{prefix: {type: io.salvor.backup.}}]}}`, `Salvor tells nothing of type "io.salvor.backup."; its types are io.salvor.run.completed.v1`},
		{`when: {event: {filters: [{any: [{exat: {type: a}}]}]}}`, `filters[0].any[0]: there is no filter "exat"; did you mean exact?`},
		{`when: {event: {filters: [{any: [{type: a}]}]}}`, `filters[0].any[0]: there is no filter "type"; to compare the attribute, write exact: {type: …}`},
		{`when: {event: {filters: [{any: [[a]]}]}}`, `filters[0].any[0]: it is no filter`},
		{`when: {event: {filters: [{not: a}]}}`, `filters[0].not: it is no filter`},
		{`when: {event: {filters: [{not: {exact: {size: 7}}}]}}`, `filters[0].not: it cannot be read`},
		{`when: {event: {filters: [{all: [{exact: {type: a}, suffix: {type: b}}]}]}}`, `filters[0].all[0]: it has exact and suffix`},
		{`when: {event: {filters: [{not: {all: [{not: {}}]}}]}}`, `filters[0].not.all[0].not: the filter is empty`},
		{`when: {event: {filters: [` + strings.Repeat(`{not: `, 9) + `{exact: {type: a}}` + strings.Repeat(`}`, 9) + `]}}`, `filters nest deeper than 8; use cesql`},
		{`when: {event: {filters: [` + strings.Repeat(`{exact: {type: a}},`, 257) + `]}}`, `filters[256]: there are more than 256 filters`},

		// CESQL.
		{`when: {event: {filters: [{cesql: "type = "}]}}`, `filters[0].cesql: line 1, character 8: `},
		{`when: {event: {filters: [{cesql: "type == 'a'"}]}}`, `filters[0].cesql: line 1, character 7: `},
		{`when: {event: {filters: [{cesql: "'abc"}]}}`, `filters[0].cesql: line 1, character 1: `},
		{`when: {event: {filters: [{cesql: "((("}]}}`, `filters[0].cesql: line 1, character 4: `},
		{`when: {event: {filters: [{cesql: "type = 'a' @"}]}}`, `filters[0].cesql: line 1, character 12: `},
		{`when: {event: {filters: [{cesql: "id = 99999999999"}]}}`, `filters[0].cesql: it is no expression`},
		{`when: {event: {filters: [{cesql: "LOWR(type) = 'a'"}]}}`, `filters[0].cesql: there is no function LOWR; did you mean LOWER?`},
		{`when: {event: {filters: [{cesql: "EXISTS data AND type = 'a'"}]}}`, `filters[0].cesql: filters see attributes, not data`},
		{`when: {event: {filters: [{cesql: "1 = 2"}]}}`, `filters[0].cesql: it looks at no attribute and is never true`},
		{`when: {event: {filters: [{cesql: "'yes'"}]}}`, `filters[0].cesql: it looks at no attribute and is never true`},
		{`when: {event: {filters: [{cesql: "` + strings.Repeat("(", 33) + `"}]}}`, `its brackets nest deeper than 32`},
		{`when: {event: {filters: [{cesql: "` + strings.Repeat("x", 4097) + `"}]}}`, `it is 4097 bytes long; at most 4096 are allowed`},

		// Contradictions.
		{`when: {event: {filters: [{exact: {type: a}}, {exact: {type: b}}]}}`, `spec.when.event.filters: no event can match: type cannot be both "a" and "b"; filters of the list must all match; put alternatives into any`},
		{`when: {event: {filters: [{exact: {type: a}}, {all: [{all: [{exact: {type: b}}]}]}]}}`, `type cannot be both "a" and "b"`},
		{`when: {event: {filters: [{exact: {type: a}}, {prefix: {type: b}}]}}`, `type cannot be "a" and begin with "b"`},
		{`when: {event: {filters: [{suffix: {type: b}}, {exact: {type: a}}]}}`, `type cannot be "a" and end with "b"`},
		{`when: {event: {filters: [{prefix: {type: com.}}, {prefix: {type: org.}}]}}`, `type cannot begin with both "com." and "org."`},
		{`when: {event: {filters: [{suffix: {type: a}}, {suffix: {type: b}}]}}`, `type cannot end with both "a" and "b"`},
		{`when: {event: {filters: [{exact: {type: a}}, {any: [{exact: {type: b}}, {prefix: {type: c}}]}]}}`, `type cannot be "a" and begin with "c"`},
		{`when: {event: {filters: [{exact: {type: a}}, {not: {exact: {type: a}}}]}}`, `what one filter demands another excludes with not`},
		{`when: {event: {filters: [{prefix: {type: com.example.}}, {not: {any: [{prefix: {type: com.}}]}}]}}`, `what one filter demands another excludes with not`},
		{`when: {event: {filters: [{not: {prefix: {type: ""}}}]}}`, `what one filter demands another excludes with not`},
		{`when: {event: {filters: [{not: {not: {all: [{exact: {type: a}}, {exact: {type: b}}]}}}]}}`, `what one filter demands another excludes with not`},
		{`when: {event: {filters: [{exact: {type: io.salvor.run.completed.v1, source: /shop}}]}}`, `events of type "io.salvor.run.completed.v1" have no source "/shop"`},
		{`when: {event: {filters: [{prefix: {source: /salvor/}}, {any: [{prefix: {type: com.}}, {exact: {type: saved}}]}]}}`, `events of type "saved" have no source "/salvor/"`},

		// Schedules.
		{`when: {schedule: {cron: ""}}`, `spec.when.schedule.cron: it is empty; write five fields`},
		{`when: {schedule: {cron: "0 2 * *"}}`, `the five fields are minute, hour, day of the month, month and day of the week`},
		{`when: {schedule: {cron: "0 0 2 * * *"}}`, `expected exactly 5 fields, found 6`},
		{`when: {schedule: {cron: "60 2 * * *"}}`, `spec.when.schedule.cron: "60 2 * * *" cannot be read: end of range (60) above maximum (59)`},
		{`when: {schedule: {cron: "0 2 * * 7"}}`, `Sunday is 0`},
		{`when: {schedule: {cron: "0 2 30 2 *"}}`, `spec.when.schedule.cron: the time "0 2 30 2 *" never comes; look at the day of the month and the month`},
		{`when: {schedule: {cron: "0 2 31 4,6,9,11 *"}}`, `never comes`},
		{`when: {schedule: {cron: ", 2 * * *"}}`, `never comes`},
		{`when: {schedule: {cron: "0 2 * , *"}}`, `never comes`},
		{`when: {schedule: {cron: "TZ=UTC 0 2 * * *"}}`, `an expression holds no time zone; put the zone into timeZone`},
		{`when: {schedule: {cron: "TZ=UTC"}}`, `an expression holds no time zone`},
		{`when: {schedule: {cron: "@every 1h"}}`, `"@every 1h" is not known; say at which minutes or hours`},
		{`when: {schedule: {cron: "@dayly"}}`, `did you mean @daily?`},
		{`when: {schedule: {cron: "@reboot"}}`, `use one of @hourly, @daily`},
		{`when: {schedule: {cron: "@daily", timeZone: Europe/Belrin}}`, `spec.when.schedule.timeZone: there is no time zone "Europe/Belrin"; use a name of the IANA database`},
		{`when: {schedule: {cron: "@daily", timeZone: Local}}`, `"Local" is no time zone`},
		{`when: {schedule: {cron: "@daily", timeZone: ../../etc/passwd}}`, `there is no time zone "../../etc/passwd"`},
		{`when: {schedule: {cron: "@daily", jitter: 25h}}`, `spec.when.schedule.jitter: 25h is longer than 24h, which is the smallest time between two ticks; use at most 24h`},
		{`when: {schedule: {cron: "0,5 2 * * *", jitter: 10m}}`, `10m is longer than 5m`},
		{`when: {schedule: {cron: "0 0,23 1,2 * *", jitter: 2h}}`, `2h is longer than 1h`},
		{`when: {schedule: {cron: "0 0,23 1,3 * *", jitter: 24h}}`, `24h is longer than 23h`},
		{`when: {schedule: {cron: "@daily", jitter: soon}}`, `spec.when.schedule.jitter: "soon" is no length of time; write it as 90s, 15m or 36h`},
		{`when: {schedule: {cron: "@daily", jitter: -1s}}`, `-1s is before now`},
		{`when: {schedule: {cron: "@daily", missed: once}}`, `spec.when.schedule.missed: "once" is not known; did you mean Once?`},
		{`{when: {schedule: {cron: "@daily"}}, key: "{{ .Event.tenant }}"}`, `spec.key: it cannot be made from a tick of the schedule: line 1: "tenant" not found`},
		{`{when: {schedule: {cron: "@daily"}}, template: {metadata: {labels: {a: "{{ .Event.source }}"}}}}`, `spec.template.metadata.labels[a]: it cannot be made from a tick of the schedule: "/salvor/schedule/shop/nightly" is no value of a label`},

		// Limits.
		{`concurrency: forbid`, `spec.concurrency: "forbid" is not known; did you mean Forbid?`},
		{`concurrency: Never`, `use Allow or Forbid or Replace`},
		{`coalesce: 25h`, `spec.coalesce: 25h is more than 24h`},
		{`coalesce: 30us`, `"30us" is no length of time`},
		{`coalesce: "30"`, `"30" is no length of time`},
		{`rateLimit: {starts: 0, per: 1h}`, `spec.rateLimit.starts: 0 starts cannot be counted; use 1 to 1000; to stop the trigger, set spec.suspend`},
		{`rateLimit: {starts: 1, per: 0s}`, `spec.rateLimit.per: a window of no length limits nothing`},
		{`rateLimit: {starts: 1, per: ""}`, `spec.rateLimit.per: a window of no length limits nothing`},
		{`rateLimit: {starts: 1, per: -1h}`, `spec.rateLimit.per: -1h is before now`},
		{`rateLimit: {starts: 1, per: 1000h}`, `spec.rateLimit.per: 1000h is more than 744h`},
		{`keep: {count: 0}`, `spec.keep.count: 0 cannot be kept`},
		{`keep: {within: 0s}`, `spec.keep.within: nothing is younger than that`},
		{`keep: {within: 7d}`, `write days as hours: 168h`},
		{`keep: {action: purge}`, `spec.keep: no rule says which ActionSets stay`},
		{`keep: {count: 1, timeZone: Mars}`, `spec.keep.timeZone: there is no time zone "Mars"`},

		// Templates.
		{`template: {spec: {actions: [{name: b, object: {}, options: {` + manyOptions(65) + `}}]}}`, `there are more than 64 templates`},
		{`key: "{{ .Event.subject"`, `spec.key: template does not parse`},
		{`key: "{{ lowr .Event.subject }}"`, `spec.key: template does not parse: 1: function "lowr" not defined; did you mean lower?`},
		{`key: '{{ env "HOME" }}'`, `function "env" not defined`},
		{`key: "{{ .event.subject }}"`, `spec.key: template names .event, which does not exist; templates of a trigger start from .Event`},
		{`key: "{{ .Event.Subject }}"`, `spec.key: template names .Event.Subject, which cannot be: names of attributes are lower-case letters and digits; did you mean .Event.subject?`},
		{`template: {metadata: {labels: {a: "not a label"}}}`, `spec.template.metadata.labels[a]: "not a label" is no value of a label`},
		{`template: {metadata: {labels: {"{{ .Event.id }}": a}}}`, `is no name of a label or an annotation`},
		{`template: {metadata: {annotations: {"a b": c}}}`, `spec.template.metadata.annotations[a b]: "a b" is no name of a label or an annotation`},
		{`template: {metadata: {labels: {salvor.io/trigger: other}}}`, `Salvor itself writes salvor.io/trigger; choose a name of your own`},
		{`template: {metadata: {annotations: {salvor.io/chain: a}}}`, `Salvor itself writes salvor.io/chain`},
		{`template: {metadata: {annotations: {salvor.io/timout: 10m}}}`, `spec.template.metadata.annotations[salvor.io/timout]: "10m": Salvor knows no such annotation; did you mean salvor.io/timeout?`},
		{`template: {metadata: {annotations: {salvor.io/attempts: many}}}`, `spec.template.metadata.annotations[salvor.io/attempts]: "many": it must be a number from 1 to 100`},
		{`template: {metadata: {annotations: {salvor.io/timeout.restore: 10m}}}`, `there is no action "restore"; the ActionSet has: backup`},
		{`template: {spec: {actions: []}}`, `spec.template.spec.actions: it is empty; name at least one action`},
		{`template: {spec: {actions: [{name: "", object: {}}]}}`, `spec.template.spec.actions[0].name: it is empty`},
		{`template: {spec: {actions: [{name: b, object: {name: "{{ .Event.subject }}"}}]}}`, `spec.template.spec.actions[0].object.name: "{{ .Event.subject }}" is a template, and stays what is written; only values of labels, annotations and options, and spec.key, may be made from events`},
		{`template: {spec: {actions: [{name: b, object: {namespace: "{{ .Event.subject }}"}}]}}`, `actions[0].object.namespace`},
		{`template: {spec: {actions: [{name: "{{ .Event.action }}", object: {}}]}}`, `actions[0].name`},
		{`template: {spec: {actions: [{name: b, blueprint: "{{ .Event.bp }}", object: {}}]}}`, `actions[0].blueprint`},
		{`template: {spec: {actions: [{name: b, object: {}, profile: {name: "{{ .Event.p }}"}}]}}`, `actions[0].profile.name`},
		{`template: {spec: {actions: [{name: b, object: {}, secrets: {s: {name: "{{ .Event.p }}"}}}]}}`, `actions[0].secrets.s.name`},
		{`template: {spec: {actions: [{name: b, object: {}, podOverride: {containers: [{name: "{{ .Event.p }}"}]}}]}}`, `actions[0].podOverride.containers[0].name`},
		{`template: {spec: {actions: [{name: b, object: {}, podOverride: {"{{ .Event.p }}": a}}]}}`, `actions[0].podOverride: "{{ .Event.p }}" is a template`},
		{`template: {spec: {actions: [{name: b, object: {}, podLabels: {a: "{{ .Event.p }}"}}]}}`, `actions[0].podLabels.a`},
		{`template: {spec: {actions: [{name: b, object: {}, artifacts: {a: {keyValue: {k: "{{ .Event.p }}"}}}}]}}`, `actions[0].artifacts.a.keyValue.k`},
		{`template: {spec: {actions: [{name: b, object: {}, options: {"{{ .Event.p }}": a}}]}}`, `actions[0].options: "{{ .Event.p }}" is a template`},
		{`template: {spec: {actions: [{name: b, object: {}, options: {a: "{{ .Event.p"}}]}}`, `spec.template.spec.actions[0].options[a]: template does not parse`},

		// Artifacts.
		{`template: {artifactsFrom: run}`, `spec.template.artifactsFrom: "run" is not known; did you mean Run?`},
		{`template: {artifactsFrom: Run}`, `spec.template.artifactsFrom: no event that the trigger waits for tells of a run, so there are no artifacts to take; select runs in when.event, for example with exact: {type: io.salvor.run.completed.v1}`},
		{`{when: {schedule: {cron: "@daily"}}, template: {artifactsFrom: Run}}`, `no event that the trigger waits for tells of a run`},
		{`{when: {event: {filters: [{not: {exact: {type: io.salvor.run.completed.v1}}}]}}, template: {artifactsFrom: Run}}`, `no event that the trigger waits for tells of a run`},
		{`{when: {event: {filters: [{prefix: {type: io.salvor.run.}}]}, schedule: {cron: "@daily"}}, template: {artifactsFrom: Run}}`, `make two triggers`},
		{`{when: {event: {filters: [{prefix: {type: io.salvor.run.}}]}}, template: {artifactsFrom: Run, spec: {actions: [{name: a, object: {}, artifacts: {x: {keyValue: {}}}}]}}}`, `spec.template.spec.actions[0].artifacts: with artifactsFrom: Run they would be replaced`},

		// Itself.
		{`when: {event: {filters: [{exact: {type: io.salvor.run.failed.v1, salvortrigger: nightly}}]}}`, `spec.when.event.filters: the trigger waits for runs that it has started itself, which would be a loop and is stopped; wait for the runs of another trigger`},
	} {
		problems := trigger.Check(withActions(t, c.text))
		var texts []string
		for _, p := range problems {
			texts = append(texts, p.Error())
			assert.True(t, strings.HasPrefix(p.Field, "spec."), "%s", p.Field)
		}
		assert.Contains(t, strings.Join(texts, "\n"), c.want, "%s", c.text)
	}
}

// Check does not change what it looks at.
func TestCheckChangesNothing(t *testing.T) {
	t.Parallel()
	at := parse(t, `{when: {schedule: {cron: "@daily"}}, template: {metadata: {labels: {a: "{{ .Event.id | sha256sum | trunc 8 }}"}}, spec: {actions: [{name: b, object: {}, options: {a: "{{ .Event.id }}"}}]}}}`)
	before := at.DeepCopy()
	require.Empty(t, trigger.Check(at))
	require.Equal(t, before, at)
}

// manyOptions are options that are templates.
func manyOptions(n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(`o%d: "{{ .Event.id }}"`, i)
	}
	return strings.Join(out, ", ")
}
