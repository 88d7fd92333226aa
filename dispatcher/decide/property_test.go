package decide_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/dispatcher/decide"
)

// world is a run, the plans of its actions and what runners made of its jobs. It
// checks the promises of the package at each step.
type world struct {
	t     require.TestingT
	run   event.Run
	plans []decide.Plan
	now   time.Time

	published map[string]event.Job // by key, ever
	open      []event.Job          // no runner has ended them yet
	reports   []event.Report       // sent, to be delivered once or often
	told      map[string]int       // effects by id
}

func newWorld(t require.TestingT, plans []decide.Plan) *world {
	w := &world{
		t: t, plans: plans, now: t0, published: map[string]event.Job{}, told: map[string]int{},
		run: event.Run{Version: event.RunVersion, UID: "u1", Namespace: "ns", Name: "as", State: event.StatePending, CreatedAt: t0},
	}
	for i := range plans {
		w.run.Actions = append(w.run.Actions, event.Action{Spec: kanister.ActionSpec{Name: fmt.Sprint("a", i)}, State: event.StatePending})
	}
	return w
}

func (w *world) tell(in decide.Input) {
	w.now = w.now.Add(time.Second)
	before, err := json.Marshal(w.run)
	require.NoError(w.t, err)
	d := decide.Decide(w.run, in, w.now)
	after, err := json.Marshal(w.run)
	require.NoError(w.t, err)
	require.Equal(w.t, string(before), string(after), "the input was changed")
	again := decide.Decide(w.run, in, w.now)
	require.Equal(w.t, d, again, "the same question has another answer")
	if !d.Changed {
		require.Empty(w.t, d.Effects)
		require.Equal(w.t, w.run, d.Run)
		return
	}
	old := w.run
	w.run = d.Run
	w.checkSteps(&old)
	w.checkEffects(d.Effects)
}

// checkSteps: states only go forward, one phase of an action at a time, in order.
func (w *world) checkSteps(old *event.Run) {
	require.False(w.t, old.State.Terminal(), "a terminal run changed")
	require.GreaterOrEqual(w.t, rank(w.run.State), rank(old.State))
	ended := true
	for i := range w.run.Actions {
		a, before := &w.run.Actions[i], &old.Actions[i]
		require.GreaterOrEqual(w.t, rank(a.State), rank(before.State))
		if before.State.Terminal() {
			require.Equal(w.t, *before, *a, "a terminal action changed")
		}
		ended = ended && a.State.Terminal()
		running, good := 0, true
		for j := range a.Phases {
			p := &a.Phases[j]
			if len(before.Phases) > j {
				require.GreaterOrEqual(w.t, rank(p.State), rank(before.Phases[j].State))
				require.GreaterOrEqual(w.t, p.Attempt, before.Phases[j].Attempt)
			}
			if p.State != event.StatePending {
				require.True(w.t, good, "phase %d began before its predecessors ended well", j)
			}
			if p.State == event.StateRunning {
				running++
			}
			good = good && p.State == event.StateComplete
			w.requireMessage(p.Failure)
		}
		anyRan := len(a.Phases) > 0 && a.Phases[0].State != event.StatePending
		if d := a.DeferPhase; d != nil {
			if d.State == event.StateRunning {
				running++
			}
			if d.State != event.StatePending {
				require.True(w.t, anyRan || len(a.Phases) == 0, "the deferPhase ran though nothing had")
			}
			if a.State.Terminal() && anyRan {
				require.True(w.t, d.State.Terminal(), "the action ended without its deferPhase")
			}
		}
		if r := a.Render; r != nil && r.State == event.StateRunning {
			running++
		}
		require.LessOrEqual(w.t, running, 1, "two phases of an action at once")
		if a.State.Terminal() {
			require.Zero(w.t, running, "the action ended while a phase runs")
			require.NotNil(w.t, a.EndedAt)
		}
		require.Equal(w.t, a.State == event.StateFailed, a.State.Terminal() && a.Failure != nil)
		if a.State == event.StateComplete {
			require.True(w.t, good)
		}
		w.requireMessage(a.Failure)
	}
	require.Equal(w.t, ended, w.run.State.Terminal())
	if w.run.State.Terminal() {
		require.Equal(w.t, w.run.Cancel != nil, w.run.State == event.StateCancelled)
	}
	if w.run.State == event.StateFailed {
		require.NotNil(w.t, w.run.Failure)
	}
	w.requireMessage(w.run.Failure)
	if old.Failure != nil {
		require.Contains(w.t, w.run.Failure.Message, old.Failure.Message, "the first failure was overwritten")
	}
}

