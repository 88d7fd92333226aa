package natsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/salvor-io/salvor/bridge/ingress"
)

// drainTimeout bounds the handling of what was delivered before the end.
const drainTimeout = 5 * time.Second

// ownSubjects is what Salvor's own subjects begin with.
const ownSubjects = "salvor."

// subscribe takes messages of a subject until ctx ends or the subscription breaks.
func (s *Source) subscribe(ctx context.Context, from subject) error {
	sub, err := s.JS.Conn().QueueSubscribeSync(from.pattern, s.Group)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", from.pattern, err)
	}
	var running sync.WaitGroup
	defer running.Wait()
	dropped := 0
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return s.drain(ctx, sub, from, &running)
		case errors.Is(err, nats.ErrSlowConsumer):
			dropped = s.tellDropped(sub, from, dropped)
		case err != nil:
			_ = sub.Unsubscribe() // it broke
			return fmt.Errorf("take messages of %s: %w", from.pattern, err)
		default:
			s.start(ctx, from, msg, &running)
		}
	}
}

// drain takes no new messages, and handles those that were delivered already.
func (s *Source) drain(ctx context.Context, sub *nats.Subscription, from subject, running *sync.WaitGroup) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := sub.Drain(); err != nil {
		return nil // the connection is gone, and with it all that could be drained
	}
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil // all is done, or the time is over
		}
		s.start(ctx, from, msg, running)
	}
}

func (s *Source) tellDropped(sub *nats.Subscription, from subject, before int) int {
	dropped, err := sub.Dropped()
	if err != nil || dropped <= before {
		return before
	}
	for range dropped - before {
		s.Metrics.Rejected("dropped")
	}
	s.Log.Error().Str("subject", from.pattern).Int("messages", dropped-before).
		Msg("messages came faster than they could be stored and were dropped; send requests, or use a JetStream stream")
	return dropped
}

func (s *Source) start(ctx context.Context, from subject, msg *nats.Msg, running *sync.WaitGroup) {
	ctx = context.WithoutCancel(ctx) // what was delivered is stored
	if s.slots.Acquire(ctx, 1) != nil {
		return // it cannot fail without an end of ctx
	}
	running.Go(func() {
		defer s.slots.Release(1)
		s.handle(ctx, from, msg)
	})
}

// handle stores the events of a message and replies.
func (s *Source) handle(ctx context.Context, from subject, msg *nats.Msg) {
	accepted, err := s.take(ctx, from, message{subject: msg.Subject, header: msg.Header, data: msg.Data})
	switch {
	case errors.Is(err, errForeign):
	case err == nil:
		s.reply(msg, accepted)
	default:
		r, ok := refused(err)
		if !ok {
			r = unavailable()
		}
		s.Metrics.Rejected(r.Reason)
		event := s.Log.Warn().Err(err).Str("subject", msg.Subject).Str("reason", r.Reason)
		if msg.Reply == "" {
			event.Msg("an event from NATS was not stored, and nobody waits for an answer: it is lost")
		} else {
			event.Msg("an event from NATS was not stored; its sender is told")
		}
		s.reply(msg, problem(r))
	}
}

func problem(r *ingress.RefusedError) ingress.Problem {
	body := r.Problem()
	body.Code = r.Code
	return body
}

// answerable reports whether a sender may choose the subject for its answer. NATS
// checks what a client publishes to, not where it wants the answer; this process may
// publish to far more than a sender may, JetStream's API and Salvor's streams included.
func answerable(reply string) bool {
	return !strings.HasPrefix(reply, "$") && !strings.HasPrefix(reply, ownSubjects)
}

func (s *Source) reply(msg *nats.Msg, body any) {
	if msg.Reply == "" {
		return
	}
	if !answerable(msg.Reply) {
		s.Log.Warn().Str("subject", msg.Subject).Str("reply", msg.Reply).
			Msg("a sender asked for an answer on a subject that is Salvor's or NATS's own; it gets none")
		return
	}
	text, err := json.Marshal(body)
	if err == nil {
		err = msg.Respond(text)
	}
	if err != nil {
		s.Log.Debug().Err(err).Msg("a sender could not be answered")
	}
}
