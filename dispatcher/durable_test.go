package dispatcher_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/dispatcher"
	"github.com/salvor-io/salvor/dispatcher/decide"
	"github.com/salvor-io/salvor/internal/stream"
)

// notes are annotations of an ActionSet.
type notes map[string]string

// put stores a pending run of one action, changed as the test wants it.
func (s *server) put(uid, shape string, annotations notes, change ...func(*event.Run)) *event.Run {
	s.t.Helper()
	now := time.Now()
	run := &event.Run{
		Version: event.RunVersion, UID: uid, Namespace: "ns", Name: "as-" + uid, CreatedAt: now, UpdatedAt: now, State: event.StatePending,
		Annotations: annotations, Actions: []event.Action{{Spec: action("a0", shape), State: event.StatePending}},
	}
	for _, c := range change {
		c(run)
	}
	_, err := s.runs.Create(s.t.Context(), run)
	require.NoError(s.t, err)
	return run
}

// ask sends a request as the bridge does.
func (s *server) ask(kind event.ReportKind, uid, token string) {
	s.t.Helper()
	require.NoError(s.t, stream.NewReports(s.js, event.SourceBridge).Publish(s.t.Context(), &event.Report{
		Kind: kind, Key: event.Key{UID: uid, Namespace: "ns"}, At: time.Now(), Token: token, Reason: "the test asks",
	}, ""))
}

func (s *server) get(uid string) *event.Run {
	s.t.Helper()
	run, _, err := s.runs.Get(s.t.Context(), "ns", uid)
	require.NoError(s.t, err)
	return run
}

// flaky fails the first n attempts of the phase of that name.
func flaky(name string, n int) func(event.Job) *event.Report {
	return func(j event.Job) *event.Report {
		if j.PhaseName == name && j.Key.Attempt <= n {
			return failed()
		}
		return nil
	}
}

func TestAPhaseIsTriedAgainAndGivesItsSlotMeanwhile(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := startRunner(t, s.js, &runner{script: flaky("flaky", 2)})
	o := options()
	o.Window = 1
	startDispatcher(t, dispatcher.Deps{JS: s.js}, o)
	s.put("u1", "a flaky b defer:d", notes{"salvor.io/attempts.a0.flaky": "3", "salvor.io/backoff": "1h", "salvor.io/backoff-limit": "1h"})
	waits := func() {
		t.Helper()
		eventually(t, "it waits", func() bool {
			p := s.get("u1").Actions[0].Phases
			return len(p) > 1 && p[1].RetryAt != nil
		})
	}
	waits()
	s.put("u2", "x", nil)
	assert.Equal(t, event.StateComplete, ended(t, s.runs, "ns", "u2").State)
	assert.False(t, s.get("u1").State.Terminal(), "the other one has the only slot while this one waits")
	for range 2 {
		waits()
		s.rival(time.Now().Add(3*time.Hour), decide.Wake{}) // its time has come
	}
	run := ended(t, s.runs, "ns", "u1")
	require.Equal(t, event.StateComplete, run.State, "%+v", run.Failure)
	assert.Equal(t, map[string]int{
		"u1.0.p0.1": 1, "u1.0.p1.1": 1, "u1.0.p1.2": 1, "u1.0.p1.3": 1, "u1.0.p2.1": 1, "u1.0.defer.1": 1, "u2.0.p0.1": 1,
	}, r.executed())
	require.Len(t, run.Actions[0].Phases[1].Attempts, 2)
	assert.Equal(t, "exit code 3", run.Actions[0].Phases[1].Attempts[0].Failure.Message)
}

// TestTimersThatAreLost: the stream is emptied; the recheck looks at the time.
func TestTimersThatAreLost(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	startRunner(t, s.js, &runner{script: flaky("flaky", 1)})
	o := options()
	o.RecheckInterval = time.Second
	startDispatcher(t, dispatcher.Deps{JS: s.js}, o)
	s.put("u1", "flaky", notes{"salvor.io/attempts": "2", "salvor.io/backoff": "3s"})
	timers, err := s.js.Stream(t.Context(), event.StreamTimers)
	require.NoError(t, err)
	eventually(t, "a timer", func() bool {
		info, err := timers.Info(t.Context())
		return err == nil && info.State.LastSeq > 0
	})
	require.NoError(t, timers.Purge(t.Context()))
	assert.Equal(t, event.StateComplete, ended(t, s.runs, "ns", "u1").State)
}

