package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
)

// LifecycleReader says how lifecycle events are read by one who remembers how far
// he came.
type LifecycleReader struct {
	// Name of the durable consumer.
	Name string
	// Namespaces of the runs; none means all.
	Namespaces []string
	// AckWait is after how long an event that was not acknowledged comes again.
	AckWait time.Duration
	// InHand is how many events may be unacknowledged.
	InHand int
	// Forget is after how long a reader that does not come any more is forgotten.
	Forget time.Duration
}

// LifecycleConsumer returns the reader's consumer. A new one begins with what comes
// from now on.
func (s *Events) LifecycleConsumer(ctx context.Context, r LifecycleReader) (jetstream.Consumer, error) {
	c, err := s.js.CreateOrUpdateConsumer(ctx, event.StreamEvents, jetstream.ConsumerConfig{
		Durable:           r.Name,
		FilterSubjects:    event.LifecycleSubjects(r.Namespaces...),
		DeliverPolicy:     jetstream.DeliverNewPolicy,
		AckPolicy:         jetstream.AckExplicitPolicy,
		AckWait:           r.AckWait,
		MaxDeliver:        -1,
		MaxAckPending:     r.InHand,
		InactiveThreshold: r.Forget,
	})
	if err != nil {
		return nil, fmt.Errorf("consumer %s on %s: %w", r.Name, event.StreamEvents, err)
	}
	return c, nil
}

// Escape percent-encodes a header's value as the NATS and the HTTP protocol binding
// of CloudEvents say; Unescape undoes it.
func Escape(value string) string { return escape(value) }
