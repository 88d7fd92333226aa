package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
)

// Events is the stream of CloudEvents from outside and about runs.
type Events struct {
	js jetstream.JetStream
}

// NewEvents returns the stream.
func NewEvents(js jetstream.JetStream) *Events { return &Events{js: js} }

// Publish stores an event and returns once it is durable. duplicate says that
// an event with the same namespace, source and id was stored a short while ago.
// If the stream has no room, ErrFull is returned.
func (s *Events) Publish(ctx context.Context, namespace string, e cloudevents.Event) (duplicate bool, err error) {
	return s.PublishFrom(ctx, namespace, e, nil)
}

// PublishFrom is Publish for an event from outside, with who sent it; nil means that
// nobody was asked.
func (s *Events) PublishFrom(ctx context.Context, namespace string, e cloudevents.Event, sender *event.Sender) (duplicate bool, err error) {
	msg, err := Encode(event.EventSubject(namespace, e.Type()), e)
	if err != nil {
		return false, err
	}
	// Ids are stream-wide: without the namespace one tenant could make another's
	// event vanish as a duplicate, and without the sender one that may fire nothing
	// could do that to one that may.
	id := namespace + "\x1f" + e.Source() + "\x1f" + e.ID()
	if sender != nil {
		text, err := json.Marshal(sender)
		if err != nil {
			return false, fmt.Errorf("encode the sender of event %s: %w", e.ID(), err)
		}
		msg.Header[event.HeaderSender] = []string{Escape(string(text))}
		id += "\x1f" + sender.User
	}
	ack, err := s.js.PublishMsg(ctx, msg, jetstream.WithMsgID(hash(id)))
	if hasCode(err, codeStoreFailed) {
		return false, fmt.Errorf("event %s: %w", e.ID(), ErrFull)
	}
	if err != nil {
		return false, fmt.Errorf("store event %s: %w", e.ID(), err)
	}
	return ack.Duplicate, nil
}

// Consumer returns a durable consumer of all events, for one kind of reader.
func (s *Events) Consumer(ctx context.Context, name string, ackWait time.Duration) (jetstream.Consumer, error) {
	c, err := s.js.CreateOrUpdateConsumer(ctx, event.StreamEvents, jetstream.ConsumerConfig{
		Durable:       name,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1,
		MaxAckPending: 1000,
	})
	if err != nil {
		return nil, fmt.Errorf("consumer %s on %s: %w", name, event.StreamEvents, err)
	}
	return c, nil
}

// SenderOf returns who sent the event of a message, nil if nobody was asked.
func SenderOf(h nats.Header) (*event.Sender, error) {
	text := first(h, event.HeaderSender)
	if text == "" {
		return nil, nil //nolint:nilnil // nobody was asked, which is no fault
	}
	var sender event.Sender
	if err := json.Unmarshal([]byte(Unescape(text)), &sender); err != nil {
		return nil, fmt.Errorf("%w: header %s: %w", ErrMalformed, event.HeaderSender, err)
	}
	return &sender, nil
}

// At returns the event with a sequence. If it
// is there no more, ErrNotFound is returned.
func (s *Events) At(ctx context.Context, sequence uint64) (*cloudevents.Event, error) {
	on, err := s.js.Stream(ctx, event.StreamEvents)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", event.StreamEvents, err)
	}
	msg, err := on.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, fmt.Errorf("event %d of %s: %w", sequence, event.StreamEvents, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read event %d of %s: %w", sequence, event.StreamEvents, err)
	}
	e, err := Decode(msg.Header, msg.Data)
	if err != nil {
		return nil, fmt.Errorf("event %d of %s: %w: %w", sequence, event.StreamEvents, ErrMalformed, err)
	}
	return &e, nil
}
