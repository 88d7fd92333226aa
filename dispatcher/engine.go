package dispatcher

import (
	"context"
	"hash/fnv"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/internal/telemetry"
)

// engine is the dispatcher while it runs.
type engine struct {
	owner   *Dispatcher
	options *Options
	clock   clock.WithTicker
	log     zerolog.Logger
	metrics *metrics
	planner Planner

	runs    *stream.Runs
	jobs    *stream.Jobs
	reports *stream.Reports
	timers  *stream.Timers
	events  *stream.Events
	blobs   *stream.Blobs
	leases  *stream.Leases
	spans   *telemetry.Exporter

	group   *errgroup.Group
	workers []*worker
	turns   *turns
	view    *view
	// planning bounds the plans that are being made.
	planning chan struct{}
	// inHand bounds the reports and timers that were taken and not yet handled.
	inHand chan struct{}
	// synced is closed when all runs of the start are known.
	synced chan struct{}
}

// reportsInHand bounds memory, not work: a report is small.
const reportsInHand = 1024

func newEngine(d *Dispatcher, leases *stream.Leases, group *errgroup.Group) *engine {
	js := d.deps.JS
	e := &engine{
		owner: d, options: &d.options, clock: d.deps.Clock, log: d.deps.Log, metrics: d.metrics, planner: d.planner,
		runs:    stream.NewRuns(js, event.SourceDispatcher),
		jobs:    stream.NewJobs(js, d.deps.Clock),
		reports: stream.NewReports(js, event.SourceDispatcher),
		timers:  stream.NewTimers(js, d.deps.Clock),
		events:  stream.NewEvents(js),
		blobs:   stream.NewBlobs(js),
		leases:  leases,
		spans:   d.deps.Spans,
		group:   group,
		view:    newView(d.metrics),

		planning: make(chan struct{}, d.options.Planners),
		inHand:   make(chan struct{}, reportsInHand),
		synced:   make(chan struct{}),
	}
	for range d.options.Workers {
		e.workers = append(e.workers, newWorker(e))
	}
	e.turns = newTurns(e.options, e.metrics, func(s slot) {
		w := e.worker(s.uid)
		w.box.put(func(ctx context.Context) { w.begin(ctx, s) })
	})
	return e
}

// run starts the parts; the group waits for them.
func (e *engine) run(ctx context.Context) {
	for _, w := range e.workers {
		e.group.Go(func() error { w.run(ctx); return nil })
	}
	e.group.Go(func() error { e.follow(ctx); return nil })
	e.group.Go(func() error {
		// Reports come after the states they are about.
		select {
		case <-ctx.Done():
		case <-e.synced:
			e.consume(ctx)
		}
		return nil
	})
	e.group.Go(func() error {
		select {
		case <-ctx.Done():
		case <-e.synced:
			e.consumeTimers(ctx)
		}
		return nil
	})
	contents := &collector{engine: e}
	e.group.Go(func() error {
		e.every(ctx, e.options.SweepInterval, func(ctx context.Context) { e.sweep(ctx); contents.sweep(ctx) })
		return nil
	})
	e.group.Go(func() error { e.every(ctx, e.options.RecheckInterval, e.recheck); return nil })
}

// worker returns the one that handles the run.
func (e *engine) worker(uid string) *worker {
	h := fnv.New32a()
	_, _ = h.Write([]byte(uid))                             // never fails
	return e.workers[int(h.Sum32()%uint32(len(e.workers)))] //nolint:gosec // a small number
}

// every calls f again and again, once the runs are known.
func (e *engine) every(ctx context.Context, interval time.Duration, f func(context.Context)) {
	select {
	case <-ctx.Done():
		return
	case <-e.synced:
	}
	ticker := e.clock.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			f(ctx)
		}
	}
}

// later calls f after d, unless ctx ends before.
func (e *engine) later(ctx context.Context, d time.Duration, f func()) {
	e.group.Go(func() error {
		if e.sleep(ctx, d) {
			f()
		}
		return nil
	})
}

// sleep reports false when ctx ended first.
func (e *engine) sleep(ctx context.Context, d time.Duration) bool {
	timer := e.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return true
	}
}

// pause is the time before a step that failed is tried again.
const pause = 2 * time.Second

// backoff is the pause before attempt n+1, n counted from 1: 1 s, doubled up to
// 30 s.
func backoff(n int) time.Duration {
	return min(time.Second<<min(max(n-1, 0), 10), 30*time.Second)
}
