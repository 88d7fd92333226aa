package serve

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
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

	"github.com/salvor-io/salvor/internal/kube"
)

// Server runs roles.
type Server struct {
	options Options
	roles   []Constructor
	clients func() (*kube.Clients, error)
	clock   clock.WithTicker
	log     zerolog.Logger
	version string

	mu      sync.Mutex
	phase   string // what the start is at; empty once the roles run
	conn    *nats.Conn
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
		phase: "not started",
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
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	probes, err := listen(ctx, s.options.ProbeListen, registry, s.states)
	if err != nil {
		return err
	}
	s.log.Info().Str("address", probes.listener.Addr().String()).Msg("serving /healthz, /readyz and /metrics")

	group, inner := errgroup.WithContext(ctx)
	group.Go(probes.serve)
	group.Go(func() error {
		defer func() { _ = probes.server.Close() }() // its own goroutine ends with it
		if err := s.work(inner, registry); err != nil {
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
	broker, sync := "embedded", "always"
	if s.options.NATS != "" {
		broker, sync = redact(s.options.NATS), "as the servers are set"
	}
	s.log.Info().Str("version", s.version).Strs("roles", s.options.Roles).Str("namespace", s.options.Namespace).
		Str("broker", broker).Int("replicas", s.options.Replicas).Str("sync", sync).
		Str("durability", s.options.Durability()).Msg("salvor starts")
}

// work is the way up, the roles, and the way down. It returns nil when ctx has
// ended and all went well.
func (s *Server) work(ctx context.Context, registry prometheus.Registerer) error {
	var err error
	deps := Deps{Clock: s.clock, Metrics: registry, Log: s.log}
	if deps.Clients, err = s.cluster(); err != nil {
		return err
	}
	s.setPhase("connecting to NATS")
	l, err := s.connect(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.conn = l.conn
	s.mu.Unlock()
	defer func() {
		s.log.Info().Msg("closing the connection and the broker")
		if err := l.close(); err != nil {
			s.log.Warn().Err(err).Msg("what was published last may not have arrived; it is done again after the next start")
		}
	}()
	if deps.JS, err = jetstream.New(l.conn); err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	s.setPhase("creating the streams")
	if err := s.ensure(ctx, deps.JS); err != nil {
		return ended(ctx, err)
	}
	if err := s.build(ctx, deps); err != nil {
		return ended(ctx, err)
	}
	return s.runRoles(ctx)
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

func (s *Server) build(ctx context.Context, deps Deps) error {
	s.setPhase("starting the roles")
	for _, constructor := range s.roles {
		role, err := constructor.New(ctx, deps)
		if err != nil {
			return fmt.Errorf("start the %s: %w", constructor.Name, err)
		}
		s.mu.Lock()
		s.running = append(s.running, named{name: constructor.Name, role: role})
		s.mu.Unlock()
	}
	s.setPhase("")
	return nil
}

// runRoles runs the roles until ctx ends or one of them does.
func (s *Server) runRoles(ctx context.Context) error {
	group, inner := errgroup.WithContext(ctx)
	left := newRoll(s.running)
	for _, r := range s.running {
		group.Go(func() error {
			defer left.strike(r.name)
			return s.runRole(inner, r)
		})
	}
	done := make(chan error, 1)
	go func() { done <- group.Wait() }() // ends with the roles, or with the process
	select {
	case err := <-done:
		return err
	case <-inner.Done():
	}
	s.setPhase("ending")
	s.log.Info().Dur("grace", s.options.Grace).Msg("ending the roles")
	timer := s.clock.NewTimer(s.options.Grace)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C():
		return fmt.Errorf("the %s did not end within %s and was left behind", strings.Join(left.names(), ", "), s.options.Grace)
	}
}

// runRole runs one role; a panic in it becomes its error.
func (s *Server) runRole(ctx context.Context, r named) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error().Str("role", r.name).Bytes("stack", debug.Stack()).Msgf("panic: %v", p)
			err = fmt.Errorf("the %s panicked: %v", r.name, p)
		}
	}()
	err = r.role.Run(ctx)
	switch {
	case ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)):
		return nil
	case err == nil:
		return fmt.Errorf("the %s ended by itself", r.name)
	default:
		return fmt.Errorf("the %s ended: %w", r.name, err)
	}
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

// roll is who still runs.
type roll struct {
	mu   sync.Mutex
	list []string
}

func newRoll(running []named) *roll {
	r := &roll{}
	for _, n := range running {
		r.list = append(r.list, n.name)
	}
	return r
}

func (r *roll) strike(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = slices.DeleteFunc(r.list, func(n string) bool { return n == name })
}

func (r *roll) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}
