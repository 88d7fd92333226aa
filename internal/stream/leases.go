package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
)

// markTTL is how long marks stay.
const markTTL = 7 * 24 * time.Hour

// Leases keeps claims and marks in one bucket.
type Leases struct {
	js jetstream.JetStream
	kv jetstream.KeyValue
}

// NewLeases opens the bucket.
func NewLeases(ctx context.Context, js jetstream.JetStream) (*Leases, error) {
	kv, err := js.KeyValue(ctx, event.BucketLeases)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", event.BucketLeases, err)
	}
	return &Leases{js: js, kv: kv}, nil
}

// MarkStarted records that a function which may run only once is about to run. If
// it was recorded before, ErrExists is returned. by is unique for the call of the
// function: whoever got no answer says it again with the same.
func (l *Leases) MarkStarted(ctx context.Context, k event.Key, by string) error {
	key := event.StartedKey(k)
	err := l.mark(ctx, key, []byte(by))
	if !errors.Is(err, ErrExists) {
		return err
	}
	entry, getErr := l.kv.Get(ctx, key)
	switch {
	case getErr != nil:
		return fmt.Errorf("mark %s: see who made it: %w", key, getErr)
	case string(entry.Value()) == by:
		return nil
	}
	return err
}

// Cancel tells every runner that the run is cancelled. Saying it again is no
// error.
func (l *Leases) Cancel(ctx context.Context, uid string) error {
	if err := l.mark(ctx, event.CancelKey(uid), nil); err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	return nil
}

func (l *Leases) mark(ctx context.Context, key string, value []byte) error {
	_, err := l.kv.Create(ctx, key, value, jetstream.KeyTTL(markTTL))
	if errors.Is(err, jetstream.ErrKeyExists) || isConflict(err) {
		return fmt.Errorf("%s: %w", key, ErrExists)
	}
	if err != nil {
		return fmt.Errorf("mark %s: %w", key, err)
	}
	return nil
}

// WatchCancels calls cancelled with the uid of every run that is marked
// cancelled, those marked before the call included, until ctx ends.
func (l *Leases) WatchCancels(ctx context.Context, cancelled func(uid string)) error {
	const prefix = "cancel."
	watcher, err := l.kv.Watch(ctx, prefix+"*", jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("watch %s: %w", event.BucketLeases, err)
	}
	defer func() { _ = watcher.Stop() }() // ctx has ended; nothing to do about it
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, ok := <-watcher.Updates():
			if !ok {
				return fmt.Errorf("watch %s: the watcher was closed", event.BucketLeases)
			}
			if entry != nil {
				cancelled(strings.TrimPrefix(entry.Key(), prefix))
			}
		}
	}
}
