package serve

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/salvor-io/salvor/internal/stream"
)

// generation brings the streams into being and runs the roles on them, until ctx
// ends, a role does, or the streams are lost, which is a lostError. Roles know
// much of what is in the streams, so all of them are made anew for new streams.
func (s *Server) generation(ctx context.Context, l *link, deps Deps) error {
	s.setPhase("creating the streams")
	if err := s.ensure(ctx, deps.JS); err != nil {
		return err
	}
	made, err := s.made(ctx, deps.JS)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	s.metrics.set(registry)
	deps.Metrics = registry
	if err = s.build(ctx, deps); err == nil {
		err = s.runRoles(ctx, func(ctx context.Context) error { return s.watch(ctx, l, deps.JS, made) })
	}
	s.forget()
	if err == nil || ctx.Err() != nil {
		return err
	}
	if _, already := errors.AsType[*lostError](err); already {
		return err
	}
	// A role may have ended because of the loss, and before it was seen.
	if now, lookErr := survey(ctx, deps.JS); lookErr == nil {
		if names := lost(made, now); len(names) > 0 {
			s.log.Warn().Err(err).Msg("a role ended as its streams were lost")
			return &lostError{streams: names}
		}
	}
	return err
}

// made is what the streams are now that they have been ensured.
func (s *Server) made(ctx context.Context, js jetstream.JetStream) ([]stream.Copies, error) {
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		made, err := survey(ctx, js)
		if err == nil {
			return made, nil
		}
		if err := s.again(ctx, wait, err); err != nil {
			return nil, err
		}
	}
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

// forget takes the roles of a generation that has ended out of the readiness.
func (s *Server) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = nil
}

// runRoles runs the roles, and watch beside them, until ctx ends or one of them
// does.
func (s *Server) runRoles(ctx context.Context, watch func(context.Context) error) error {
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return watch(inner) })
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
	s.log.Info().Dur("grace", s.options.Grace).Msg("ending the roles")
	timer := s.clock.NewTimer(s.options.Grace)
	defer timer.Stop()
	s.setPhase("ending")
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

// registries are the metrics of the process and those of the roles as they are
// now: roles that are made anew register theirs again.
type registries struct {
	process *prometheus.Registry

	mu    sync.Mutex
	roles prometheus.Gatherer
}

func (r *registries) set(roles prometheus.Gatherer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roles = roles
}

func (r *registries) all() prometheus.Gatherers {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.roles == nil {
		return prometheus.Gatherers{r.process}
	}
	return prometheus.Gatherers{r.process, r.roles}
}
