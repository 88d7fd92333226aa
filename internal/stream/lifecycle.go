package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go"
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

// Last is the number of the last event of any kind; 0 if there is none.
func (s *Events) Last(ctx context.Context) (uint64, error) {
	str, err := s.js.Stream(ctx, event.StreamEvents)
	if err != nil {
		return 0, fmt.Errorf("open stream %s: %w", event.StreamEvents, err)
	}
	return str.CachedInfo().State.LastSeq, nil
}

// LifecycleView says which lifecycle events somebody wants to see, who remembers
// himself how far he came.
type LifecycleView struct {
	// Namespaces of the runs; none means all.
	Namespaces []string
	// After is the number of the last event that was seen; 0 for none.
	After uint64
	// Since is when the first event was stored, if After is 0; the zero time means
	// all that are kept or, with Follow, none.
	Since time.Time
	// Follow goes on with what comes.
	Follow bool
	// Idle is after how long without an event the viewer hears of that; 0 for never.
	Idle time.Duration
}

// LifecycleViewer gets what it asked for. Its methods are called one at a time; an
// error ends the view.
type LifecycleViewer interface {
	// Event is an event and its number. more says that further ones are there.
	Event(number uint64, e *cloudevents.Event, more bool) error
	// Idle says that nothing came for a while.
	Idle() error
}

// ViewLifecycle shows lifecycle events until ctx ends, until the viewer does, or,
// without Follow, until all that was there was shown, which is no error. A number
// beyond the last one is of a store that was lost: all is shown then.
func (s *Events) ViewLifecycle(ctx context.Context, v LifecycleView, to LifecycleViewer) error {
	str, err := s.js.Stream(ctx, event.StreamEvents)
	if err != nil {
		return fmt.Errorf("open stream %s: %w", event.StreamEvents, err)
	}
	last := str.CachedInfo().State.LastSeq
	config := jetstream.OrderedConsumerConfig{FilterSubjects: event.LifecycleSubjects(v.Namespaces...), DeliverPolicy: jetstream.DeliverAllPolicy}
	switch {
	case v.After > 0 && v.After <= last:
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, v.After+1
	case v.After > 0:
	case !v.Since.IsZero():
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &v.Since
	case v.Follow:
		config.DeliverPolicy = jetstream.DeliverNewPolicy
	}
	consumer, err := s.js.OrderedConsumer(ctx, event.StreamEvents, config)
	if err != nil {
		return fmt.Errorf("view %s: %w", event.StreamEvents, err)
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return fmt.Errorf("view %s: %w", event.StreamEvents, err)
	}
	if info.NumPending == 0 && !v.Follow {
		return nil
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("view %s: %w", event.StreamEvents, err)
	}
	defer messages.Stop()
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	for {
		done, err := view(ctx, messages, &v, last, to)
		if done || err != nil {
			return err
		}
	}
}

// view shows what comes next. done says that nothing is to follow.
func view(ctx context.Context, messages jetstream.MessagesContext, v *LifecycleView, last uint64, to LifecycleViewer) (done bool, err error) {
	var limit []jetstream.NextOpt
	if v.Idle > 0 {
		limit = append(limit, jetstream.NextMaxWait(v.Idle))
	}
	msg, err := messages.Next(limit...)
	switch {
	case ctx.Err() != nil:
		return true, ctx.Err() // the caller's own end
	case errors.Is(err, nats.ErrTimeout) && !v.Follow:
		return true, nil // what was there has become too old meanwhile
	case errors.Is(err, nats.ErrTimeout):
		return false, to.Idle()
	case err != nil:
		return true, fmt.Errorf("view %s: %w", event.StreamEvents, err)
	}
	meta, err := msg.Metadata()
	if err != nil {
		return true, fmt.Errorf("view %s: %w", event.StreamEvents, err)
	}
	if !v.Follow && meta.Sequence.Stream > last {
		return true, nil
	}
	e, err := Decode(msg.Headers(), msg.Data())
	if err == nil && event.IsLifecycle(e.Source(), e.Type()) {
		if err := to.Event(meta.Sequence.Stream, &e, meta.NumPending > 0); err != nil {
			return true, err
		}
	}
	return !v.Follow && (meta.NumPending == 0 || meta.Sequence.Stream == last), nil
}
