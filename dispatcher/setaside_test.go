package dispatcher

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
)

// old is a message that was delivered a number of times: to bring a real one there
// takes minutes.
type old struct {
	jetstream.Msg

	times    uint64
	nak      time.Duration
	finished string
}

func (o *old) Metadata() (*jetstream.MsgMetadata, error) {
	return &jetstream.MsgMetadata{NumDelivered: o.times}, nil
}
func (o *old) Subject() string                    { return "salvor.reports.9.shop.u1" }
func (o *old) Data() []byte                       { return []byte("???") }
func (o *old) Headers() nats.Header               { return nats.Header{} }
func (o *old) NakWithDelay(d time.Duration) error { o.nak = d; return nil }
func (o *old) TermWithReason(reason string) error { o.finished = reason; return nil }

type letters struct {
	got []event.DeadLetter
	err error
}

func (l *letters) Publish(_ context.Context, letter *event.DeadLetter) error {
	if l.err == nil {
		l.got = append(l.got, *letter)
	}
	return l.err
}

func TestAReportThatCannotBeHandledIsNeverDropped(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		times   uint64
		letters *letters
		stored  int
	}{
		"at first":                    {times: 1, letters: &letters{}},
		"often":                       {times: setAsideAfter, letters: &letters{}, stored: 1},
		"no room":                     {times: setAsideAfter, letters: &letters{err: errors.New("no room")}},
		"nowhere to put it, for ever": {times: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			e := &engine{owner: &Dispatcher{}, clock: clocktesting.NewFakeClock(now), log: zerolog.Nop()}
			if c.letters != nil {
				e.owner.deps.DeadLetters = c.letters
			}
			msg := &old{times: c.times}
			e.setAside(t.Context(), msg, errors.New("it is of version 7"))
			if c.stored == 0 {
				assert.Empty(t, msg.finished)
				assert.Positive(t, msg.nak)
				return
			}
			assert.Equal(t, "set aside", msg.finished)
			assert.Equal(t, []event.DeadLetter{
				{At: now, Reason: "it is of version 7", Subject: msg.Subject(), Message: msg.Data()},
			}, c.letters.got)
		})
	}
}