func (w *world) requireMessage(f *event.Failure) {
	if f != nil {
		require.LessOrEqual(w.t, len(f.Message), event.MessageLimit)
	}
}

func (w *world) checkEffects(effects []decide.Effect) {
	implied := map[string]bool{}
	for _, e := range decide.Implied(&w.run) {
		implied[e.ID()] = true
	}
	for _, e := range effects {
		w.told[e.ID()]++
		require.Equal(w.t, 1, w.told[e.ID()], "%s was asked for twice", e.ID())
		require.True(w.t, implied[e.ID()], "%s could not be repeated after a crash", e.ID())
		if p, ok := e.(decide.PublishJob); ok {
			k := p.Job.Key
			_, twice := w.published[k.String()]
			require.False(w.t, twice, "job %s was published twice", k)
			w.published[k.String()] = p.Job
			w.open = append(w.open, p.Job)
		}
		if e, ok := e.(decide.Emit); ok {
			require.False(w.t, e.At.IsZero())
		}
	}
}

// finish lets everything happen that has to, and requires the end of the run.
func (w *world) finish() {
	for i, p := range w.plans {
		w.tell(decide.Start{Action: i, Plan: p})
		w.tell(decide.Release{Action: i})
	}
	for guard := 0; len(w.open) > 0; guard++ {
		require.Less(w.t, guard, 1000)
		w.end(0, event.ReportSucceeded)
	}
	for _, r := range w.reports {
		w.tell(decide.Report{Report: r})
	}
	for guard := 0; len(w.open) > 0 && guard < 1000; guard++ {
		w.end(0, event.ReportSucceeded)
		w.tell(decide.Report{Report: w.reports[len(w.reports)-1]})
	}
	require.Empty(w.t, w.open)
	require.True(w.t, w.run.State.Terminal(), "the run has no end: %+v", w.run)
	require.Empty(w.t, decide.Ready(&w.run))
	events := 0
	for _, e := range decide.Implied(&w.run) {
		if e, ok := e.(decide.Emit); ok && e.Lifecycle.Action == "" {
			events++
			require.Equal(w.t, 1, w.told[e.ID()])
		}
	}
	require.Equal(w.t, 1, events, "one event tells the run's end")
	for i := range w.run.Actions {
		w.requireDefer(i)
	}
}

// requireDefer: exactly one deferPhase job if anything of the action ran.
func (w *world) requireDefer(action int) {
	ran, deferred := 0, 0
	for _, j := range w.published {
		if j.Key.Action != action {
			continue
		}
		switch j.Key.Kind {
		case event.KindCore:
			ran++
		case event.KindDefer:
			deferred++
		case event.KindRender:
		}
	}
	switch {
	case w.plans[action].Defer == nil:
		require.Zero(w.t, deferred)
	case ran > 0:
		require.Equal(w.t, 1, deferred)
	default:
		require.LessOrEqual(w.t, deferred, 1)
	}
}

// end makes a runner end an open job; its report is sent, not delivered.
func (w *world) end(n int, kind event.ReportKind) {
	j := w.open[n]
	w.open = append(w.open[:n:n], w.open[n+1:]...)
	r := event.Report{Kind: kind, Key: j.Key, At: w.now}
	if kind == event.ReportFailed {
		r.Failure = &event.Failure{Reason: event.ReasonPodFailed, Message: "exit code 1"}
	}
	w.reports = append(w.reports, r)
}

