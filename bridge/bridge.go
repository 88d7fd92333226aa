package bridge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/bridge/access"
	"github.com/salvor-io/salvor/bridge/actionset"
	"github.com/salvor-io/salvor/bridge/ingress"
	"github.com/salvor-io/salvor/bridge/retention"
	"github.com/salvor-io/salvor/bridge/status"
	"github.com/salvor-io/salvor/bridge/trigger"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/internal/telemetry"
)

// followPause is the pause before the runs are followed again after a fault.
const followPause = time.Second

// Deps are what the bridge works with. The streams exist already.
type Deps struct {
	JS      jetstream.JetStream
	Clients *kube.Clients
	Clock   clock.WithTicker
	Log     zerolog.Logger
	Metrics prometheus.Registerer
	// Spans takes the traces of runs; nil takes none.
	Spans *telemetry.Exporter
}

// part is something of the bridge that works until ctx ends.
type part interface {
	Run(ctx context.Context) error
}

// Bridge is the role.
type Bridge struct {
	deps      Deps
	watcher   *actionset.Watcher
	intake    *actionset.Intake
	projector *status.Projector
	runs      *stream.Runs
	server    *ingress.Server
	triggers  *trigger.Watcher
	retention *retention.Controller
	// others need nothing but to be run.
	others []part
}

// New puts the bridge together. Nothing is contacted before Run.
func New(d Deps, o Options) (*Bridge, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	watcher, err := actionset.NewWatcher(d.Clients, d.Log, o.Namespaces)
	if err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	triggers, err := trigger.NewWatcher(d.Clients, d.Log, o.Namespaces)
	if err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	w := wiring{
		Deps: d, o: o, watcher: watcher, triggers: triggers, events: stream.NewEvents(d.JS),
		reviewer: access.NewReviewer(d.Clients.Kube, d.Clock), ingress: ingress.NewMetrics(d.Metrics),
	}
	b, err := w.build()
	if err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	return b, nil
}

// groupName is the same for bridges that watch the same namespaces, so that each
// event is looked at once by them together.
func groupName(name string, namespaces []string) string {
	if len(namespaces) == 0 {
		return name
	}
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(namespaces)), ",")))
	return name + "-" + hex.EncodeToString(sum[:5])
}

// Run works until ctx ends and everything it started has ended. It returns an
// error when it cannot listen; anything else is tried again.
func (b *Bridge) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return b.server.Run(ctx) })
	for _, other := range b.others {
		group.Go(func() error { return other.Run(ctx) })
	}
	group.Go(func() error { return b.watcher.Run(ctx, b.intake.Handler(), b.intake.RetryHandler()) })
	group.Go(func() error { return b.projector.Run(ctx) })
	group.Go(func() error {
		if b.watcher.WaitForSync(ctx) {
			b.follow(ctx)
		}
		return nil
	})
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-b.projector.HasSynced():
			return b.intake.Run(ctx)
		}
	})
	group.Go(func() error {
		if !b.watcher.WaitForSync(ctx) {
			return nil
		}
		return b.retention.Run(ctx)
	})
	if err := group.Wait(); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	return nil
}

// follow hands the runs to the projector until ctx ends.
func (b *Bridge) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := b.runs.Follow(ctx, follower{b.projector, b.retention}, func(err error) {
			b.deps.Log.Error().Err(err).Msg("a run's record cannot be read; it is left aside")
		})
		if ctx.Err() != nil {
			return
		}
		b.deps.Log.Warn().Err(err).Msg("the runs cannot be followed; it will be tried again")
		select {
		case <-ctx.Done():
		case <-b.deps.Clock.After(followPause):
		}
	}
}

// Ready is nil once ActionSets, triggers and runs have been read and the event
// endpoint listens.
func (b *Bridge) Ready() error {
	if err := errors.Join(b.watcher.Ready(), b.triggers.Ready(), b.server.Ready()); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	select {
	case <-b.projector.HasSynced():
		return nil
	default:
		return errors.New("bridge: the runs have not been read yet")
	}
}

// EventsAddr is the address of the event endpoint; nil before it listens.
func (b *Bridge) EventsAddr() net.Addr { return b.server.Addr() }

// follower hands what it reads of runs to the projector, and their ends to retention.
type follower struct {
	*status.Projector

	retention *retention.Controller
}

// Update implements stream.RunHandler.
func (f follower) Update(ctx context.Context, u stream.RunUpdate) {
	f.Projector.Update(ctx, u)
	if u.Run.State.Terminal() {
		f.retention.Ended(u.Run.Namespace, u.Run.Labels)
	}
}
