package trigger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"golang.org/x/sync/semaphore"
	"k8s.io/utils/clock"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/stream"
)

const (
	// parallel is how many events are worked on at the same time.
	parallel = 16
	// ackWait is how long an event may take before it is delivered again.
	ackWait = time.Minute
	// Pauses before an event is looked at again while the API server is away.
	backoffMin = time.Second
	backoffMax = time.Minute
	// settle is the pause before an event that matched nothing is looked at once
	// more; see the package comment.
	settle = time.Second
	// fieldManager of the ActionSets' metadata and spec. It is not the one of the
	// status, by which Salvor tells that it has started an ActionSet.
	fieldManager = "salvor-trigger"
)

// Config of a Controller. All fields are required but Metrics.
type Config struct {
	Clients *kube.Clients
	Clock   clock.WithTicker
	Log     zerolog.Logger
	Events  *stream.Events
	Watcher *Watcher
	// Consumer is the name of the durable consumer: bridges that watch different
	// namespaces have different ones.
	Consumer string
	Metrics  *Metrics
}

// Controller makes ActionSets from events.
type Controller struct {
	Config

	statuses *statuses
}

// New returns a controller that does nothing until Run is called.
func New(c Config) *Controller {
	return &Controller{Config: c, statuses: newStatuses(c.Clients, c.Clock, c.Log)}
}

// Run works until ctx ends and everything it started has ended.
func (c *Controller) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { c.statuses.run(ctx) })
	running.Go(func() { c.Watcher.run(ctx, c.noticed) })
	if !c.Watcher.waitForSync(ctx) {
		return nil
	}
	slots := semaphore.NewWeighted(parallel)
	for ctx.Err() == nil {
		err := c.consume(ctx, slots, &running)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		c.Log.Warn().Err(err).Msg("events cannot be read; it will be tried again")
		select {
		case <-ctx.Done():
		case <-c.Clock.After(backoffMin):
		}
	}
	return nil
}

func (c *Controller) consume(ctx context.Context, slots *semaphore.Weighted, running *sync.WaitGroup) error {
	consumer, err := c.Events.Consumer(ctx, c.Consumer, ackWait)
	if err != nil {
		return fmt.Errorf("consume events: %w", err)
	}
	return stream.RunLoop(ctx, consumer, func(ctx context.Context, msg jetstream.Msg) { // it says all
		if slots.Acquire(ctx, 1) != nil {
			return // ctx has ended; the message is delivered again
		}
		running.Go(func() {
			defer slots.Release(1)
			c.settle(ctx, msg, c.handle(ctx, msg))
		})
	})
}

// outcome says what becomes of a message.
type outcome struct {
	// again asks for another delivery after a pause; zero means done.
	again time.Duration
}

func (c *Controller) settle(ctx context.Context, msg jetstream.Msg, o outcome) {
	var err error
	switch {
	case ctx.Err() != nil:
		return
	case o.again > 0:
		err = msg.NakWithDelay(o.again)
	default:
		err = msg.Ack()
	}
	if err != nil {
		c.Log.Warn().Err(err).Msg("an event could not be acknowledged; it will come again and meet its ActionSets")
	}
}

// handle looks at one event.
func (c *Controller) handle(ctx context.Context, msg jetstream.Msg) outcome {
	e, err := stream.Decode(msg.Headers(), msg.Data())
	if err != nil {
		c.Metrics.event(resultBroken)
		c.Log.Warn().Err(err).Str("subject", msg.Subject()).Msg("a message on EVENTS is no event; it is left aside")
		return outcome{}
	}
	if strings.HasPrefix(e.Source(), ownSource) {
		c.Metrics.event(resultOwn)
		return outcome{}
	}
	meta, err := msg.Metadata()
	if err != nil {
		c.Log.Warn().Err(err).Msg("a message on EVENTS has no metadata; it is left aside")
		return outcome{}
	}
	triggers := c.matching(namespaceOf(msg.Subject()), &e)
	if len(triggers) == 0 {
		if meta.NumDelivered == 1 {
			return outcome{again: settle}
		}
		c.Metrics.event(resultUnmatched)
		return outcome{}
	}
	var transient error
	for _, t := range triggers {
		transient = errors.Join(transient, c.fire(ctx, t, &e, meta.Timestamp))
	}
	if transient != nil {
		c.Log.Warn().Err(transient).Str("event", e.ID()).Str("source", e.Source()).
			Uint64("delivery", meta.NumDelivered).Msg("an event could not be turned into ActionSets; it will be tried again")
		return outcome{again: backoff(meta.NumDelivered)}
	}
	c.Metrics.event(resultMatched)
	return outcome{}
}

func (c *Controller) matching(namespace string, e *cloudevents.Event) []*salvor.ActionTrigger {
	attributes := attributesOf(e)
	var out []*salvor.ActionTrigger
	for _, t := range c.Watcher.all() {
		if match(t, namespace, attributes) {
			out = append(out, t)
		}
	}
	return out
}

// fire makes one trigger's ActionSet and returns only faults that may pass.
func (c *Controller) fire(ctx context.Context, t *salvor.ActionTrigger, e *cloudevents.Event, receivedAt time.Time) error {
	log := c.Log.With().Str("namespace", t.Namespace).Str("trigger", t.Name).Str("event", e.ID()).Str("source", e.Source()).Logger()
	name, fresh, err := c.create(ctx, t, e)
	if permanent := asPermanent(err); permanent != nil {
		c.Metrics.actionSet("refused")
		log.Error().Err(err).Msg("the event starts nothing: the ActionSet was refused")
		c.record(t, e, receivedAt, "", permanent)
		return nil
	}
	if err != nil {
		c.Metrics.actionSet("retried")
		return err
	}
	if fresh {
		c.Metrics.actionSet("created")
		log.Info().Str("actionset", name).Msg("ActionSet created")
	} else {
		c.Metrics.actionSet("exists")
	}
	c.record(t, e, receivedAt, name, nil)
	return nil
}

// namespaceOf is the namespace that an event was addressed to; "" for all.
func namespaceOf(subject string) string {
	// salvor.events.<namespace>.<type…>
	const position = 2
	tokens := strings.SplitN(subject, ".", position+2)
	if len(tokens) <= position || tokens[position] == "_" {
		return ""
	}
	return tokens[position]
}

// backoff doubles from backoffMin to backoffMax with each delivery.
func backoff(delivery uint64) time.Duration {
	pause := backoffMin
	for range min(delivery, 10) - 1 {
		pause *= 2
	}
	return min(pause, backoffMax)
}
