package stream

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
)

// Gates keeps what triggers have to remember, as bytes: events that wait
// (event.GateKey), values that were seen (event.BaselineKey).
type Gates struct {
	bucket bucket
}

// NewGates returns the store. Nothing is contacted before its first use.
func NewGates(js jetstream.JetStream) *Gates {
	return &Gates{bucket: bucket{js: js, name: event.BucketTriggers}}
}

// Get returns the record and its revision, nil and 0 if there is none.
func (g *Gates) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	return g.bucket.get(ctx, key)
}

// Put writes the record on the condition that its last revision is revision, 0 if
// there is none, and returns the new one. If somebody else wrote it, ErrConflict is
// returned; that may also be this program's own write whose answer was lost.
func (g *Gates) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return g.bucket.put(ctx, key, value, revision)
}

// Remove takes the record away as it was at the revision. A newer one stays, and
// one that is not there is no error. Nothing is left behind, not even a mark.
func (g *Gates) Remove(ctx context.Context, key string, revision uint64) error {
	_, on, err := g.bucket.open(ctx)
	if err != nil {
		return err
	}
	subject := "$KV." + event.BucketTriggers + "." + key
	// The sequence named is the first to stay.
	if err := on.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(revision+1)); err != nil {
		return fmt.Errorf("remove %s from %s: %w", key, event.BucketTriggers, err)
	}
	return nil
}

// GateUpdate is a record as Follow sees it.
type GateUpdate struct {
	Key      string
	Value    []byte
	Revision uint64
}

// Follow calls update for every record whose key matches (a subject with
// wildcards, "gate.>"), then synced, then update for each write until ctx ends.
// Removals are not told.
func (g *Gates) Follow(ctx context.Context, keys string, update func(GateUpdate), synced func()) error {
	kv, _, err := g.bucket.open(ctx)
	if err != nil {
		return err
	}
	watcher, err := kv.Watch(ctx, keys, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("follow %s: %w", event.BucketTriggers, err)
	}
	defer func() { _ = watcher.Stop() }() // nothing to do about it
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, ok := <-watcher.Updates():
			switch {
			case ctx.Err() != nil:
				return nil
			case !ok:
				return fmt.Errorf("follow %s: the watch was closed", event.BucketTriggers)
			case entry == nil:
				synced()
			default:
				update(GateUpdate{Key: entry.Key(), Value: entry.Value(), Revision: entry.Revision()})
			}
		}
	}
}
