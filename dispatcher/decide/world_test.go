package decide_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
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
	rounds    map[string]int       // of the jobs, by key
	open      []event.Job          // no runner has ended them yet
	reports   []event.Report       // sent, to be delivered once or often
	told      map[string]int       // effects by id
	timer     time.Time            // as set last; zero if none
	marked    bool                 // runners are told to stop
}

func newWorld(t require.TestingT, plans []decide.Plan) *world {
	w := &world{
		t: t, plans: plans, now: t0, published: map[string]event.Job{}, rounds: map[string]int{}, told: map[string]int{},
		run: event.Run{
			Version: event.RunVersion, UID: "u1", Namespace: "ns", Name: "as", State: event.StatePending, CreatedAt: t0, UpdatedAt: t0,
		},
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
	w.checkSteps(&old, in)
	w.checkEffects(&old, d.Effects)
}

// restart lets all memory go but what is stored.
func (w *world) restart() {
	data, err := json.Marshal(w.run)
	require.NoError(w.t, err)
	var stored event.Run
	require.NoError(w.t, json.Unmarshal(data, &stored))
	require.Equal(w.t, decide.Implied(&w.run), decide.Implied(&stored))
	w.run = stored
}

// checkSteps: states only go forward, but for what is tried again; one phase of an
// action at a time, in order.
func (w *world) checkSteps(old *event.Run, in decide.Input) {
	goesOn := old.State.Terminal() // and then only because it was asked to
	if goesOn {
		r, ok := in.(decide.Report)
		require.True(w.t, ok && r.Kind == event.ReportRetry, "a terminal run changed")
		require.NotEqual(w.t, event.StateComplete, old.State)
		require.Equal(w.t, r.Token, w.run.Retry.Token)
	} else {
		require.GreaterOrEqual(w.t, rank(w.run.State), rank(old.State))
	}
	ended := true
	for i := range w.run.Actions {
		a, before := &w.run.Actions[i], &old.Actions[i]
		if before.State == event.StateComplete || before.State.Terminal() && !goesOn {
			require.Equal(w.t, *before, *a, "a terminal action changed")
		}
		ended = ended && a.State.Terminal()
		w.checkAction(a, before, goesOn)
	}
	require.Equal(w.t, ended, w.run.State.Terminal())
	if w.run.State.Terminal() {
		require.Equal(w.t, w.run.Cancel != nil, w.run.State == event.StateCancelled)
		require.Nil(w.t, w.run.Pause)
	}
	if w.run.State == event.StateFailed {
		require.NotNil(w.t, w.run.Failure)
	}
	w.requireMessage(w.run.Failure)
	if old.Failure != nil && !goesOn {
		require.Contains(w.t, w.run.Failure.Message, old.Failure.Message, "the first failure was overwritten")
	}
}

func (w *world) checkAction(a, before *event.Action, goesOn bool) {
	running, good, anyRan := 0, true, false
	for j := range a.Phases {
		p := &a.Phases[j]
		if len(before.Phases) > j {
			w.checkPhase(p, &before.Phases[j], goesOn)
		}
		if p.State != event.StatePending {
			require.True(w.t, good, "phase %d began before its predecessors ended well", j)
		}
		if p.State == event.StateRunning {
			running++
			if a.Deadline != nil {
				require.False(w.t, p.Deadline.After(*a.Deadline), "a core phase may outlast its action")
			}
		}
		good = good && p.State == event.StateComplete
		anyRan = anyRan || p.Attempt > p.Base
	}
	if d := a.DeferPhase; d != nil {
		if before.DeferPhase != nil {
			w.checkPhase(d, before.DeferPhase, goesOn)
		}
		if d.State == event.StateRunning {
			running++
		}
		if d.State != event.StatePending {
			require.True(w.t, anyRan || good || a.Recovered != nil, "the deferPhase ran though nothing had")
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

func (w *world) checkPhase(p, before *event.Phase, goesOn bool) {
	require.GreaterOrEqual(w.t, p.Attempt, before.Attempt, "an attempt's number came again")
	if rank(p.State) < rank(before.State) && !goesOn {
		require.Equal(w.t, event.StateRunning, before.State)
		require.NotNil(w.t, p.RetryAt, "it went back, and not to be tried again")
		require.Equal(w.t, before.Attempt, p.Attempts[len(p.Attempts)-1].Attempt)
	}
	require.LessOrEqual(w.t, len(p.Attempts), event.AttemptsKept)
	if p.State != event.StatePending {
		require.Nil(w.t, p.RetryAt)
	}
	if p.State != event.StateRunning {
		require.Nil(w.t, p.Deadline)
	} else if p.Policy != nil && p.Policy.Timeout.Duration > 0 {
		require.NotNil(w.t, p.Deadline)
	}
	w.requireMessage(p.Failure)
}

func (w *world) requireMessage(f *event.Failure) {
	if f != nil {
		require.LessOrEqual(w.t, len(f.Message), event.MessageLimit)
	}
}

func (w *world) checkEffects(old *event.Run, effects []decide.Effect) {
	implied := map[string]bool{}
	for _, e := range decide.Implied(&w.run) {
		implied[e.ID()] = true
	}
	for _, e := range effects {
		_, clears := e.(decide.ClearTimer)
		require.True(w.t, clears || implied[e.ID()], "%s could not be repeated after a crash", e.ID())
		switch e := e.(type) {
		case decide.PublishJob:
			w.published1(old, e.Job)
		case decide.Emit:
			w.told[e.ID()]++
			require.Equal(w.t, 1, w.told[e.ID()], "%s was told twice", e.ID())
			require.False(w.t, e.At.IsZero())
		case decide.MarkCancel:
			w.marked = true
		case decide.ClearCancel:
			w.marked = false
		case decide.SetTimer:
			w.timer = e.At
		case decide.ClearTimer:
			w.timer = time.Time{}
		}
	}
	if at, ok := timer(&w.run); ok {
		require.Equal(w.t, at, w.timer, "the timer is set to another time than the state asks for")
	}
	if !w.run.State.Terminal() {
		require.Equal(w.t, w.run.Cancel != nil, w.marked, "the mark of a cancel")
	}
}

// published1 takes note of a job, which must be new and in order.
func (w *world) published1(old *event.Run, job event.Job) {
	k := job.Key
	_, twice := w.published[k.String()]
	require.False(w.t, twice, "job %s was published twice", k)
	w.published[k.String()] = job
	w.open = append(w.open, job)
	if w.run.Retry != nil {
		w.rounds[k.String()] = w.run.Retry.Round
	}
	require.False(w.t, w.run.Pause != nil && old.Pause != nil && k.Kind != event.KindDefer, "%s started in a pause", k)
	a := &w.run.Actions[k.Action]
	require.False(w.t, k.Kind != event.KindDefer && a.Deadline != nil && !w.now.Before(*a.Deadline), "%s started too late", k)
	p := phaseOf(&w.run, k)
	if allowed := 1; a.Recovered == nil {
		if p.Policy != nil {
			allowed = max(p.Policy.Attempts, 1)
		}
		require.LessOrEqual(w.t, p.Attempt-p.Base, allowed, "%s is one more than the policy has", k)
	}
}

func phaseOf(run *event.Run, k event.Key) *event.Phase {
	a := &run.Actions[k.Action]
	switch k.Kind {
	case event.KindCore:
		return &a.Phases[k.Phase]
	case event.KindDefer:
		return a.DeferPhase
	case event.KindRender:
		return a.Render
	}
	return nil
}

// finish lets everything happen that has to, and requires the end of the run.
func (w *world) finish() {
	for _, r := range w.reports {
		w.tell(decide.Report{Report: r})
	}
	for guard := 0; !w.run.State.Terminal(); guard++ {
		require.Less(w.t, guard, 2000, "the run has no end: %+v", w.run)
		w.tell(request(event.ReportResume, ""))
		for i, p := range w.plans {
			w.tell(decide.Start{Action: i, Plan: p})
			w.tell(decide.Release{Action: i})
		}
		for len(w.open) > 0 {
			w.end(0, event.ReportSucceeded)
			w.tell(decide.Report{Report: w.reports[len(w.reports)-1]})
		}
		if !w.timer.IsZero() && w.timer.After(w.now) {
			w.now = w.timer
		}
		w.tell(decide.Wake{})
	}
	require.Empty(w.t, decide.Ready(&w.run))
	require.True(w.t, w.timer.IsZero(), "a timer is left")
	events := 0
	for _, e := range decide.Implied(&w.run) {
		if e, ok := e.(decide.Emit); ok && e.Lifecycle.Kind == "" {
			events++
			require.Equal(w.t, 1, w.told[e.ID()])
		}
	}
	require.Equal(w.t, 1, events, "one event tells the run's end")
	for i := range w.run.Actions {
		w.requireDefer(i)
	}
}

// requireDefer: in each round in which anything of the action ran, one deferPhase,
// with as many attempts as its policy has.
func (w *world) requireDefer(action int) {
	if w.run.Actions[action].Recovered != nil {
		return // part of it lies before what is known
	}
	ran, deferred := map[int]int{}, map[int]int{}
	for key, j := range w.published {
		if j.Key.Action != action {
			continue
		}
		switch j.Key.Kind {
		case event.KindCore:
			ran[w.rounds[key]]++
		case event.KindDefer:
			deferred[w.rounds[key]]++
		case event.KindRender:
		}
	}
	d := w.plans[action].Defer
	if d == nil {
		require.Empty(w.t, deferred)
		return
	}
	most := 1
	if d.Policy != nil {
		most = max(d.Policy.Attempts, 1)
	}
	last := 0
	if w.run.Retry != nil {
		last = w.run.Retry.Round
	}
	for round := range last + 1 {
		require.LessOrEqual(w.t, deferred[round], most)
		if ran[round] > 0 {
			require.Positive(w.t, deferred[round], "no deferPhase in round %d", round)
		}
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
