package serve

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/internal/stream"
)

const (
	// lookEvery is how often the streams are looked at, so that a loss is seen
	// without the advisories of the server too.
	lookEvery   = 5 * time.Second
	lookTimeout = 5 * time.Second
	// confirm is when a loss is looked at again: a cluster that has just elected
	// a leader may not know all of its streams for a moment.
	confirm = 500 * time.Millisecond
	// advisories are told when a stream is made or deleted.
	advisories = "$JS.EVENT.ADVISORY.STREAM.*.*"
)

// lostError says that streams are gone, or others of the same name.
type lostError struct{ streams []string }

// Error names the streams.
func (e *lostError) Error() string {
	return "the store was lost: " + strings.Join(e.streams, ", ")
}

// look asks watch to look at the streams now.
func (s *Server) look() {
	select {
	case s.looks <- struct{}{}:
	default: // it is asked already
	}
}

// listenForAdvisories looks when the server says that a stream was made or
// deleted. Who may not listen to that waits for lookEvery.
func (s *Server) listenForAdvisories(nc *nats.Conn) error {
	_, err := nc.Subscribe(advisories, func(*nats.Msg) { s.look() })
	if err != nil {
		return fmt.Errorf("listen for advisories: %w", err)
	}
	return nil
}

// watch returns a lostError when a stream of made is not there any more or is
// another one; otherwise nil when ctx ends. Meanwhile it says how durable the
// streams are, once and whenever that changes.
func (s *Server) watch(ctx context.Context, l *link, js jetstream.JetStream, made []stream.Copies) error {
	ticker := s.clock.NewTicker(lookEvery)
	defer ticker.Stop()
	var told durability
	for {
		now, err := survey(ctx, js)
		switch {
		case err != nil && ctx.Err() == nil:
			s.log.Debug().Err(err).Msg("the streams cannot be looked at")
		case err == nil:
			if lost := s.confirmed(ctx, js, made, now); lost != nil {
				return lost
			}
			told = s.tell(ctx, l, now, told)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		case <-s.looks:
		}
	}
}

// tell logs how durable the streams are when that is not what was told.
func (s *Server) tell(ctx context.Context, l *link, now []stream.Copies, told durability) durability {
	sync := l.sync
	if !sync.known {
		servers := 1
		for _, c := range now {
			servers = max(servers, c.Replicas)
		}
		sync = askSync(ctx, l.conn, servers)
		if ctx.Err() != nil {
			return told
		}
		l.sync = sync
	}
	d := judge(now, sync)
	if d.summary != told.summary {
		s.log.Info().Str("sync", sync.String()).Str("durability", d.summary).Msg("durability")
	}
	for _, warning := range d.warnings {
		if !slices.Contains(told.warnings, warning) {
			s.log.Warn().Msg("durability: " + warning)
		}
	}
	if len(d.warnings) == 0 && len(told.warnings) > 0 {
		s.log.Info().Str("durability", d.summary).Msg("durability: all is well again")
	}
	return d
}

// confirmed looks twice before it says that streams were lost.
func (s *Server) confirmed(ctx context.Context, js jetstream.JetStream, made, now []stream.Copies) error {
	if len(lost(made, now)) == 0 {
		return nil
	}
	timer := s.clock.NewTimer(confirm)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-timer.C():
	}
	now, err := survey(ctx, js)
	if err != nil {
		return nil // not known; the next look says
	}
	if names := lost(made, now); len(names) > 0 {
		return &lostError{streams: names}
	}
	return nil
}

// lost names the streams of made that are missing now or were made anew.
func lost(made, now []stream.Copies) []string {
	var names []string
	for _, was := range made {
		i := slices.IndexFunc(now, func(c stream.Copies) bool { return c.Stream == was.Stream })
		switch {
		case i < 0 || now[i].Missing:
			names = append(names, was.Stream+" is gone")
		case !now[i].Created.Equal(was.Created):
			names = append(names, was.Stream+" is a new one")
		}
	}
	return names
}

func survey(ctx context.Context, js jetstream.JetStream) ([]stream.Copies, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return stream.Survey(ctx, js)
}
