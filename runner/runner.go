package runner

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/utils/clock"
	"k8s.io/utils/lru"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/internal/again"
	"github.com/salvor-io/salvor/runner/pods"
)

// podSide is package pods as the core uses it.
type podSide interface {
	function.PodRunner
	Serve(ctx context.Context) error
	Ready() error
	Pods(k event.Key) []string
	Cleanup(ctx context.Context, k event.Key) error
	Leave(k event.Key)
	Sweep(ctx context.Context, ended pods.Ended) (int, error)
}

// cachedBlueprints is how many decoded blueprints are kept. A fleet uses few.
const cachedBlueprints = 64

// cancelLook bounds the look at a run that is marked as cancelled.
const cancelLook = 5 * time.Second

// Runner works on jobs.
type Runner struct {
	js        jetstream.JetStream
	clients   *kube.Clients
	clock     clock.WithTicker
	log       zerolog.Logger
	options   Options
	functions function.Registry
	metrics   *metrics
	holder    stream.Holder

	runs       *stream.Runs
	jobs       *stream.Jobs
	reports    *stream.Reports
	blobs      *stream.Blobs
	letters    *stream.DeadLetters
	pods       podSide
	blueprints *lru.Cache

	slots chan struct{}
	// suspect is taken by the one job of this runner that is on trial.
	suspect chan struct{}
	active  active
	taking  atomic.Bool
}

// New returns a Runner. It opens nothing before Run.
func New(d Deps, o Options) (*Runner, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	m, err := newMetrics(d.Metrics, o.Slots)
	if err != nil {
		return nil, err
	}
	log := d.Log.With().Str("role", "runner").Logger()
	podSide, err := pods.New(pods.Deps{Client: d.Clients.Kube, Clock: d.Clock, Log: log}, o.Pods)
	if err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	functions := d.Functions
	if functions == nil {
		functions = Functions()
	}
	return &Runner{
		js: d.JS, clients: d.Clients, clock: d.Clock, log: log, options: o, functions: functions, metrics: m,
		holder:     stream.Holder{Name: o.Name, Incarnation: string(uuid.NewUUID())},
		runs:       stream.NewRuns(d.JS, event.SourceRunner),
		jobs:       stream.NewJobs(d.JS, d.Clock),
		reports:    stream.NewReports(d.JS, event.SourceRunner),
		blobs:      stream.NewBlobs(d.JS),
		letters:    stream.NewDeadLetters(d.JS),
		pods:       podSide,
		blueprints: lru.New(cachedBlueprints),
		slots:      make(chan struct{}, o.Slots),
		suspect:    make(chan struct{}, 1),
		active:     active{calls: map[*activeCall]struct{}{}},
	}, nil
}

// Ready returns nil while jobs are taken.
func (r *Runner) Ready() error {
	if err := r.pods.Ready(); err != nil {
		return fmt.Errorf("runner: %w", err)
	}
	if !r.taking.Load() {
		return errors.New("runner: no jobs are taken yet; check that the NATS server is reachable")
	}
	return nil
}

// Run takes jobs until ctx ends. It then gives back what it works on, within ten
// seconds, and returns when everything it started has ended.
func (r *Runner) Run(ctx context.Context) error {
	// What is being worked on outlives ctx by the time of a shutdown.
	base, end := context.WithCancelCause(context.WithoutCancel(ctx))
	var background, working sync.WaitGroup
	defer background.Wait()
	defer end(errShutdown)
	background.Go(func() {
		if err := r.pods.Serve(base); err != nil {
			r.log.Error().Err(err).Msg("watch of pods")
		}
	})
	background.Go(func() { r.watchCancels(ctx) })
	background.Go(func() { r.sweep(ctx) })

	r.log.Info().Str("name", r.options.Name).Str("pool", r.options.Pool).Int("slots", r.options.Slots).Msg("taking jobs")
	r.take(ctx, func(msg jetstream.Msg) {
		working.Go(func() {
			defer r.freeSlot()
			defer r.survive(msg)
			r.handle(base, msg)
		})
	})
	r.taking.Store(false)
	return r.drain(&working, end)
}

// drain gives back what is worked on and waits for it.
func (r *Runner) drain(working *sync.WaitGroup, end context.CancelCauseFunc) error {
	done := make(chan struct{})
	go func() { // ends when the jobs have
		working.Wait()
		close(done)
	}()
	start := r.clock.Now()
	r.active.drain()
	steps := []struct {
		after func()
		limit clock.Timer
	}{
		{r.active.stopAll, r.clock.NewTimer(shutdownGrace)},
		{func() { end(errShutdown) }, r.clock.NewTimer(shutdownHard)},
		{func() {}, r.clock.NewTimer(shutdownLast)},
	}
	defer func() {
		for _, step := range steps {
			step.limit.Stop()
		}
	}()
	for _, step := range steps {
		select {
		case <-done:
			r.log.Info().Dur("took", r.clock.Since(start)).Msg("stopped; running pods are left to other runners")
			return nil
		case <-step.limit.C():
			step.after()
		}
	}
	return fmt.Errorf("runner: %d jobs did not stop within %s: %v", r.active.count(), shutdownLast, r.active.keys())
}

// survive keeps a defect of the loop itself, met with one job, from ending all
// others. The job comes around again once its claim has run out.
func (r *Runner) survive(msg jetstream.Msg) {
	if p := recover(); p != nil {
		r.log.Error().Str("type", fmt.Sprintf("%T", p)).Str("subject", msg.Subject()).Bytes("stack", debug.Stack()).Msg("panic while handling a job")
		r.settle(msg.NakWithDelay(r.options.ClaimTTL))
	}
}

// watchCancels stops the calls of cancelled runs until ctx ends.
func (r *Runner) watchCancels(ctx context.Context) {
	_ = again.Do(ctx, again.Policy{Clock: r.clock, If: func(error) bool { return ctx.Err() == nil }, Failed: func(err error) { // it ends with ctx
		r.log.Warn().Err(err).Msg("watch of cancelled runs; trying again")
	}}, func(ctx context.Context) error {
		leases, err := stream.NewLeases(ctx, r.js)
		if err != nil {
			return err
		}
		if err := leases.WatchCancels(ctx, func(uid string) { r.cancelled(ctx, uid) }); err != nil {
			return err
		}
		return ctx.Err()
	})
}

// cancelled stops what is done here of a run that is marked as cancelled. The run is
// written before the mark is made, so a mark of a run that says nothing of a cancel is
// one of before it was asked to go on, seen or made late.
func (r *Runner) cancelled(ctx context.Context, uid string) {
	key, ok := r.active.core(uid)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cancelLook)
	defer cancel()
	if run, _, err := r.runs.Get(ctx, key.Namespace, uid); err == nil && run.Cancel == nil {
		r.log.Info().Str("uid", uid).Msg("a mark of a cancel that the run does not know of any more; it goes on")
		return
	}
	r.active.cancel(uid)
}