// TestAReportThatIsReadLate: the attempt ended and its end was told, and its time is
// up before the report is delivered.
func TestAReportThatIsReadLate(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	d := startDispatcher(t, dispatcher.Deps{JS: s.js}, options())
	eventually(t, "it has begun", func() bool { return d.Ready() == nil })
	now := time.Now()
	_, err := s.js.PauseConsumer(t.Context(), event.StreamReports, "dispatchers", now.Add(time.Hour))
	require.NoError(t, err)
	require.NoError(t, stream.NewReports(s.js, event.SourceRunner).Publish(t.Context(), &event.Report{
		Kind: event.ReportSucceeded, Key: event.Key{UID: "u1", Namespace: "ns", Kind: event.KindCore, Attempt: 1}, At: now,
	}, ""))
	deadline := now.Add(-decide.ReportGrace)
	s.put("u1", "p", nil, func(run *event.Run) {
		run.State = event.StateRunning
		a := &run.Actions[0]
		a.State, a.StartedAt, a.Blueprint, a.Params = event.StateRunning, &now, &event.BlueprintRef{}, &event.Payload{}
		a.Phases = []event.Phase{{Name: "p", Func: "KubeTask", State: event.StateRunning, Attempt: 1, Deadline: &deadline}}
	})
	require.NoError(t, stream.NewTimers(s.js, clock.RealClock{}).Set(t.Context(), "ns", "u1", time.Now()))
	run := ended(t, s.runs, "ns", "u1")
	assert.Equal(t, event.StateComplete, run.State, "%+v", run.Failure)
}

// TestATimeThatCameWhileNobodyWasThere: both kinds of time passed long ago, and no
// timer is left.
func TestATimeThatCameWhileNobodyWasThere(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	long := time.Now().Add(-time.Hour)
	two := &event.Policy{Attempts: 2, Backoff: metav1.Duration{Duration: time.Second}, BackoffLimit: metav1.Duration{Duration: time.Second}}
	started := func(p event.Phase) func(*event.Run) {
		return func(run *event.Run) {
			p.Name, p.Func, p.Attempt, p.Policy = "p", "KubeTask", 1, two
			run.State, run.UpdatedAt = event.StateRunning, long
			a := &run.Actions[0]
			a.State, a.StartedAt, a.Phases, a.Blueprint, a.Params = event.StateRunning, &long, []event.Phase{p}, &event.BlueprintRef{}, &event.Payload{}
		}
	}
	s.put("backoff", "p", nil, started(event.Phase{State: event.StatePending, RetryAt: &long}))
	s.put("deadline", "p", nil, started(event.Phase{State: event.StateRunning, Deadline: &long}))
	startDispatcher(t, dispatcher.Deps{JS: s.js}, options())
	r := startRunner(t, s.js, &runner{})
	assert.Equal(t, event.StateComplete, ended(t, s.runs, "ns", "backoff").State)
	run := ended(t, s.runs, "ns", "deadline")
	assert.Equal(t, event.StateComplete, run.State)
	assert.Equal(t, event.ReasonTimeout, run.Actions[0].Phases[0].Attempts[0].Failure.Reason)
	assert.Equal(t, map[string]int{"backoff.0.p0.2": 1, "deadline.0.p0.2": 1}, r.executed())
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	gate := make(chan struct{})
	r := startRunner(t, s.js, &runner{gate: gate})
	o := options()
	o.Window = 1
	d := startDispatcher(t, dispatcher.Deps{JS: s.js}, o)
	s.put("u1", "a b defer:d", nil)
	eventually(t, "a runs", func() bool { return s.messages(event.StreamJobs) == 1 })
	s.ask(event.ReportPause, "u1", "")
	eventually(t, "it is paused", func() bool { return s.get("u1").Pause != nil })
	gate <- struct{}{}
	eventually(t, "a has ended and the slot is free", func() bool {
		return s.get("u1").Actions[0].Phases[0].State == event.StateComplete && d.metric(t, "window_used") == 0
	})
	s.put("held", "x", nil, func(run *event.Run) { run.Pause = &event.Pause{Reason: "from the start"} })
	s.put("u2", "y", nil)
	gate <- struct{}{}
	ended(t, s.runs, "ns", "u2")
	assert.Equal(t, event.StatePending, s.get("held").State)
	s.ask(event.ReportResume, "u1", "")
	s.ask(event.ReportResume, "held", "")
	for range 3 {
		gate <- struct{}{}
	}
	assert.Equal(t, event.StateComplete, ended(t, s.runs, "ns", "u1").State)
	assert.Equal(t, event.StateComplete, ended(t, s.runs, "ns", "held").State)
	for job, n := range r.executed() {
		assert.Equal(t, 1, n, job)
	}
}

