package dispatcher_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/dispatcher"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/stream"
)

func TestOnePhaseRunCostsSixMessages(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	d := startDispatcher(t, dispatcher.Deps{JS: s.js}, options())
	startRunner(t, s.js, &runner{})
	s.create("ns", "u1", action("backup", "dump artifacts"))
	run := ended(t, s.runs, "ns", "u1")
	assert.Equal(t, event.StateComplete, run.State)
	assert.Equal(t, "u1.0.p0.1", run.Actions[0].Artifacts["out"].KeyValue["by"])
	eventually(t, "the report is not acknowledged", func() bool {
		reports, err := stream.NewReports(s.js, event.SourceRunner).Pending(t.Context(), "ns", "u1")
		return err == nil && len(reports) == 0
	})
	require.NoError(t, d.Ready())
	total := 0
	for _, name := range []string{event.StreamRuns, event.StreamJobs, event.StreamReports, event.StreamEvents, "KV_" + event.BucketLeases} {
		total += s.messages(name)
	}
	assert.LessOrEqual(t, total, 6, "the budget of a one-phase run")
	assert.Equal(t, 3, s.messages(event.StreamRuns), "created, started, ended")
	assert.Equal(t, map[string]int{"io.salvor.run.completed.v1 u1.complete": 1}, lifecycle(t, s.js))
	assert.InDelta(t, 1, d.metric(t, "start_seconds"), 0)
	eventually(t, "the slot is given back", func() bool { return d.metric(t, "window_used") == 0 })
	var params map[string]string
	require.NoError(t, stream.NewBlobs(s.js).Get(t.Context(), *run.Actions[0].Params, &params))
	assert.Equal(t, map[string]string{"for": "backup"}, params)
	var bp kanister.Blueprint
	require.NoError(t, stream.NewBlobs(s.js).Get(t.Context(), run.Actions[0].Blueprint.Content, &bp))
	assert.Contains(t, bp.Actions, "backup")
}

func TestPhasesDeferAndActions(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	startDispatcher(t, dispatcher.Deps{JS: s.js}, options())
	r := startRunner(t, s.js, &runner{script: func(j event.Job) *event.Report {
		if j.PhaseName == "boom" {
			return failed()
		}
		return nil
	}})
	s.create("ns", "u1", action("good", "a b defer:d artifacts"), action("bad", "boom never defer:d"), action("empty", ""))
	run := ended(t, s.runs, "ns", "u1")
	assert.Equal(t, event.StateFailed, run.State)
	assert.Equal(t, `action "bad" (actions[1]): phase "boom" (KubeTask): exit code 3`, run.Failure.Message)
	assert.Equal(t, event.StateComplete, run.Actions[0].State)
	assert.Equal(t, event.StateComplete, run.Actions[2].State)
	assert.Equal(t, map[string]int{
		"u1.0.p0.1": 1, "u1.0.p1.1": 1, "u1.0.defer.1": 1, "u1.1.p0.1": 1, "u1.1.defer.1": 1,
	}, r.executed())
	eventually(t, "the event of the run", func() bool { return lifecycle(t, s.js)["io.salvor.run.failed.v1 u1.failed"] == 1 })
	assert.Equal(t, 1, lifecycle(t, s.js)["io.salvor.phase.failed.v1 u1.1.p0.1.failed"])
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	startDispatcher(t, dispatcher.Deps{JS: s.js, Planner: &planner{fail: func(call int) error {
		switch call {
		case 1:
			return &blueprint.Error{Reason: event.ReasonNotFound, Err: errors.New(`blueprint "x" is neither in ns nor in the library`)}
		case 2:
			panic("a fault in the planner")
		}
		return nil
	}}}, options())
	s.create("ns", "u1", action("backup", "dump"))
	run := ended(t, s.runs, "ns", "u1")
	assert.Equal(t, event.StateFailed, run.State)
	assert.Equal(t, event.ReasonNotFound, run.Failure.Reason)
	assert.Equal(t, `action "backup" (actions[0]): blueprint "x" is neither in ns nor in the library`, run.Failure.Message)
	s.create("ns", "u2", action("backup", "dump"))
	run = ended(t, s.runs, "ns", "u2")
	assert.Equal(t, event.ReasonInternal, run.Failure.Reason)
	s.create("ns", "u3")
	assert.Contains(t, ended(t, s.runs, "ns", "u3").Failure.Message, "spec.actions")
	startRunner(t, s.js, &runner{})
	s.create("ns", "u4", action("backup", "dump"))
	assert.Equal(t, event.StateComplete, ended(t, s.runs, "ns", "u4").State, "the others go on")
}

func TestPlanningIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	clk := clocktesting.NewFakeClock(time.Now())
	p := &planner{fail: func(call int) error {
		if call < 4 {
			return errors.New("the API server does not answer")
		}
		return nil
	}}
	d := startDispatcher(t, dispatcher.Deps{JS: s.js, Planner: p, Clock: clk}, options())
	startRunner(t, s.js, &runner{})
	s.create("ns", "u1", action("backup", "dump"))
	for _, n := range []float64{1, 2, 3} {
		eventually(t, "the attempt fails, and others need not wait for it", func() bool {
			return d.metric(t, "retries_total") == n && clk.HasWaiters() && d.metric(t, "window_used") == 0
		})
		step(t, clk, backoffOf(int(n)), p, int(n)+1)
	}
	assert.Equal(t, event.StateComplete, ended(t, s.runs, "ns", "u1").State)
}

func backoffOf(n int) time.Duration { return time.Second << (n - 1) }

// step moves the clock until the planner was called often enough: the timer may
// not have been set when the metric was read.
func step(t *testing.T, clk *clocktesting.FakeClock, d time.Duration, p *planner, calls int) {
	t.Helper()
	clk.Step(d)
	eventually(t, "the next attempt", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.calls < calls {
			clk.Step(d)
		}
		return p.calls >= calls
	})
}

func TestPlanningIsGivenUp(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	clk := clocktesting.NewFakeClock(time.Now())
	p := &planner{fail: func(int) error { return errors.New("the API server does not answer") }}
	o := options()
	o.PlanRetryFor = 5 * time.Second
	startDispatcher(t, dispatcher.Deps{JS: s.js, Planner: p, Clock: clk}, o)
	s.create("ns", "u1", action("backup", "dump"))
	var run *event.Run
	eventually(t, "the run ends", func() bool {
		clk.Step(time.Second)
		var err error
		run, _, err = s.runs.Get(t.Context(), "ns", "u1")
		return err == nil && run.State.Terminal()
	})
	assert.Equal(t, event.StateFailed, run.State)
	assert.Contains(t, run.Failure.Message, "the API server does not answer")
}

func TestCancel(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	startDispatcher(t, dispatcher.Deps{JS: s.js}, options())
	leases, err := stream.NewLeases(t.Context(), s.js)
	require.NoError(t, err)
	cancelled := make(chan string, 10)
	go func() { _ = leases.WatchCancels(t.Context(), func(uid string) { cancelled <- uid }) }()
	bridge := stream.NewReports(s.js, event.SourceBridge)
	cancel := func(uid string) {
		require.NoError(t, bridge.Publish(t.Context(), &event.Report{
			Kind: event.ReportCancel, Key: event.Key{UID: uid, Namespace: "ns"}, At: time.Now(), Reason: "ActionSet deleted",
		}, ""))
	}
	s.create("ns", "u1", action("backup", "slow never defer:clean"))
	eventually(t, "the run starts", func() bool {
		run, _, err := s.runs.Get(t.Context(), "ns", "u1")
		return err == nil && run.State == event.StateRunning
	})
	cancel("u1")
	select {
	case uid := <-cancelled: // as a runner would learn it
		assert.Equal(t, "u1", uid)
	case <-time.After(patience):
		t.Fatal("runners are not told")
	}
	r := startRunner(t, s.js, &runner{script: func(j event.Job) *event.Report {
		if j.PhaseName == "slow" {
			return &event.Report{Kind: event.ReportCancelled}
		}
		return nil
	}})
	run := ended(t, s.runs, "ns", "u1")
	assert.Equal(t, event.StateCancelled, run.State)
	assert.Equal(t, "ActionSet deleted", run.Cancel.Reason)
	assert.Equal(t, map[string]int{"u1.0.p0.1": 1, "u1.0.defer.1": 1}, r.executed())
}

