package trigger

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/bridge/access"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/stream"
)

const (
	// ackWait is how long an event may take before it is delivered again.
	ackWait = 30 * time.Second
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
	Clients  *kube.Clients
	Clock    clock.WithTicker
	Log      zerolog.Logger
	Events   *stream.Events
	Gates    *stream.Gates
	Outcomes *stream.Outcomes
	Watcher  *Watcher
	// Reviewer is the one that the endpoint asks too: who fires a trigger and then waits
	// for the outcome is reviewed once.
	Reviewer *access.Reviewer
	// Announcements takes the Kubernetes Events.
	Announcements record.EventSink
	// Consumer is the name of the durable consumer: bridges that watch different
	// namespaces have different ones.
	Consumer string
	Metrics  *Metrics
}

// Controller makes ActionSets from events.
type Controller struct {
	Config

	statuses  *statuses
	catalog   *catalog
	keeper    *keeper
	announcer *announcer
	// making bounds the ActionSets that are made at the same time.
	making *slots
}

// New returns a controller that does nothing until Run is called.
func New(c Config) *Controller {
	t := &Controller{
		Config: c, catalog: newCatalog(), making: newSlots(),
		statuses:  newStatuses(c.Clients, c.Clock, c.Log),
		announcer: newAnnouncer(c.Announcements, c.Clock),
	}
	t.keeper = newKeeper(t, uuid.NewString())
	return t
}

// Run works until ctx ends and everything it started has ended.
func (c *Controller) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { c.statuses.run(ctx) })
	running.Go(func() { c.announcer.run(ctx) })
	running.Go(func() { c.Watcher.run(ctx, c.noticed) })
	if !c.Watcher.WaitForSync(ctx) {
		return nil
	}
	running.Go(func() { c.keeper.run(ctx) })
	for ctx.Err() == nil {
		err := c.consume(ctx, &running)
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

// consume handles events side by side: as many as the consumer gives out before it
// wants acknowledgements. Only the end of a run is taken in the order of the stream:
// an event that was stored after it must not be refused for what has ended.
func (c *Controller) consume(ctx context.Context, running *sync.WaitGroup) error {
	consumer, err := c.Events.Consumer(ctx, c.Consumer, ackWait)
	if err != nil {
		return fmt.Errorf("consume events: %w", err)
	}
	return stream.RunLoopGivingBack(ctx, consumer, func(ctx context.Context, msg jetstream.Msg) { // it says all
		a, err := arrived(msg)
		if err != nil {
			c.Metrics.event(resultBroken)
			c.Log.Warn().Err(err).Str("subject", msg.Subject()).Msg("a message on EVENTS is no event; it is left aside")
			c.settle(ctx, msg, outcome{})
			return
		}
		if isRunEnd(a.event) {
			c.keeper.runEnded(a.event)
		}
		running.Go(func() { c.settle(ctx, msg, c.handle(ctx, a)) })
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
	case ctx.Err() != nil && o.again > 0:
		err = msg.Nak() // another bridge, or the next one, goes on with it
	case o.again > 0:
		err = msg.NakWithDelay(o.again)
	default:
		err = msg.Ack()
	}
	if err != nil {
		c.Log.Warn().Err(err).Msg("an event could not be acknowledged; it will come again and meet its ActionSets")
	}
}

// backoff doubles from backoffMin to backoffMax with each delivery.
func backoff(delivery uint64) time.Duration {
	pause := backoffMin
	for range min(delivery, 10) - 1 {
		pause *= 2
	}
	return min(pause, backoffMax)
}
