package natsource

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"golang.org/x/sync/semaphore"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/bridge/ingress"
)

const (
	// parallel is how many messages are worked on at the same time.
	parallel = 32
	// storeTimeout bounds the wait for the stream to acknowledge an event.
	storeTimeout = 5 * time.Second
	// again is the pause before a source that broke is opened again.
	again = 2 * time.Second
)

// Config of a Source. All fields are required but Metrics.
type Config struct {
	JS    jetstream.JetStream
	Store ingress.Store
	// Serves reports whether events for a namespace are taken here.
	Serves func(namespace string) bool
	// Group is the name that bridges have in common which serve the same namespaces.
	Group string
	// MaxBytes bounds a message's payload.
	MaxBytes int64
	Options  Options
	Clock    clock.WithTicker
	Log      zerolog.Logger
	Metrics  *ingress.Metrics
}

// Source takes events from NATS.
type Source struct {
	Config

	subjects []subject
	streams  []streamSource
	slots    *semaphore.Weighted
}

// New returns a source that does nothing before Run is called.
func New(c Config) (*Source, error) {
	s := &Source{Config: c, slots: semaphore.NewWeighted(parallel)}
	if err := c.Options.Validate(); err != nil {
		return nil, err // it names the flag
	}
	for _, text := range c.Options.Subjects {
		parsed, err := parseSubject(text)
		if err != nil {
			return nil, err
		}
		s.subjects = append(s.subjects, parsed)
	}
	for _, text := range c.Options.Streams {
		parsed, err := parseStream(text)
		if err != nil {
			return nil, err
		}
		s.streams = append(s.streams, parsed)
	}
	return s, nil
}

// Run takes events until ctx ends and those under way are stored.
func (s *Source) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	for _, one := range s.subjects {
		running.Go(func() {
			s.keep(ctx, one.pattern, func(ctx context.Context) error { return s.subscribe(ctx, one) })
		})
	}
	for _, one := range s.streams {
		running.Go(func() {
			s.keep(ctx, one.stream, func(ctx context.Context) error { return s.consume(ctx, one) })
		})
	}
	return nil
}

// keep opens a source again when it breaks.
func (s *Source) keep(ctx context.Context, name string, run func(context.Context) error) {
	for {
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		s.Log.Warn().Err(err).Str("source", name).Msg("events cannot be taken from NATS; it will be tried again")
		select {
		case <-ctx.Done():
			return
		case <-s.Clock.After(again):
		}
	}
}

// errForeign: the message is for a namespace that another bridge may serve.
var errForeign = errors.New("not for a namespace that this bridge serves")

// message is what both kinds of messages have in common.
type message struct {
	subject string
	header  nats.Header
	data    []byte
}

// take stores the events of a message. The error is errForeign, a
// *ingress.RefusedError, or a fault that may pass.
func (s *Source) take(ctx context.Context, from subject, m message) (ingress.Accepted, error) {
	var none ingress.Accepted
	namespace := from.namespaceOf(m.subject)
	switch {
	case namespace == "":
	case !ingress.ValidNamespace(namespace):
		return none, ingress.NoNamespace(namespace)
	case !s.Serves(namespace):
		return none, errForeign
	}
	if int64(len(m.data)) > s.MaxBytes {
		return none, ingress.TooLarge(s.MaxBytes)
	}
	events, err := ingress.Decode(ctx, headerOf(m.header), m.data)
	if err != nil {
		return none, err // it says what is wrong
	}
	duplicates := 0
	for i := range events {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		duplicate, err := s.Store.PublishFrom(ctx, namespace, events[i], nil)
		cancel()
		if err != nil {
			return none, ingress.StoreError(err)
		}
		if duplicate {
			duplicates++
		}
	}
	s.Metrics.Accepted(len(events)-duplicates, duplicates)
	return ingress.Accepted{Accepted: len(events), Duplicates: duplicates}, nil
}

const contentType = "Content-Type"

// headerOf is the header as HTTP would have it, where names have no case. A message
// that says nothing about itself is an event as JSON, as the binding has it for
// clients that cannot set headers.
func headerOf(h nats.Header) http.Header {
	out, said := http.Header{}, false
	for name, values := range h {
		key := http.CanonicalHeaderKey(name)
		out[key] = append(out[key], values...)
		said = said || key == contentType || key == "Ce-Specversion"
	}
	if !said {
		out.Set(contentType, "application/cloudevents+json")
	}
	return out
}

// refused is the refusal that the sender or the log is told; ok is false for a fault
// that may pass.
func refused(err error) (r *ingress.RefusedError, ok bool) {
	r, ok = errors.AsType[*ingress.RefusedError](err)
	return r, ok
}

// unavailable is what a sender is told of a fault that may pass.
func unavailable() *ingress.RefusedError {
	return ingress.Unavailable(errors.New("the event could not be stored now; send it again later"))
}
