package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/internal/telemetry"
)

// Deps is what the dispatcher works with. The streams must exist.
type Deps struct {
	JS jetstream.JetStream
	// Clients read blueprints and objects. They may be nil when Planner is set.
	Clients *kube.Clients
	// Planner stands in for the one that reads through Clients. For tests.
	Planner Planner
	// DeadLetters takes reports that cannot be read. Without it they stay queued
	// and are tried again.
	DeadLetters DeadLetters
	// Spans takes the traces of runs; nil takes none.
	Spans *telemetry.Exporter
	Clock clock.WithTicker
	Log   zerolog.Logger
	// Metrics may be nil.
	Metrics prometheus.Registerer
}

// DeadLetters records what was set aside.
type DeadLetters interface {
	Publish(ctx context.Context, letter *event.DeadLetter) error
}

// Dispatcher takes runs from pending to their end.
type Dispatcher struct {
	deps    Deps
	options Options
	metrics *metrics
	planner Planner

	following atomic.Bool
	consuming atomic.Bool
}

// New returns a dispatcher that does nothing yet.
func New(d Deps, o Options) (*Dispatcher, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("dispatcher: %w", err)
	}
	if d.JS == nil || d.Clock == nil || (d.Clients == nil && d.Planner == nil) {
		return nil, errors.New("dispatcher: JS, Clock and one of Clients and Planner must be given")
	}
	m, err := newMetrics(d.Metrics)
	if err != nil {
		return nil, err
	}
	planner := d.Planner
	if planner == nil {
		planner = newClusterPlanner(d.Clients, d.Clock, o.Library)
	}
	return &Dispatcher{deps: d, options: o, metrics: m, planner: planner}, nil
}

// Ready returns nil while the dispatcher knows all runs and reads reports.
func (d *Dispatcher) Ready() error {
	switch {
	case !d.following.Load():
		return fmt.Errorf("dispatcher: the states on %s are not read yet", event.StreamRuns)
	case !d.consuming.Load():
		return fmt.Errorf("dispatcher: reports on %s are not read yet", event.StreamReports)
	}
	return nil
}

// Run works until ctx ends, and returns when everything it started has ended. It
// keeps trying when a stream does not answer; an error means that it could not
// begin.
func (d *Dispatcher) Run(ctx context.Context) error {
	leases, err := stream.NewLeases(ctx, d.deps.JS)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was to end before it began
	}
	if err != nil {
		return fmt.Errorf("dispatcher: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	e := newEngine(d, leases, group)
	e.run(ctx)
	err = group.Wait()
	d.following.Store(false)
	d.consuming.Store(false)
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("dispatcher: %w", err)
	}
	return nil
}
