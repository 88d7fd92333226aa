package decide_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/dispatcher/decide"
)

// TestWalk visits every state that a small run can come to, whatever happens in
// whatever order, repeated and stale reports included, and checks the package's
// promises on every transition and in every state.
func TestWalk(t *testing.T) {
	t.Parallel()
	for name, plans := range map[string][]decide.Plan{
		"two phases and a deferPhase": {withArtifacts(withDefer(plan("p", "q"), "d"))},
		"two actions":                 {withDefer(plan("p"), "d"), withArtifacts(plan("p", "q"))},
		"no phases":                   {withArtifacts(plan()), withDefer(plan(), "d"), plan()},
		"three actions":               {plan("p"), withDefer(plan("p"), ""), plan("p")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			states := walk(t, plans)
			t.Logf("%d states", states)
			assert.Greater(t, states, 10)
		})
	}
}

func walk(t *testing.T, plans []decide.Plan) int {
	t.Helper()
	type node struct {
		run  event.Run
		jobs map[string]bool // published on the way here
	}
	inputs := alphabet(plans)
	first := newWorld(t, plans)
	queue := []node{{run: first.run, jobs: map[string]bool{}}}
	seen := map[string]bool{print(t, &first.run): true}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		moves := 0
		for _, in := range inputs {
			w := newWorld(t, plans)
			w.run, w.now = n.run, t0 // time stands still, so that equal states are equal
			for key := range n.jobs {
				w.published[key] = event.Job{}
			}
			d := decide.Decide(n.run, in, t0)
			if !d.Changed {
				continue
			}
			moves++
			old := w.run
			w.run = d.Run
			w.checkSteps(&old)
			w.checkEffects(d.Effects)
			if id := print(t, &d.Run); !seen[id] {
				seen[id] = true
				jobs := map[string]bool{}
				for key := range w.published {
					jobs[key] = true
				}
				queue = append(queue, node{run: d.Run, jobs: jobs})
			}
		}
		require.Equal(t, n.run.State.Terminal(), moves == 0, "a state nothing leads out of: %s", print(t, &n.run))
		requireWaits(t, &n.run)
	}
	return len(seen)
}

// requireWaits: a run that has not ended waits for a report, a slot or a plan.
func requireWaits(t *testing.T, run *event.Run) {
	t.Helper()
	if run.State.Terminal() {
		return
	}
	waits := len(decide.Ready(run)) > 0
	for i := range run.Actions {
		waits = waits || run.Actions[i].State == event.StatePending
	}
	for _, e := range decide.Implied(run) {
		_, isJob := e.(decide.PublishJob)
		waits = waits || isJob
	}
	require.True(t, waits, "the run waits for nothing: %s", print(t, run))
}

// alphabet is everything that can happen to a run with these plans.
func alphabet(plans []decide.Plan) []decide.Input {
	inputs := []decide.Input{decide.Report{Report: event.Report{Kind: event.ReportCancel, Key: event.Key{UID: "u1"}}}}
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
			for attempt := range 3 {
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

func print(t *testing.T, run *event.Run) string {
	t.Helper()
	data, err := json.Marshal(run)
	require.NoError(t, err)
	return fmt.Sprint(string(data))
}