func TestARunThatEndedGoesOn(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := startRunner(t, s.js, &runner{script: flaky("b", 1)})
	startDispatcher(t, dispatcher.Deps{JS: s.js}, options())
	s.put("u1", "a b defer:d artifacts", nil)
	require.Equal(t, event.StateFailed, ended(t, s.runs, "ns", "u1").State)
	s.ask(event.ReportRetry, "u1", "once")
	eventually(t, "it goes on", func() bool { return s.get("u1").Retry != nil })
	run := ended(t, s.runs, "ns", "u1")
	require.Equal(t, event.StateComplete, run.State, "%+v", run.Failure)
	assert.NotEmpty(t, run.Actions[0].Artifacts)
	s.ask(event.ReportRetry, "u1", "once")
	s.ask(event.ReportRetry, "u1", "twice")
	want := map[string]int{"u1.0.p0.1": 1, "u1.0.p1.1": 1, "u1.0.defer.1": 1, "u1.0.p1.2": 1, "u1.0.defer.2": 1}
	assert.Equal(t, want, r.executed())
	eventually(t, "both ends are told", func() bool {
		told := lifecycle(t, s.js)
		return told[event.TypeRunFailed+" u1.failed"] == 1 && told[event.TypeRunCompleted+" u1.complete.r1"] == 1
	})
	reports, err := s.js.Stream(t.Context(), event.StreamReports)
	require.NoError(t, err)
	eventually(t, "the requests are handled", func() bool {
		info, err := reports.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	})
	assert.Equal(t, event.StateComplete, s.get("u1").State, "a run that is complete is left alone")
	assert.Equal(t, want, r.executed())
}

// TestACancelledRunGoesOn: the mark that stops its phases must go.
func TestACancelledRunGoesOn(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	startDispatcher(t, dispatcher.Deps{JS: s.js}, options())
	s.put("u1", "a b", notes{"salvor.io/pause": "x"}, func(run *event.Run) { run.Pause = &event.Pause{} })
	s.ask(event.ReportCancel, "u1", "")
	require.Equal(t, event.StateCancelled, ended(t, s.runs, "ns", "u1").State)
	leases, err := stream.NewLeases(t.Context(), s.js)
	require.NoError(t, err)
	require.NoError(t, leases.Cancel(t.Context(), "u1"))
	s.ask(event.ReportRetry, "u1", "t")
	eventually(t, "it goes on", func() bool { return s.get("u1").Retry != nil })
	r := startRunner(t, s.js, &runner{})
	require.Equal(t, event.StateComplete, ended(t, s.runs, "ns", "u1").State)
	assert.Equal(t, map[string]int{"u1.0.p0.1": 1, "u1.0.p1.1": 1}, r.executed())
	kv, err := s.js.KeyValue(t.Context(), event.BucketLeases)
	require.NoError(t, err)
	_, err = kv.Get(t.Context(), event.CancelKey("u1"))
	require.ErrorIs(t, err, jetstream.ErrKeyNotFound)
}

