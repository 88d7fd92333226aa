package decide_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/dispatcher/decide"
)

// TestWalk visits every state that a small run can come to, whatever happens in
// whatever order, repeated and stale reports, timers, pauses and one retry
// included, and checks the package's promises on every transition and in every
// state. Time stands still but for timers, which come when they are due.
func TestWalk(t *testing.T) {
	t.Parallel()
	twice := func(p decide.Plan) decide.Plan {
		return withPolicy(p, event.Policy{Attempts: 2, Backoff: metav1.Duration{Duration: time.Second}, BackoffLimit: metav1.Duration{Duration: time.Minute}})
	}
	timed := func(p decide.Plan) decide.Plan {
		p = withPolicy(p, event.Policy{Attempts: 2, Timeout: metav1.Duration{Duration: time.Minute}})
		p.Timeout = 3 * time.Minute
		return p
	}
	for name, plans := range map[string][]decide.Plan{
		"two phases and a deferPhase":    {withArtifacts(withDefer(plan("p", "q"), "d"))},
		"two actions":                    {plan("p"), withArtifacts(plan("p"))},
		"no phases":                      {withArtifacts(plan()), withDefer(plan(), "d")},
		"retried":                        {twice(withArtifacts(plan("p", "q")))},
		"retried and timed":              {withDefer(timed(plan("p")), "d")},
		"retried and timed in two steps": {timed(plan("p", "q"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			states := walk(t, newWorld(t, plans))
			t.Logf("%d states", states)
			assert.Greater(t, states, 10)
		})
	}
	for _, state := range []kanister.State{kanister.StatePending, kanister.StateRunning, kanister.StateComplete, kanister.StateFailed} {
		t.Run("recovered "+string(state), func(t *testing.T) {
			t.Parallel()
			p := withArtifacts(withDefer(twice(plan("p", "q")), "d"))
			p.Phases[0].Once, p.Phases[1].Once, p.Phases[1].Attempt = true, true, 1
			w := newWorld(t, []decide.Plan{p})
			w.run.Actions[0].Recovered = &kanister.ActionStatus{
				Phases:     []kanister.Phase{{Name: "p", State: kanister.StateComplete}, {Name: "q", State: state}},
				DeferPhase: &kanister.Phase{Name: "d", State: kanister.StateRunning},
			}
			assert.Greater(t, walk(t, w), 10)
		})
	}
}

type node struct {
	run    event.Run
	jobs   map[string]event.Job // published on the way here
	timer  time.Time
	marked bool
}

func walk(t *testing.T, first *world) int {
	t.Helper()
	inputs := alphabet(first.plans)
	queue := []node{{run: first.run}}
	seen := map[string]bool{fingerprint(t, &first.run): true}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		moves := 0
		for _, in := range inputs {
			now := n.run.UpdatedAt
			if at, ok := timer(&n.run); ok && isWake(in) {
				now = at
			}
			d := decide.Decide(n.run, in, now)
			if !d.Changed {
				require.False(t, isWake(in) && !n.timer.IsZero() && !n.run.State.Terminal(), "a timer for nothing: %+v", n.run)
				continue
			}
			moves++
			w := newWorld(t, first.plans)
			w.run, w.now, w.timer, w.marked = d.Run, now, n.timer, n.marked
			maps.Copy(w.published, n.jobs)
			w.checkSteps(&n.run, in)
			w.checkEffects(&n.run, d.Effects)
			if id := fingerprint(t, &d.Run); !seen[id] {
				seen[id] = true
				queue = append(queue, node{run: d.Run, jobs: w.published, timer: w.timer, marked: w.marked})
			}
		}
		final := n.run.State == event.StateComplete || n.run.State.Terminal() && n.run.Retry != nil
		require.Equal(t, final, moves == 0, "a state nothing leads out of: %+v", n.run)
		requireWaits(t, &n.run)
	}
	return len(seen)
}

func isWake(in decide.Input) bool {
	_, ok := in.(decide.Wake)
	return ok
}

// timer is the time of the Wake that the state asks for.
func timer(run *event.Run) (time.Time, bool) {
	for _, e := range decide.Implied(run) {
		if e, ok := e.(decide.SetTimer); ok {
			return e.At, true
		}
	}
	return time.Time{}, false
}

