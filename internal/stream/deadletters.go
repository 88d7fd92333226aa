package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
)

// messageLimit is how much of a message that cannot be read a dead letter keeps.
const messageLimit = 64 << 10

// DeadLetters is the record of what was set aside.
type DeadLetters struct {
	js jetstream.JetStream
}

// StoredLetter is a dead letter and its number, by which it is read again.
type StoredLetter struct {
	Number uint64
	event.DeadLetter
}

// NewDeadLetters returns the record.
func NewDeadLetters(js jetstream.JetStream) *DeadLetters { return &DeadLetters{js: js} }

// Publish stores a dead letter and returns once it is durable. The same one again,
// a short while later, is stored once.
func (d *DeadLetters) Publish(ctx context.Context, letter *event.DeadLetter) error {
	if len(letter.Message) > messageLimit {
		short := *letter
		short.Message = letter.Message[:messageLimit]
		letter = &short
	}
	e, err := event.NewDeadLetterEvent(letter)
	if err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	msg, err := Encode(event.DeadLetterSubject(letter.Key.Namespace, letter.Key.UID), e)
	if err != nil {
		return fmt.Errorf("dead letter %s: %w", e.ID(), err)
	}
	if _, err := d.js.PublishMsg(ctx, msg, jetstream.WithMsgID(e.ID())); err != nil {
		return fmt.Errorf("store dead letter %s: %w", e.ID(), err)
	}
	return nil
}

// List returns all dead letters, oldest first.
func (d *DeadLetters) List(ctx context.Context) ([]StoredLetter, error) {
	s, err := d.stream(ctx)
	if err != nil {
		return nil, err
	}
	var all []StoredLetter
	for next := uint64(1); ; {
		msg, err := s.GetMsg(ctx, next, jetstream.WithGetMsgSubject(event.DeadLetterSubjects()))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list dead letters: %w", err)
		}
		next = msg.Sequence + 1
		all = append(all, storedLetter(msg))
	}
}

// Get returns one dead letter; ErrNotFound if there is none of that number.
func (d *DeadLetters) Get(ctx context.Context, number uint64) (*StoredLetter, error) {
	s, err := d.stream(ctx)
	if err != nil {
		return nil, err
	}
	msg, err := s.GetMsg(ctx, number)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, fmt.Errorf("dead letter %d: %w", number, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("read dead letter %d: %w", number, err)
	}
	letter := storedLetter(msg)
	return &letter, nil
}

func (d *DeadLetters) stream(ctx context.Context) (jetstream.Stream, error) {
	s, err := d.js.Stream(ctx, event.StreamDLQ)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", event.StreamDLQ, err)
	}
	return s, nil
}

// storedLetter reads a message of DLQ. One that is no dead letter is shown as what
// it is: nobody reads this stream but to see what went wrong.
func storedLetter(msg *jetstream.RawStreamMsg) StoredLetter {
	letter := StoredLetter{Number: msg.Sequence}
	e, err := Decode(msg.Header, msg.Data)
	if err == nil {
		err = e.DataAs(&letter.DeadLetter)
	}
	if err != nil {
		letter.DeadLetter = event.DeadLetter{
			At: msg.Time, Reason: "this dead letter cannot be read itself: " + err.Error(), Subject: msg.Subject, Message: msg.Data,
		}
	}
	return letter
}
