package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
)

// firedTTL is how long a timer that fired waits for a dispatcher. One that starts
// later looks at every run anyway.
const firedTTL = time.Hour

// Timers keeps at most one timer for each run. A timer is a schedule on TIMERS, so
// it outlives every process; the server's own schedules are late after a restart,
// never lost. Whoever uses them must bear that one comes early, late or twice.
type Timers struct {
	js    jetstream.JetStream
	clock clock.PassiveClock
}

// NewTimers returns the store.
func NewTimers(js jetstream.JetStream, c clock.PassiveClock) *Timers {
	return &Timers{js: js, clock: c}
}

// Set puts the run's timer to a time, in place of an earlier one. A time that has
// passed fires at once.
func (s *Timers) Set(ctx context.Context, namespace, uid string, at time.Time) error {
	e, err := event.NewTimerEvent(&event.Timer{UID: uid, Namespace: namespace, At: at})
	if err != nil {
		return fmt.Errorf("timer of run %s in %s: %w", uid, namespace, err)
	}
	msg, err := Encode(event.TimerSubject(namespace, uid), e)
	if err != nil {
		return fmt.Errorf("timer of run %s in %s: %w", uid, namespace, err)
	}
	// Schedules know whole seconds and cut off the rest, so that one would fire up
	// to a second early, find nothing due and be set again.
	whole := at.Truncate(time.Second)
	if whole.Before(at) {
		whole = whole.Add(time.Second)
	}
	// A server that is killed between firing a schedule and removing it does neither
	// again: then it goes by its age.
	age := max(whole.Sub(s.clock.Now()).Round(time.Second), 0) + firedTTL
	if _, err := s.js.PublishMsg(ctx, msg, jetstream.WithScheduleAt(whole), jetstream.WithMsgTTL(age),
		jetstream.WithScheduleTarget(event.FiredSubject(namespace, uid)), jetstream.WithScheduleTTL(firedTTL)); err != nil {
		return fmt.Errorf("set the timer of run %s in %s to %s: %w", uid, namespace, whole.UTC().Format(time.RFC3339), err)
	}
	return nil
}

// Clear removes the run's timer. One that is not there is no error; one that has
// fired already is still delivered.
func (s *Timers) Clear(ctx context.Context, namespace, uid string) error {
	found, err := s.js.Stream(ctx, event.StreamTimers)
	if err != nil {
		return fmt.Errorf("open stream %s: %w", event.StreamTimers, err)
	}
	if err := found.Purge(ctx, jetstream.WithPurgeSubject(event.TimerSubject(namespace, uid))); err != nil {
		return fmt.Errorf("clear the timer of run %s in %s: %w", uid, namespace, err)
	}
	return nil
}

// Consumer returns the dispatchers' consumer of timers that fired. One that is not
// acknowledged within ackWait is delivered again.
func (s *Timers) Consumer(ctx context.Context, ackWait time.Duration) (jetstream.Consumer, error) {
	c, err := s.js.CreateOrUpdateConsumer(ctx, event.StreamTimers, jetstream.ConsumerConfig{
		Durable:       "dispatchers",
		FilterSubject: event.FiredSubjects(),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1,
		MaxAckPending: -1,
	})
	if err != nil {
		return nil, fmt.Errorf("consumer on %s: %w", event.StreamTimers, err)
	}
	return c, nil
}

// DecodeTimer reads a timer from a message of TIMERS.
func DecodeTimer(msg jetstream.Msg) (*event.Timer, error) {
	var t event.Timer
	if _, err := decodeInto(msg, event.TypeTimer, &t); err != nil {
		return nil, err
	}
	if t.UID == "" || t.Namespace == "" {
		return nil, fmt.Errorf("%w: it names no run", ErrMalformed)
	}
	return &t, nil
}
