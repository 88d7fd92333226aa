package natsource

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/bridge/ingress"
	"github.com/salvor-io/salvor/internal/stream"
)

const (
	// ackWait is how long a message may take before it is delivered again.
	ackWait = time.Minute
	// mostPending bounds the messages under way.
	mostPending = 256
	// The pauses before a message is delivered again that could not be stored.
	backoffMin, backoffMax = time.Second, time.Minute
)

// consume takes the messages of a stream until ctx ends or the consumer breaks.
func (s *Source) consume(ctx context.Context, from streamSource) error {
	on, err := s.JS.Stream(ctx, from.stream)
	if err != nil {
		return fmt.Errorf("open stream %s: %w", from.stream, err)
	}
	from.queue = on.CachedInfo().Config.Retention == jetstream.WorkQueuePolicy
	consumer, err := s.consumer(ctx, from)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	return stream.RunLoop(ctx, consumer, func(ctx context.Context, msg jetstream.Msg) { // it says all
		if s.slots.Acquire(ctx, 1) != nil {
			return // ctx has ended; the message is delivered again
		}
		running.Go(func() {
			defer s.slots.Release(1)
			s.settle(context.WithoutCancel(ctx), from, msg)
		})
	})
}

// consumer is the durable consumer of the bridges that share a name. One that is
// there already is used as it is but for its filter, so that an operator may make it
// before and say where it starts; a new one starts with the first message.
func (s *Source) consumer(ctx context.Context, from streamSource) (jetstream.Consumer, error) {
	name := s.Group
	if from.pattern != "" {
		sum := sha256.Sum256([]byte(from.pattern))
		name += "-" + hex.EncodeToString(sum[:4])
	}
	config := jetstream.ConsumerConfig{
		Durable:       name,
		Description:   "Salvor takes CloudEvents from here",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1,
		MaxAckPending: mostPending,
	}
	found, err := s.JS.Consumer(ctx, from.stream, name)
	switch {
	case err == nil && found.CachedInfo().Config.FilterSubject == from.pattern:
		return found, nil
	case err == nil:
		config = found.CachedInfo().Config
	case !errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil, fmt.Errorf("consumer %s of stream %s: %w", name, from.stream, err)
	}
	config.FilterSubject = from.pattern
	made, err := s.JS.CreateOrUpdateConsumer(ctx, from.stream, config)
	if err != nil {
		return nil, fmt.Errorf("make consumer %s of stream %s: %w", name, from.stream, err)
	}
	return made, nil
}

// settle stores the events of a message and says what becomes of it.
func (s *Source) settle(ctx context.Context, from streamSource, msg jetstream.Msg) {
	_, err := s.take(ctx, from.subject, message{subject: msg.Subject(), header: msg.Headers(), data: msg.Data()})
	if errors.Is(err, errForeign) && from.queue {
		err = ingress.NoNamespace(from.namespaceOf(msg.Subject())) // no other bridge gets it
	}
	log := s.Log.With().Str("stream", from.stream).Str("subject", msg.Subject()).Logger()
	var ack error
	switch r, isRefusal := refused(err); {
	case err == nil, errors.Is(err, errForeign):
		ack = msg.Ack()
	case !isRefusal || r.After > 0: // it may pass
		log.Warn().Err(err).Msg("an event from a stream could not be stored; it is taken again later")
		ack = msg.NakWithDelay(delay(msg))
	default:
		s.Metrics.Rejected(r.Reason)
		log.Error().Err(err).Str("reason", r.Reason).Msg("a message of a stream is no event that can be stored; it is left aside")
		ack = msg.TermWithReason(r.Reason)
	}
	if ack != nil {
		log.Warn().Err(ack).Msg("a message could not be acknowledged; it comes again, and counts once all the same")
	}
}

// delay doubles from backoffMin to backoffMax with each delivery.
func delay(msg jetstream.Msg) time.Duration {
	meta, err := msg.Metadata()
	if err != nil {
		return backoffMax
	}
	pause := backoffMin
	for range min(meta.NumDelivered, 10) - 1 {
		pause *= 2
	}
	return min(pause, backoffMax)
}
