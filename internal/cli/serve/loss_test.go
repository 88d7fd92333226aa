package serve

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/fixture/outtest"
	"github.com/salvor-io/salvor/internal/stream"
)

// generations makes a role anew each time and tells of each.
type generations struct {
	mu   sync.Mutex
	made []*role
	run  func(context.Context, Deps) error
}

func (g *generations) constructor(name string) Constructor {
	return Constructor{Name: name, New: func(_ context.Context, d Deps) (Role, error) {
		// Would be refused if the metrics of an earlier generation were still there.
		if err := d.Metrics.Register(prometheus.NewCounter(prometheus.CounterOpts{Name: "salvor_" + name + "_total", Help: "x"})); err != nil {
			return nil, err
		}
		r := newRole(g.run)
		r.deps = d
		g.mu.Lock()
		defer g.mu.Unlock()
		g.made = append(g.made, r)
		return r, nil
	}}
}

// await returns the n-th generation, counted from 1, once it has started.
func (g *generations) await(t *testing.T, n int) *role {
	t.Helper()
	var r *role
	require.Eventually(t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		if len(g.made) < n {
			return false
		}
		r = g.made[n-1]
		return true
	}, 3*time.Minute, 10*time.Millisecond, "generation %d", n)
	select {
	case <-r.started:
	case <-time.After(3 * time.Minute):
		require.FailNow(t, "it was made and never started")
	}
	return r
}

func (g *generations) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.made)
}

func TestRolesAreMadeAnewWhenTheStoreIsLost(t *testing.T) {
	bridge, runner := &generations{run: untilEnd}, &generations{run: untilEnd}
	c := options(t, bridge.constructor("bridge"), runner.constructor("runner"))
	var log outtest.Buffer
	c.Log = zerolog.New(&log)
	p := start(t, c)
	deps := bridge.await(t, 1).deps
	runner.await(t, 1)
	_, err := deps.JS.Publish(t.Context(), event.EventSubject("shop", "x"), nil)
	require.NoError(t, err)

	for i, name := range stream.Names() {
		require.NoError(t, deps.JS.DeleteStream(t.Context(), name), name)
		deps = bridge.await(t, i+2).deps
		runner.await(t, i+2)
		_, err := deps.JS.Stream(t.Context(), name)
		require.NoError(t, err, "%s is there again when the roles are", name)
		require.Contains(t, log.String(), name+" is gone")
	}
	require.Eventually(t, func() bool {
		code, _ := get(t, c.Options.ProbeListen, "/readyz")
		return code == 200
	}, 3*time.Minute, 10*time.Millisecond)
	_, metrics := get(t, c.Options.ProbeListen, "/metrics")
	assert.Equal(t, 1, strings.Count(metrics, "\nsalvor_bridge_total 0"))
	p.stop()
	require.NoError(t, p.wait(t))
}

// TestAnotherStreamOfTheSameName: another process noticed the loss first and has
// made the streams anew. What the roles know is not in them.
func TestAnotherStreamOfTheSameName(t *testing.T) {
	var ending sync.WaitGroup
	ending.Add(1)
	first := true
	g := &generations{}
	g.run = func(ctx context.Context, _ Deps) error {
		<-ctx.Done()
		if first {
			first = false
			ending.Wait()
		}
		return nil
	}
	c := options(t, g.constructor("dispatcher"))
	p := start(t, c)
	deps := g.await(t, 1).deps
	require.NoError(t, deps.JS.DeleteStream(t.Context(), event.StreamRuns))
	require.NoError(t, stream.Ensure(t.Context(), deps.JS, stream.DefaultSettings()))
	require.Eventually(t, func() bool {
		code, body := get(t, c.Options.ProbeListen, "/readyz")
		return code == 503 && strings.Contains(body, "start: ending")
	}, 3*time.Minute, 10*time.Millisecond, "not ready meanwhile")
	ending.Done()
	g.await(t, 2)
	p.stop()
	require.NoError(t, p.wait(t))
	assert.Equal(t, 2, g.count())
}

// TestARoleThatEndsBecauseOfTheLoss ends before the loss is seen.
func TestARoleThatEndsBecauseOfTheLoss(t *testing.T) {
	g := &generations{}
	g.run = func(ctx context.Context, d Deps) error {
		if g.count() > 1 {
			return untilEnd(ctx, d)
		}
		if err := d.JS.DeleteStream(ctx, event.StreamReports); err != nil {
			return err
		}
		return errors.New("stream not found")
	}
	p := start(t, options(t, g.constructor("dispatcher")))
	g.await(t, 2)
	p.stop()
	require.NoError(t, p.wait(t))
}

func TestWhatIsLost(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	made := []stream.Copies{{Stream: "RUNS", Created: at}, {Stream: "JOBS", Created: at}}
	assert.Empty(t, lost(made, []stream.Copies{{Stream: "JOBS", Created: at}, {Stream: "RUNS", Created: at, Replicas: 3}}))
	assert.Equal(t, []string{"RUNS is a new one", "JOBS is gone"},
		lost(made, []stream.Copies{{Stream: "RUNS", Created: at.Add(1)}, {Stream: "JOBS", Missing: true}}))
	assert.Empty(t, lost(nil, made), "a process that runs only the broker loses nothing")
}