func rank(s event.State) int {
	switch s {
	case event.StatePending:
		return 0
	case event.StateRunning:
		return 1
	case event.StateComplete, event.StateFailed, event.StateCancelled:
		return 2
	}
	return -1
}

func plans(t *rapid.T) []decide.Plan {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) decide.Plan {
		p := decide.Plan{Artifacts: rapid.Bool().Draw(t, "artifacts")}
		for i := range rapid.IntRange(0, 8).Draw(t, "phases") {
			p.Phases = append(p.Phases, decide.PhasePlan{Name: fmt.Sprint("p", i), Func: "KubeTask"})
		}
		if rapid.Bool().Draw(t, "defer") {
			p.Defer = &decide.PhasePlan{Name: "d", Func: "KubeExec"}
		}
		return p
	}), 1, 3).Draw(t, "plans")
}

func property(t *rapid.T) {
	w := newWorld(t, plans(t))
	action := rapid.IntRange(0, len(w.plans)-1)
	t.Repeat(map[string]func(*rapid.T){
		"start": func(t *rapid.T) {
			a := action.Draw(t, "action")
			w.tell(decide.Start{Action: a, Plan: w.plans[a]})
		},
		"refuse": func(t *rapid.T) {
			if rapid.IntRange(0, 4).Draw(t, "rarely") == 0 {
				w.tell(decide.Refuse{Action: action.Draw(t, "action"), Failure: event.Failure{Reason: event.ReasonNotFound, Message: "no"}})
			}
		},
		"release": func(t *rapid.T) { w.tell(decide.Release{Action: action.Draw(t, "action")}) },
		"end": func(t *rapid.T) {
			if len(w.open) == 0 {
				return
			}
			kind := rapid.SampledFrom([]event.ReportKind{
				event.ReportSucceeded, event.ReportSucceeded, event.ReportSucceeded, event.ReportFailed, event.ReportCancelled,
			}).Draw(t, "kind")
			w.end(rapid.IntRange(0, len(w.open)-1).Draw(t, "job"), kind)
		},
		"deliver": func(t *rapid.T) { // late, often, in any order
			if len(w.reports) > 0 {
				w.tell(decide.Report{Report: rapid.SampledFrom(w.reports).Draw(t, "report")})
			}
		},
		"invent": func(t *rapid.T) {
			w.tell(decide.Report{Report: invented(t, w.published)})
		},
		"cancel": func(t *rapid.T) {
			if rapid.IntRange(0, 6).Draw(t, "rarely") == 0 {
				w.tell(decide.Report{Report: event.Report{Kind: event.ReportCancel, Key: event.Key{UID: "u1"}}})
			}
		},
	})
	w.finish()
}

// invented is a report about a job that was never published.
func invented(t *rapid.T, published map[string]event.Job) event.Report {
	k := event.Key{
		UID:     rapid.SampledFrom([]string{"u1", "u2", ""}).Draw(t, "uid"),
		Action:  rapid.IntRange(-1, 4).Draw(t, "action"),
		Kind:    rapid.SampledFrom([]event.PhaseKind{event.KindCore, event.KindDefer, event.KindRender, "other"}).Draw(t, "kind"),
		Phase:   rapid.IntRange(-1, 9).Draw(t, "phase"),
		Attempt: rapid.IntRange(-1, 3).Draw(t, "attempt"),
	}
	if j, ok := published[k.String()]; ok && j.Key.Phase == k.Phase {
		k.Attempt += 100
	}
	return event.Report{
		Kind: rapid.SampledFrom([]event.ReportKind{event.ReportProgress, event.ReportSucceeded, event.ReportFailed, event.ReportCancelled, "?"}).Draw(t, "report"),
		Key:  k,
	}
}

func TestDecideProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, property)
}

func FuzzDecide(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(property))
}
