package sink

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/stream"
)

// sink is one endpoint at work.
type sink struct {
	Config

	target     target
	extensions map[string]string
	log        zerolog.Logger
	client     *http.Client
	// consumer is the one in use; only run's goroutine knows it.
	consumer jetstream.Consumer
	// slots bound the requests under way.
	slots chan struct{}

	mu sync.Mutex
	// lanes hold the events of a run that are to be sent, in order; the first is being
	// delivered.
	lanes map[string][]*delivery
	// held are all of them, by their place on the stream.
	held map[uint64]*delivery
	// notBefore is when the sink wants the next request.
	notBefore time.Time
	// troubled says that the last attempt failed, so that this is logged once.
	troubled bool
}

// delivery is an event on its way.
type delivery struct {
	msg    jetstream.Msg
	event  cloudevents.Event
	number uint64
	stored time.Time
}

func (s *sink) run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { s.keepAlive(ctx) })
	for ctx.Err() == nil {
		if err := s.consume(ctx, &running); err != nil && ctx.Err() == nil {
			s.log.Warn().Err(err).Msg("events for the sink cannot be read; it will be tried again")
			s.sleep(ctx, pause)
		}
	}
	running.Wait()
	s.giveBack(context.WithoutCancel(ctx))
	s.client.CloseIdleConnections()
}

func (s *sink) consume(ctx context.Context, running *sync.WaitGroup) error {
	consumer, err := s.Events.LifecycleConsumer(ctx, stream.LifecycleReader{
		Name: consumerName(s.target, s.Namespaces), Namespaces: s.Namespaces, AckWait: ackWait, InHand: inHand, Forget: forget,
	})
	if err != nil {
		return err // it says all
	}
	s.consumer = consumer
	return stream.RunLoop(ctx, consumer, func(ctx context.Context, msg jetstream.Msg) { // it says all
		d, ok := s.read(msg)
		if ok && s.add(d) {
			running.Go(func() { s.lane(ctx, d.event.Subject()) })
		}
	})
}

// read returns the event of a message, and false for what is not to be sent.
func (s *sink) read(msg jetstream.Msg) (*delivery, bool) {
	e, err := stream.Decode(msg.Headers(), msg.Data())
	if err != nil || !event.IsLifecycle(e.Source(), e.Type()) {
		s.ack(msg)
		return nil, false
	}
	meta, err := msg.Metadata()
	if err != nil {
		s.ack(msg)
		return nil, false
	}
	for name, value := range s.extensions {
		e.SetExtension(name, value)
	}
	return &delivery{msg: msg, event: e, number: meta.Sequence.Stream, stored: meta.Timestamp}, true
}

// add reports whether the event's lane has to be started.
func (s *sink) add(d *delivery) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[d.number] != nil {
		return false // a sign of life was lost, so it came again
	}
	s.held[d.number] = d
	s.Metrics.holds(s.target.name, len(s.held))
	key := d.event.Subject()
	s.lanes[key] = append(s.lanes[key], d)
	return len(s.lanes[key]) == 1
}

// lane delivers the events of one run, one after the other, until none is left.
func (s *sink) lane(ctx context.Context, key string) {
	for d := s.first(key); d != nil && s.deliver(ctx, d); d = s.next(key) {
		s.ack(d.msg)
	}
}

func (s *sink) first(key string) *delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lanes[key][0]
}

// next takes the first away and returns the one after it, nil if there is none.
func (s *sink) next(key string) *delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	lane := s.lanes[key]
	delete(s.held, lane[0].number)
	s.Metrics.holds(s.target.name, len(s.held))
	if len(lane) == 1 {
		delete(s.lanes, key)
		return nil
	}
	s.lanes[key] = lane[1:]
	return lane[1]
}

// keepAlive tells the stream that the events in hand are being worked on.
func (s *sink) keepAlive(ctx context.Context) {
	ticker := s.Clock.NewTicker(ackWait / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
		for _, d := range s.all() {
			if err := d.msg.InProgress(); err != nil {
				s.log.Debug().Err(err).Msg("a sign of life did not go out; the event may come again")
			}
		}
	}
}

// giveBack lets the next process have at once what is not delivered: in the order in
// which it happened, since it comes again in the order in which it was given back.
func (s *sink) giveBack(ctx context.Context) {
	all := s.all()
	if len(all) == 0 {
		return
	}
	s.hangUp(ctx)
	slices.SortFunc(all, func(a, b *delivery) int { return cmp.Compare(a.number, b.number) })
	for _, d := range all {
		if err := d.msg.Nak(); err != nil {
			return // they come again later
		}
	}
}

// hangUp waits until the server knows that this process does not read any more.
// Otherwise it would deliver here what is given back, or try to and put it behind the
// others. It forgets requests that nobody listens to when it is asked about them. Of
// another bridge that reads there is always one; hence the time limit.
func (s *sink) hangUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, hangUpTimeout)
	defer cancel()
	for {
		info, err := s.consumer.Info(ctx)
		if err != nil {
			s.log.Debug().Err(err).Msg("the order of what is given back is not certain")
			return
		}
		if info.NumWaiting == 0 || !s.sleep(ctx, hangUpPause) {
			return
		}
	}
}

func (s *sink) all() []*delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*delivery, 0, len(s.held))
	for _, d := range s.held {
		all = append(all, d)
	}
	return all
}

func (s *sink) ack(msg jetstream.Msg) {
	if err := msg.Ack(); err != nil {
		s.log.Warn().Err(err).Msg("an event could not be acknowledged; it will be sent again")
	}
}

// sleep reports false when ctx ended first.
func (s *sink) sleep(ctx context.Context, d time.Duration) bool {
	timer := s.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return true
	}
}