func TestCancelWhileWaiting(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	o := options()
	o.Window = 1
	d := startDispatcher(t, dispatcher.Deps{JS: s.js}, o)
	s.create("ns", "u1", action("backup", "dump"))
	s.create("ns", "u2", action("backup", "dump"))
	eventually(t, "u2 waits", func() bool { return d.metric(t, "waiting_actions") == 1 })
	bridge := stream.NewReports(s.js, event.SourceBridge)
	require.NoError(t, bridge.Publish(t.Context(), &event.Report{
		Kind: event.ReportCancel, Key: event.Key{UID: "u2", Namespace: "ns"}, At: time.Now(), Reason: "ActionSet deleted",
	}, ""))
	assert.Equal(t, event.StateCancelled, ended(t, s.runs, "ns", "u2").State)
	eventually(t, "u2 leaves the line", func() bool { return d.metric(t, "waiting_actions") == 0 })
	startRunner(t, s.js, &runner{})
	ended(t, s.runs, "ns", "u1")
}

// TestWhatCannotBeReadIsKept: another version of the program may know it. What
// names no run is dropped, and nothing is held up.
func TestWhatCannotBeReadIsKept(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	d := startDispatcher(t, dispatcher.Deps{JS: s.js}, options())
	_, err := s.js.Publish(t.Context(), event.ReportSubject("ns", "junk"), []byte("junk"))
	require.NoError(t, err)
	_, err = s.js.Publish(t.Context(), event.RunSubject("ns", "junk"), []byte("junk"))
	require.NoError(t, err)
	reports := stream.NewReports(s.js, event.SourceRunner)
	for _, uid := range []string{"unknown", "junk"} { // no such run; a run that cannot be read
		require.NoError(t, reports.Publish(t.Context(), &event.Report{
			Kind: event.ReportSucceeded, Key: event.Key{UID: uid, Namespace: "ns", Kind: event.KindCore, Attempt: 1}, At: time.Now(),
		}, ""))
	}
	startRunner(t, s.js, &runner{})
	s.create("ns", "u1", action("backup", "dump"))
	ended(t, s.runs, "ns", "u1")
	eventually(t, "two reports are left, and come again", func() bool {
		st, err := s.js.Stream(t.Context(), event.StreamReports)
		return err == nil && st.CachedInfo().State.Msgs == 2 && d.metric(t, "malformed_total") > 2
	})
}

func TestRecordsArePastTheirRetention(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	clk := clocktesting.NewFakeClock(time.Now())
	d := startDispatcher(t, dispatcher.Deps{JS: s.js, Clock: clk}, options())
	blobs := stream.NewBlobs(s.js)
	r := startRunner(t, s.js, &runner{script: func(j event.Job) *event.Report {
		output, err := blobs.Put(t.Context(), map[string]string{"key": strings.Repeat(j.Key.UID, event.InlineLimit)})
		if err != nil {
			t.Error(err)
		}
		return &event.Report{Kind: event.ReportSucceeded, Output: &output}
	}})
	s.create("ns", "u1", action("backup", "dump"))
	ended(t, s.runs, "ns", "u1")
	clk.Step(100 * time.Hour)
	s.create("ns", "u2", action("backup", "dump"))
	ended(t, s.runs, "ns", "u2")
	eventually(t, "both are on record", func() bool { return d.metric(t, "runs") == 2 && len(r.executed()) == 2 })
	clk.Step(80 * time.Hour)
	eventually(t, "u1 is removed", func() bool {
		_, _, err := s.runs.Get(t.Context(), "ns", "u1")
		return errors.Is(err, stream.ErrNotFound) && d.metric(t, "runs") == 1
	})
	run, _, err := s.runs.Get(t.Context(), "ns", "u2")
	require.NoError(t, err, "younger than the retention")
	var left []string
	require.Eventually(t, func() bool {
		clk.Step(10 * time.Minute)
		left, err = blobs.Older(t.Context(), time.Now().Add(time.Hour))
		return err == nil && len(left) == 1
	}, patience, 500*time.Millisecond, "the output of u1 is removed")
	assert.Equal(t, []string{run.Actions[0].Phases[0].Output.Digest}, left)
}