// TestTheSweepLeavesARunThatGoesOn: it was seen as ended long ago, and is retried.
func TestTheSweepLeavesARunThatGoesOn(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	run := s.put("u1", "p", nil, func(run *event.Run) { run.State = event.StateFailed })
	_, seen, err := s.runs.Get(t.Context(), "ns", "u1")
	require.NoError(t, err)
	run.State = event.StateRunning
	_, err = s.runs.Update(t.Context(), run, seen)
	require.NoError(t, err)
	require.NoError(t, s.runs.Expire(t.Context(), "ns", "u1", seen))
	now, revision, err := s.runs.Get(t.Context(), "ns", "u1")
	require.NoError(t, err)
	assert.Equal(t, event.StateRunning, now.State)
	require.NoError(t, s.runs.Expire(t.Context(), "ns", "u1", revision))
	_, _, err = s.runs.Get(t.Context(), "ns", "u1")
	require.ErrorIs(t, err, stream.ErrNotFound)
}

// podPlanner says that pods of the run are there.
type podPlanner struct {
	planner
	pods map[string]int
}

func (p *podPlanner) Plan(ctx context.Context, in dispatcher.PlanInput) (*dispatcher.Planned, error) {
	planned, err := p.planner.Plan(ctx, in)
	if err == nil {
		planned.Pods = maps.Clone(p.pods)
	}
	return planned, err
}

func TestARecoveredRunGoesOnWhereItsStatusSays(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := startRunner(t, s.js, &runner{})
	startDispatcher(t, dispatcher.Deps{JS: s.js, Planner: &podPlanner{pods: map[string]int{"core-1": 2}}}, options())
	s.put("u1", "a b c defer:d", nil, func(run *event.Run) {
		run.Actions[0].Recovered = &kanister.ActionStatus{Phases: []kanister.Phase{
			{Name: "a", State: kanister.StateComplete, Output: kanister.JSONMap{"path": "p"}}, {Name: "b", State: kanister.StateRunning}, {Name: "c", State: kanister.StatePending},
		}}
	})
	run := ended(t, s.runs, "ns", "u1")
	require.Equal(t, event.StateComplete, run.State, "%+v", run.Failure)
	assert.JSONEq(t, `{"path":"p"}`, string(run.Actions[0].Phases[0].Output.Inline))
	assert.Equal(t, map[string]int{"u1.0.p1.2": 1, "u1.0.p2.1": 1, "u1.0.defer.1": 1}, r.executed(), "the attempt whose pod is there")
}

// TestARecordThatIsMadeAnewUnderTheDispatcher: somebody deleted the record of a run
// that had the only slot, and the bridge made it anew.
func TestARecordThatIsMadeAnewUnderTheDispatcher(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	gate := make(chan struct{})
	r := startRunner(t, s.js, &runner{gate: gate})
	o := options()
	o.Window = 1
	startDispatcher(t, dispatcher.Deps{JS: s.js}, o)
	s.put("u1", "a b defer:d", nil)
	eventually(t, "a runs", func() bool { return s.messages(event.StreamJobs) == 1 })
	require.NoError(t, s.runs.Delete(t.Context(), "ns", "u1"))
	s.put("u1", "a b defer:d", nil, func(run *event.Run) {
		run.Actions[0].Recovered = &kanister.ActionStatus{Phases: []kanister.Phase{{Name: "a", State: kanister.StateRunning}, {Name: "b", State: kanister.StatePending}}}
	})
	s.put("u2", "x", nil)
	eventually(t, "it goes on with what runs", func() bool { return s.get("u1").State == event.StateRunning })
	close(gate)
	assert.Equal(t, event.StateComplete, ended(t, s.runs, "ns", "u1").State)
	assert.Equal(t, event.StateComplete, ended(t, s.runs, "ns", "u2").State)
	executed := r.executed()
	delete(executed, "u1.0.p0.1") // twice if it ended between the state and the queueing of its job
	assert.Equal(t, map[string]int{"u1.0.p1.1": 1, "u1.0.defer.1": 1, "u2.0.p0.1": 1}, executed)
}

func TestWrongAnnotationsAreRefused(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	startDispatcher(t, dispatcher.Deps{JS: s.js}, options())
	s.put("u1", "a", notes{"salvor.io/attempts": "often", "salvor.io/timout": "1h"})
	run := ended(t, s.runs, "ns", "u1")
	assert.Equal(t, event.ReasonInvalid, run.Failure.Reason)
	assert.Contains(t, run.Failure.Message, `annotation salvor.io/attempts="often" of the ActionSet: it must be a number`)
	assert.Contains(t, run.Failure.Message, "did you mean salvor.io/timeout?")
}
