package stream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
)

// Replays remembers which signatures were used, in LEASES: every bridge sees the
// marks, and they outlive all of them.
type Replays struct {
	js jetstream.JetStream

	mu sync.Mutex
	kv jetstream.KeyValue
}

// NewReplays returns the store. Nothing is contacted before it is used.
func NewReplays(js jetstream.JetStream) *Replays { return &Replays{js: js} }

// Use marks a signature of a sender as used for ttl (whole seconds, at least 1 s).
// If it is marked already, ErrExists is returned. After any other error it may be
// marked or not.
func (r *Replays) Use(ctx context.Context, sender, signature string, ttl time.Duration) error {
	kv, err := r.bucket(ctx)
	if err != nil {
		return err
	}
	key, mine := event.ReplayKey(sender, signature), rand.Text()
	_, err = kv.Create(ctx, key, []byte(mine), jetstream.KeyTTL(ttl))
	if err == nil {
		return nil
	}
	if !errors.Is(err, jetstream.ErrKeyExists) && !isConflict(err) {
		return fmt.Errorf("mark %s: %w", key, err)
	}
	// The mark may be this call's own, whose answer was lost on the way.
	entry, getErr := kv.Get(ctx, key)
	switch {
	case getErr != nil:
		return fmt.Errorf("mark %s: see who made it: %w", key, getErr)
	case string(entry.Value()) == mine:
		return nil
	}
	return fmt.Errorf("%s: %w", key, ErrExists)
}

// Forget takes the mark away: nothing became of the request, so that the sender may
// send it once more. That there is none is no error.
func (r *Replays) Forget(ctx context.Context, sender, signature string) error {
	kv, err := r.bucket(ctx)
	if err != nil {
		return err
	}
	key := event.ReplayKey(sender, signature)
	if err := kv.Purge(ctx, key, jetstream.PurgeTTL(time.Minute)); err != nil {
		return fmt.Errorf("take mark %s away: %w", key, err)
	}
	return nil
}

func (r *Replays) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kv != nil {
		return r.kv, nil
	}
	kv, err := r.js.KeyValue(ctx, event.BucketLeases)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", event.BucketLeases, err)
	}
	r.kv = kv
	return kv, nil
}
