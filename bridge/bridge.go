package bridge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
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
	"github.com/salvor-io/salvor/bridge/feed"
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
	trigger   *trigger.Controller
	sinks     *sink.Sinks
	feed      *feed.Feed
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
	metrics := ingress.NewMetrics(d.Metrics)
	lifecycle := feed.New(feed.Config{
		Events: stream.NewEvents(d.JS), Review: access.NewReviewer(d.Clients.Kube, d.Clock), Namespaces: o.Namespaces, Clock: d.Clock, Log: d.Log,
	})
	server, err := newServer(d, o, watcher, serverParts{metrics: metrics, extra: lifecycle.Routes()})
	if err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	nats, err := natsource.New(natsource.Config{
		JS: d.JS, Store: stream.NewEvents(d.JS), Serves: watcher.Watches, Group: groupName("salvor", o.Namespaces),
		MaxBytes: o.MaxEventBytes, Options: o.NATS, Clock: d.Clock, Log: d.Log, Metrics: metrics,
	})
	if err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	runs := stream.NewRuns(d.JS, event.SourceBridge)
	projector := status.NewProjector(status.Config{
		Clock: d.Clock, Log: d.Log, Writer: status.NewWriter(d.Clients), ActionSets: watcher,
		Events: &typedcorev1.EventSinkImpl{Interface: d.Clients.Kube.CoreV1().Events("")}, Interval: o.StatusInterval, Metrics: status.NewMetrics(d.Metrics),
	})
	return &Bridge{
		deps:      d,
		watcher:   watcher,
		projector: projector,
		runs:      runs,
		server:    server,
		nats:      nats,
		triggers:  triggers,
		sinks:     sinks,
		feed:      lifecycle,
		intake: actionset.New(actionset.Config{
			Clients: d.Clients, Clock: d.Clock, Log: d.Log, Watcher: watcher, Runs: runs,
			Reports: stream.NewReports(d.JS, event.SourceBridge), Projection: projector,
			Resync: o.Resync, RunRetention: o.RunRetention, Metrics: actionset.NewMetrics(d.Metrics),
		}),
		trigger: trigger.New(trigger.Config{
			Clients: d.Clients, Clock: d.Clock, Log: d.Log, Events: stream.NewEvents(d.JS), Watcher: triggers,
			Consumer: groupName("bridge-triggers", o.Namespaces), Metrics: trigger.NewMetrics(d.Metrics),
			Gates: stream.NewGates(d.JS), Outcomes: stream.NewOutcomes(d.JS),
			Announcements: &typedcorev1.EventSinkImpl{Interface: d.Clients.Kube.CoreV1().Events("")},
			Consumer:      consumerName(o.Namespaces), Metrics: trigger.NewMetrics(d.Metrics),
		}),
	}, nil
}

// serverParts are what the endpoint shares with others.
type serverParts struct {
	metrics *ingress.Metrics
	extra   map[string]http.Handler
}

func newServer(d Deps, o Options, watcher *actionset.Watcher, parts serverParts) (*ingress.Server, error) {
	auth, err := ingress.Authenticators(o.Ingress, ingress.AuthDeps{
		Kube: d.Clients.Kube, Replays: stream.NewReplays(d.JS), Clock: d.Clock, Log: d.Log,
	})
	if err != nil {
		return nil, err // it names the flag
	}
	return ingress.New(ingress.Config{
		Listen: o.Listen, MaxBytes: o.MaxEventBytes, Store: stream.NewEvents(d.JS), Serves: watcher.Watches,
		Auth: auth, Authorizer: access.NewReviewer(d.Clients.Kube, d.Clock), Options: o.Ingress,
		Outcomes: &ingress.Outcomes{Decisions: stream.NewOutcomes(d.JS), ActionSet: lookAt(d.Clients, watcher)},
		Extra:    parts.extra, Clock: d.Clock, Log: d.Log, Metrics: parts.metrics,
	}), nil
}

// lookAt reads an ActionSet, from what is watched if it is there: only one that has
// ended, or was made a moment ago, costs a request.
func lookAt(clients *kube.Clients, watcher *actionset.Watcher) func(ctx context.Context, namespace, name string) (*kanister.ActionSet, error) {
	return func(ctx context.Context, namespace, name string) (*kanister.ActionSet, error) {
		if as, ok := watcher.Lookup(namespace, name); ok && as.Status != nil && !status.Terminal(as.Status.State) {
			return as, nil
		}
		return clients.ActionSets(namespace).Get(ctx, name, metav1.GetOptions{})
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
	group.Go(func() error { return b.nats.Run(ctx) })
	group.Go(func() error { return b.trigger.Run(ctx) })
	group.Go(func() error { return b.sinks.Run(ctx) })
	group.Go(func() error { return b.feed.Run(ctx) })
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
