package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/internal/broker"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/telemetry"
)

// Server runs roles.
type Server struct {
	options Options
	roles   []Constructor
	clients func() (*kube.Clients, error)
	clock   clock.WithTicker
	log     zerolog.Logger
	version string

	// looks asks for a look at the streams.
	looks   chan struct{}
	metrics *registries
	auth    broker.Auth

	mu      sync.Mutex
	phase   string // what the start is at; empty once the roles run
	conn    *nats.Conn
	broker  *broker.Broker // nil unless it is to be ready on its own account
	running []named
}

type named struct {
	name string
	role Role
}

// Config is what a Server is made of.
type Config struct {
	Options Options
	// Roles are all that the program knows; Options.Roles picks from them.
	Roles []Constructor
	// Clients connects to the cluster; called when a picked role needs it.
	Clients func() (*kube.Clients, error)
	Clock   clock.WithTicker
	Log     zerolog.Logger
	Version string
}

// New checks the options and makes a Server. It starts nothing.
func New(c Config) (*Server, error) {
	if err := c.Options.Validate(); err != nil {
		return nil, err
	}
	roles, err := pick(c.Roles, c.Options.Roles)
	if err != nil {
		return nil, err
	}
	for _, role := range roles {
		if role.Configure != nil {
			role.Configure(Settings{Namespace: c.Options.Namespace})
		}
		if role.Validate == nil {
			continue
		}
		if err := role.Validate(); err != nil {
			return nil, fmt.Errorf("options of the %s: %w", role.Name, err)
		}
	}
	return &Server{
		options: c.Options, roles: roles, clients: c.Clients, clock: c.Clock, log: c.Log, version: c.Version,
		looks: make(chan struct{}, 1), metrics: &registries{process: prometheus.NewRegistry()}, phase: "not started",
	}, nil
}

// errEnded ends the group without being an error of the process.
var errEnded = errors.New("asked to end")

// Run starts everything and blocks until ctx ends, which is no error, or a part
// fails. Afterwards nothing of it runs, unless a role ignored the end for
// longer than Options.Grace, which is an error. A Server runs once.
func (s *Server) Run(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // ended before it began: that is no error
	}
	s.announce()
	s.metrics.process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	probes, err := listen(ctx, s.options.ProbeListen, s.metrics, s.states)
	if err != nil {
		return err
	}
	s.log.Info().Str("address", probes.listener.Addr().String()).Msg("serving /healthz, /readyz and /metrics")

	group, inner := errgroup.WithContext(ctx)
	group.Go(probes.serve)
	group.Go(func() error {
		defer func() { _ = probes.server.Close() }() // its own goroutine ends with it
		if err := s.work(inner); err != nil {
			return err
		}
		return errEnded
	})
	if err := group.Wait(); err != nil && !errors.Is(err, errEnded) {
		return err // work and serve name their part
	}
	s.log.Info().Msg("ended")
	return nil
}

func (s *Server) announce() {
	servers := "embedded"
	switch {
	case s.options.member():
		servers = "embedded, " + s.options.Broker.Name + " of the cluster " + s.options.Broker.Cluster
	case !s.options.Embedded():
		servers = redact(s.options.NATS)
	}
	s.log.Info().Str("version", s.version).Strs("roles", s.options.Roles).Str("namespace", s.options.Namespace).
		Str("broker", servers).Int("replicas", s.options.Replicas).Msg("salvor starts")
	for _, text := range s.options.open() {
		s.log.Warn().Msg(text)
	}
}

// work is the way up, the roles, and the way down. It returns nil when ctx has
// ended and all went well.
func (s *Server) work(ctx context.Context) error {
	var err error
	deps := Deps{Clock: s.clock, Log: s.log}
	if deps.Clients, err = s.cluster(); err != nil {
		return err
	}
	if deps.Spans, err = telemetry.New(ctx, telemetry.Config{
		Endpoint: s.options.OTLPEndpoint, Version: s.version, Log: s.log, Metrics: s.metrics.process,
	}); err != nil {
		return fmt.Errorf("--otlp-endpoint: %w", err)
	}
	defer deps.Spans.Shutdown(ctx)
	s.setPhase("connecting to NATS")
	l, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer func() {
		s.log.Info().Msg("closing the connection and the broker")
		if err := l.close(); err != nil {
			s.log.Warn().Err(err).Msg("what was published last may not have arrived; it is done again after the next start")
		}
	}()
	if err := s.linked(l); err != nil {
		return err
	}
	if deps.JS, err = jetstream.New(l.conn); err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	if s.options.brokerOnly() {
		s.setPhase("")
		return s.watch(ctx, l, deps.JS, nil)
	}
	for {
		err := s.generation(ctx, l, deps)
		var loss *lostError
		if ctx.Err() != nil || !errors.As(err, &loss) {
			return ended(ctx, err)
		}
		s.setPhase("the store was lost")
		s.log.Error().Strs("streams", loss.streams).
			Msg("the store was lost: the roles start again on new streams, and runs that have not ended are made anew from their ActionSets")
	}
}

// linked makes use of the connection.
func (s *Server) linked(l *link) error {
	s.mu.Lock()
	s.conn = l.conn
	if l.broker != nil && (s.options.member() || slices.Contains(s.options.Roles, roleBroker)) {
		s.broker = l.broker
	}
	s.mu.Unlock()
	if err := s.listenForAdvisories(l.conn); err != nil {
		return err
	}
	if l.broker == nil {
		return nil
	}
	s.metrics.process.MustRegister(l.broker.Collector())
	if err := answer(l.conn, l.broker); err != nil {
		return err
	}
	if !s.options.member() { // members are asked like any servers
		l.sync = syncing{known: true, always: l.broker.Synced(), interval: natsSync}
	}
	return nil
}

// ended turns the consequence of ctx's end into no error.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func (s *Server) cluster() (*kube.Clients, error) {
	for _, role := range s.roles {
		if role.NeedsCluster {
			return s.clients()
		}
	}
	return nil, nil //nolint:nilnil // nobody needs it
}

func (s *Server) setPhase(phase string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = phase
}

// states are the readiness of all parts.
func (s *Server) states() []state {
	s.mu.Lock()
	defer s.mu.Unlock()
	var states []state
	if s.phase != "" {
		states = append(states, state{"start", errors.New(s.phase)})
	}
	if s.conn != nil {
		states = append(states, state{"nats", connected(s.conn)})
	}
	if s.broker != nil {
		states = append(states, state{roleBroker, s.broker.Ready()})
	}
	for _, r := range s.running {
		states = append(states, state{r.name, r.role.Ready()})
	}
	return states
}

func connected(c *nats.Conn) error {
	if c.IsConnected() {
		return nil
	}
	return errors.New(strings.ToLower(c.Status().String()))
}
