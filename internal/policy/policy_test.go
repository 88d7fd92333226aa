package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/policy"
)

type notes map[string]string

func actions() map[string]*kanister.BlueprintAction {
	return map[string]*kanister.BlueprintAction{
		"backup": {
			Phases:     []kanister.BlueprintPhase{{Name: "quiesce"}, {Name: "dump.sql"}},
			DeferPhase: &kanister.BlueprintPhase{},
		},
		"restore": {Phases: []kanister.BlueprintPhase{{Name: "load"}}, DeferPhase: &kanister.BlueprintPhase{Name: "clean"}},
	}
}

func of(attempts int, backoff, limit, timeout time.Duration, interrupt event.OnInterrupt) *event.Policy {
	d := func(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }
	return &event.Policy{Attempts: attempts, Backoff: d(backoff), BackoffLimit: d(limit), Timeout: d(timeout), OnInterrupt: interrupt}
}

func TestFor(t *testing.T) {
	t.Parallel()
	thrice := of(3, 10*time.Second, 10*time.Minute, 0, "")
	for name, c := range map[string]struct {
		actionSet, blueprint notes
		want                 policy.Action
	}{
		"nothing": {want: policy.Action{Phases: []*event.Policy{nil, nil}}},
		"of others": {
			actionSet: notes{"kubectl.kubernetes.io/x": "y", "salvor.io/pause": "later", "salvor.io/event-id": "7"},
			want:      policy.Action{Phases: []*event.Policy{nil, nil}},
		},
		"attempts": {
			actionSet: notes{"salvor.io/attempts": "3"},
			want:      policy.Action{Phases: []*event.Policy{thrice, thrice}, Defer: thrice},
		},
		"one phase of one action": {
			actionSet: notes{"salvor.io/attempts.backup.dump.sql": "3", "salvor.io/attempts.restore": "5"},
			want:      policy.Action{Phases: []*event.Policy{nil, thrice}},
		},
		"the deferPhase": {
			blueprint: notes{"salvor.io/attempts.backup.deferPhase": "3"},
			want:      policy.Action{Phases: []*event.Policy{nil, nil}, Defer: thrice},
		},
		"the ActionSet goes first, however general": {
			actionSet: notes{"salvor.io/attempts": "3"},
			blueprint: notes{"salvor.io/attempts.backup.quiesce": "7"},
			want:      policy.Action{Phases: []*event.Policy{thrice, thrice}, Defer: thrice},
		},
		"the special form goes first in one object": {
			blueprint: notes{"salvor.io/attempts": "7", "salvor.io/attempts.backup": "3", "salvor.io/attempts.backup.quiesce": "1"},
			want:      policy.Action{Phases: []*event.Policy{nil, thrice}, Defer: thrice},
		},
		"each on its own": {
			actionSet: notes{"salvor.io/timeout": "1h"},
			blueprint: notes{"salvor.io/attempts.backup.quiesce": "2", "salvor.io/backoff": "30s", "salvor.io/backoff-limit": "1m", "salvor.io/timeout.backup.quiesce": "1s"},
			want: policy.Action{Phases: []*event.Policy{
				of(2, 30*time.Second, time.Minute, time.Hour, ""), of(1, 0, 0, time.Hour, ""),
			}, Defer: of(1, 0, 0, time.Hour, "")},
		},
		"retry alone": {
			actionSet: notes{"salvor.io/on-interrupt.backup.quiesce": "retry"},
			want:      policy.Action{Phases: []*event.Policy{of(3, 10*time.Second, 10*time.Minute, 0, event.InterruptRetries), nil}},
		},
		"a limit below the backoff": {
			actionSet: notes{"salvor.io/attempts.backup.quiesce": "2", "salvor.io/backoff": "1h"},
			want:      policy.Action{Phases: []*event.Policy{of(2, time.Hour, time.Hour, 0, ""), nil}},
		},
		"action timeout": {
			actionSet: notes{"salvor.io/action-timeout": "1h", "salvor.io/action-timeout.backup": "2h"},
			want:      policy.Action{Timeout: 2 * time.Hour, Phases: []*event.Policy{nil, nil}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, errs := policy.For(policy.Input{ActionSet: c.actionSet, Blueprint: c.blueprint, Actions: actions(), Action: "backup"})
			require.Empty(t, errs)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestWrong(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"salvor.io/attempts=0":                       "it must be a number from 1 to 100: how often a phase is tried in all",
		"salvor.io/attempts=many":                    "it must be a number from 1 to 100: how often a phase is tried in all",
		"salvor.io/backoff=10":                       "it must be a duration such as 30s, 10m or 1h30m, from 1s to 720h",
		"salvor.io/backoff-limit=-1s":                "it must be a duration such as 30s, 10m or 1h30m, from 1s to 720h",
		"salvor.io/timeout.backup=500ms":             "it must be a duration such as 30s, 10m or 1h30m, from 1s to 720h",
		"salvor.io/action-timeout=1000h":             "it must be a duration such as 30s, 10m or 1h30m, from 1s to 720h",
		"salvor.io/on-interrupt=maybe":               "it must be fail or retry",
		"salvor.io/timout=1h":                        "Salvor knows no such annotation; did you mean salvor.io/timeout?",
		"salvor.io/paused=x":                         "Salvor knows no such annotation; did you mean salvor.io/pause?",
		"salvor.io/colour=red":                       "Salvor knows no such annotation; known are salvor.io/attempts, salvor.io/backoff, salvor.io/backoff-limit, salvor.io/timeout, salvor.io/on-interrupt, salvor.io/action-timeout",
		"salvor.io/timeout.bakup=1h":                 `there is no action "bakup"; the ActionSet has: backup, other`,
		"salvor.io/timeout.backup.dump=1h":           `action "backup" has no phase "dump"; it has: quiesce, dump.sql, deferPhase`,
		"salvor.io/action-timeout.backup.quiesce=1h": `it is for a whole action; use salvor.io/action-timeout.backup, or salvor.io/timeout.backup.quiesce for one phase`,
		"salvor.io/attempts.backup.=3":               `action "backup" has no phase ""; it has: quiesce, dump.sql, deferPhase`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			annotation, value, _ := strings.Cut(name, "=")
			_, errs := policy.For(policy.Input{
				ActionSet: notes{annotation: value, "salvor.io/timeout.other.phase": "1h"}, Actions: actions(),
				Asked: []string{"backup", "other"}, Action: "backup",
			})
			require.Len(t, errs, 1)
			assert.Equal(t, "annotation "+annotation+`="`+value+`" of the ActionSet: `+want, errs[0].Error())
		})
	}
}

func TestCheckBlueprint(t *testing.T) {
	t.Parallel()
	bp := &kanister.Blueprint{Actions: actions()}
	bp.Annotations = notes{
		"salvor.io/timeout.restore.clean": "1m", "salvor.io/attempts": "x", "salvor.io/timeout.gone": "1h", "meta.helm.sh/release": "r",
	}
	errs := policy.CheckBlueprint(bp)
	require.Len(t, errs, 2)
	assert.Contains(t, errs[0].Error(), "salvor.io/attempts")
	assert.Equal(t, `annotation salvor.io/timeout.gone="1h" of the Blueprint: there is no action "gone"; the Blueprint has: backup, restore`, errs[1].Error())
}
