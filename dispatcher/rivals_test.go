package dispatcher_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/dispatcher"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

// TestAFloodDoesNotHoldUpANeighbour: what is released is a short window, and the
// neighbour's turn comes soon after.
func TestAFloodDoesNotHoldUpANeighbour(t *testing.T) {
	t.Parallel()
	const flood, window = 60, 3
	s := startServer(t)
	o := options()
	o.Window = window
	gate := make(chan struct{})
	r := startRunner(t, s.js, &runner{gate: gate})
	for i := range flood {
		s.create("flood", fmt.Sprintf("f%02d", i), action("backup", "dump"))
	}
	d := startDispatcher(t, dispatcher.Deps{JS: s.js}, o)
	eventually(t, "the window is full", func() bool {
		return d.metric(t, "window_used") == window && d.metric(t, "waiting_actions") == flood-window
	})
	s.create("neighbour", "n1", action("backup", "dump"))
	eventually(t, "the neighbour waits", func() bool { return d.metric(t, "waiting_actions") == flood-window+1 })
	for range flood + 1 {
		gate <- struct{}{}
	}
	ended(t, s.runs, "neighbour", "n1")
	for i := range flood {
		ended(t, s.runs, "flood", fmt.Sprintf("f%02d", i))
	}
	place := -1
	var order []string
	for i, j := range r.order {
		order = append(order, j.Key.UID)
		if j.Key.UID == "n1" {
			place = i
		}
	}
	// Its turn is the next but one after the window of its arrival; what is in
	// the window with it is started at the same time and may overtake it.
	assert.LessOrEqual(t, place, 2*window, "the neighbour came after more than the window and one turn: %v", order)
	require.Len(t, order, flood+1)
}

// TestTwoDispatchersAndAStorm: two dispatchers on one store and somebody who
// rewrites the runs all the time. Every run ends, every job is executed once.
func TestTwoDispatchersAndAStorm(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	_, js2 := s.connect()
	rivals(t, s.js, js2, 30)
}

// TestConflictsInACluster: three replicas report a conflict by another code.
func TestConflictsInACluster(t *testing.T) {
	t.Parallel()
	js := natstest.Cluster(t)
	rivals(t, js, js, 10)
}

func rivals(t *testing.T, js1, js2 jetstream.JetStream, n int) {
	t.Helper()
	r := startRunner(t, js1, &runner{script: func(j event.Job) *event.Report {
		if j.PhaseName == "boom" {
			return failed()
		}
		return nil
	}})
	o := options()
	one := startDispatcher(t, dispatcher.Deps{JS: js1}, o)
	two := startDispatcher(t, dispatcher.Deps{JS: js2}, o)
	runs := stream.NewRuns(js1, event.SourceBridge)
	ctx, cancel := context.WithCancel(t.Context())
	var storm sync.WaitGroup
	storm.Go(func() { disturb(ctx, runs, n) })
	for i := range n {
		create(t, runs, fmt.Sprint("ns", i%3), fmt.Sprint("u", i), action("good", "a b defer:d"), action("bad", "boom defer:d"))
	}
	for i := range n {
		run := ended(t, runs, fmt.Sprint("ns", i%3), fmt.Sprint("u", i))
		assert.Equal(t, event.StateFailed, run.State)
		assert.Equal(t, event.StateComplete, run.Actions[0].State)
	}
	cancel()
	storm.Wait()
	assert.Len(t, r.executed(), 5*n)
	for key, count := range r.executed() {
		assert.Equal(t, 1, count, "job %s", key)
	}
	conflicts := one.metric(t, "conflicts_total") + two.metric(t, "conflicts_total")
	t.Logf("%.0f conflicts", conflicts)
	assert.Positive(t, conflicts)
}

// disturb rewrites runs under way without changing what they are.
func disturb(ctx context.Context, runs *stream.Runs, n int) {
	clk := clock.RealClock{}
	for i := 0; ctx.Err() == nil; i++ {
		uid := i % n
		run, revision, err := runs.Get(ctx, fmt.Sprint("ns", uid%3), fmt.Sprint("u", uid))
		if err != nil || run.State.Terminal() {
			clk.Sleep(time.Millisecond)
			continue
		}
		_, _ = runs.Update(ctx, run, revision) // losing is part of it
	}
}

// TestARunIsTakenUpFromADispatcherThatLeft: one dispatcher wrote the run and never
// queued the job; another one, alive all the time, finds out.
func TestARunIsTakenUpFromADispatcherThatLeft(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	o := options()
	o.RecheckInterval = time.Second
	d := startDispatcher(t, dispatcher.Deps{JS: s.js}, o)
	eventually(t, "ready", func() bool { return d.Ready() == nil })
	at := time.Now()
	_, err := s.runs.Create(t.Context(), &event.Run{
		Version: event.RunVersion, UID: "u1", Namespace: "ns", Name: "as", CreatedAt: at, UpdatedAt: at, State: event.StateRunning,
		Actions: []event.Action{{
			Spec: action("backup", "dump"), State: event.StateRunning, StartedAt: &at,
			Phases: []event.Phase{{Name: "dump", Func: "KubeTask", State: event.StateRunning, Attempt: 1, StartedAt: &at}},
		}},
	})
	require.NoError(t, err)
	r := startRunner(t, s.js, &runner{})
	assert.Equal(t, event.StateComplete, ended(t, s.runs, "ns", "u1").State)
	assert.Equal(t, map[string]int{"u1.0.p0.1": 1}, r.executed())
}

// TestARunThatCannotBeTakenUpIsTriedOnceAtATime: while a stream does not answer,
// each recheck finds the run again; that must not make one more series of tries.
func TestARunThatCannotBeTakenUpIsTriedOnceAtATime(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	clk := clocktesting.NewFakeClock(time.Now())
	d := startDispatcher(t, dispatcher.Deps{JS: s.js, Clock: clk}, options())
	eventually(t, "ready", func() bool { return d.Ready() == nil })
	require.NoError(t, s.js.DeleteStream(t.Context(), event.StreamJobs))
	at := clk.Now()
	_, err := s.runs.Create(t.Context(), &event.Run{
		Version: event.RunVersion, UID: "u1", Namespace: "ns", Name: "as", CreatedAt: at, UpdatedAt: at, State: event.StateRunning,
		Actions: []event.Action{{
			Spec: action("backup", "dump"), State: event.StateRunning, StartedAt: &at,
			Phases: []event.Phase{{Name: "dump", Func: "KubeTask", State: event.StateRunning, Attempt: 1, StartedAt: &at}},
		}},
	})
	require.NoError(t, err)
	eventually(t, "the run is seen", func() bool { return d.metric(t, "runs") == 1 })
	const rounds = 12
	for range rounds {
		before := d.metric(t, "retries_total")
		eventually(t, "a try", func() bool {
			if d.metric(t, "retries_total") > before {
				return true
			}
			clk.Step(options().RecheckInterval + time.Second)
			return false
		})
	}
	assert.LessOrEqual(t, d.metric(t, "retries_total"), float64(2*rounds))

	require.NoError(t, stream.Ensure(t.Context(), s.js, stream.DefaultSettings()))
	startRunner(t, s.js, &runner{})
	eventually(t, "the run ends", func() bool {
		clk.Step(options().RecheckInterval)
		run, _, err := s.runs.Get(t.Context(), "ns", "u1")
		return err == nil && run.State == event.StateComplete
	})
}