func TestARunThatGrowsTooLargeStillEnds(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	startDispatcher(t, dispatcher.Deps{JS: s.js}, options())
	blobs := stream.NewBlobs(s.js)
	startRunner(t, s.js, &runner{script: func(event.Job) *event.Report {
		output, err := blobs.Put(t.Context(), map[string]string{"key": strings.Repeat("x", 8000)})
		if err != nil {
			t.Error(err)
		}
		return &event.Report{Kind: event.ReportSucceeded, Output: &output, Excerpt: map[string]any{"key": strings.Repeat("x", 8000)}}
	}})
	var actions []kanister.ActionSpec
	for range 16 {
		actions = append(actions, action("backup", "a b c d e f g h"))
	}
	s.create("ns", "u1", actions...) // 128 phases with 16 kB each: more than two messages hold
	var run *event.Run
	require.Eventually(t, func() bool { // longer than for others: each write is of up to a megabyte
		var err error
		run, _, err = s.runs.Get(t.Context(), "ns", "u1")
		return err == nil && run.State.Terminal()
	}, 3*patience, 250*time.Millisecond)
	require.Equal(t, event.StateComplete, run.State)
	var output map[string]string
	require.NoError(t, blobs.Get(t.Context(), *run.Actions[0].Phases[0].Output, &output))
	assert.Len(t, output["key"], 8000, "outputs move, they are not lost")
}

func TestOptions(t *testing.T) {
	t.Parallel()
	o := dispatcher.DefaultOptions()
	require.NoError(t, o.Validate())
	o.Window, o.RunRetention, o.Weights = 0, 0, map[string]int{"a": 0}
	err := o.Validate()
	require.ErrorContains(t, err, "--window is 0")
	require.ErrorContains(t, err, "--run-retention is 0s")
	require.ErrorContains(t, err, "--namespace-weight a=0")
	_, err = dispatcher.New(dispatcher.Deps{}, dispatcher.DefaultOptions())
	require.ErrorContains(t, err, "JS, Clock")
}

// TestFullEventsHoldUpNoPhase fills EVENTS, as a sender from outside can: runs go
// on to their end, and their events are told once there is room.
func TestFullEventsHoldUpNoPhase(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	settings := stream.DefaultSettings()
	settings.EventsMaxBytes = 16 << 10
	require.NoError(t, stream.Ensure(t.Context(), s.js, settings))
	flood := cloudevents.NewEvent()
	flood.SetType("com.example.flood")
	flood.SetSource("/flood")
	for i := 0; ; i++ {
		flood.SetID(strconv.Itoa(i))
		if _, err := stream.NewEvents(s.js).Publish(t.Context(), "other", flood); err != nil {
			require.ErrorIs(t, err, stream.ErrFull)
			break
		}
	}
	r := startRunner(t, s.js, &runner{})
	startDispatcher(t, dispatcher.Deps{JS: s.js}, options())
	s.create("shop", "full", action("backup", "quiesce copy defer:unquiesce"))

	run := ended(t, s.runs, "shop", "full")
	assert.Equal(t, event.StateComplete, run.State)
	assert.Len(t, r.executed(), 3)

	require.NoError(t, stream.Ensure(t.Context(), s.js, stream.DefaultSettings()))
	eventually(t, "the events are told", func() bool {
		told := lifecycle(t, s.js)
		return told[event.TypeRunCompleted+" full.complete"] == 1 && told[event.TypePhaseComplete+" full.0.p0.1.complete"] == 1
	})
}