// requireWaits: a run that has not ended waits for a report, a slot, a plan, a time
// or the end of a pause.
func requireWaits(t *testing.T, run *event.Run) {
	t.Helper()
	if run.State.Terminal() {
		return
	}
	_, timed := timer(run)
	waits := len(decide.Ready(run)) > 0 || timed || run.Pause != nil
	for i := range run.Actions {
		waits = waits || run.Actions[i].State == event.StatePending
	}
	for _, e := range decide.Implied(run) {
		_, isJob := e.(decide.PublishJob)
		waits = waits || isJob
	}
	require.True(t, waits, "the run waits for nothing: %s", fingerprint(t, run))
}

// alphabet is everything that can happen to a run with these plans.
func alphabet(plans []decide.Plan) []decide.Input {
	inputs := []decide.Input{decide.Wake{}}
	for _, kind := range []event.ReportKind{event.ReportCancel, event.ReportPause, event.ReportResume, event.ReportRetry} {
		inputs = append(inputs, request(kind, "only"))
	}
	for a, p := range plans {
		inputs = append(inputs,
			decide.Start{Action: a, Plan: p}, decide.Release{Action: a},
			decide.Refuse{Action: a, Failure: event.Failure{Reason: event.ReasonInvalid, Message: "no"}})
		keys := []event.Key{{Kind: event.KindDefer}, {Kind: event.KindRender}}
		for i := range p.Phases {
			keys = append(keys, event.Key{Kind: event.KindCore, Phase: i})
		}
		for _, k := range keys {
			k.UID, k.Action = "u1", a
			for attempt := range 6 { // some never are
				k.Attempt = attempt
				inputs = append(inputs, outcomes(k)...)
			}
		}
	}
	return inputs
}

func outcomes(k event.Key) []decide.Input {
	failed := &event.Failure{Reason: event.ReasonFailed, Message: "no"}
	return []decide.Input{
		decide.Report{Report: event.Report{Kind: event.ReportSucceeded, Key: k}},
		decide.Report{Report: event.Report{Kind: event.ReportSucceeded, Key: k, ArtifactsFailure: failed}},
		decide.Report{Report: event.Report{Kind: event.ReportFailed, Key: k, Failure: failed}},
		decide.Report{Report: event.Report{Kind: event.ReportCancelled, Key: k}},
	}
}

func request(kind event.ReportKind, token string) decide.Report {
	return decide.Report{Report: event.Report{Kind: kind, Key: event.Key{UID: "u1"}, Token: token}}
}

// fingerprint tells states apart, but for how late it is and for texts: all that
// Decide makes of times is to compare them with now, and of a text, whether the run's
// failure is that of an action.
func fingerprint(t *testing.T, run *event.Run) string {
	t.Helper()
	data, err := json.Marshal(run)
	require.NoError(t, err)
	var copied event.Run
	require.NoError(t, json.Unmarshal(data, &copied))
	relative := func(times ...*time.Time) {
		for _, at := range times {
			if at != nil {
				*at = t0.Add(at.Sub(run.UpdatedAt))
			}
		}
	}
	for i := range copied.Actions {
		a := &copied.Actions[i]
		a.StartedAt, a.EndedAt = nil, nil
		relative(a.Deadline)
		if a.Failure != nil {
			a.Failure.Message = fmt.Sprint(*a.Failure == *run.Failure)
		}
		phases := []*event.Phase{a.DeferPhase, a.Render}
		for j := range a.Phases {
			phases = append(phases, &a.Phases[j])
		}
		for _, p := range phases {
			if p == nil {
				continue
			}
			p.StartedAt = nil
			relative(p.Deadline, p.RetryAt, p.EndedAt)
			if run.Pause == nil || p.EndedAt != nil && p.EndedAt.Before(run.Pause.At) {
				p.EndedAt = nil
			}
			for k := range p.Attempts {
				p.Attempts[k].EndedAt, p.Attempts[k].Failure.Message = t0, ""
			}
			if p.Failure != nil {
				p.Failure.Message = ""
			}
		}
	}
	if copied.Pause != nil {
		relative(&copied.Pause.At)
	}
	if copied.Cancel != nil {
		copied.Cancel.At = t0
	}
	if copied.Retry != nil {
		copied.Retry.At = t0
	}
	if copied.Failure != nil {
		copied.Failure.Message = ""
	}
	copied.UpdatedAt = t0
	data, err = json.Marshal(copied)
	require.NoError(t, err)
	return string(data)
}
