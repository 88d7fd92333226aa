package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// bucket opens a bucket when it is needed first: nothing is contacted before.
type bucket struct {
	js   jetstream.JetStream
	name string
	mu   sync.Mutex
	kv   jetstream.KeyValue
	on   jetstream.Stream
}

func (b *bucket) open(ctx context.Context) (jetstream.KeyValue, jetstream.Stream, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kv != nil {
		return b.kv, b.on, nil
	}
	kv, err := b.js.KeyValue(ctx, b.name)
	if err != nil {
		return nil, nil, fmt.Errorf("open bucket %s: %w", b.name, err)
	}
	on, err := b.js.Stream(ctx, prefixKV+b.name)
	if err != nil {
		return nil, nil, fmt.Errorf("open bucket %s: %w", b.name, err)
	}
	b.kv, b.on = kv, on
	return kv, on, nil
}

// get returns a value and its revision, read from the leader; nil and 0 if there is
// none.
func (b *bucket) get(ctx context.Context, key string) ([]byte, uint64, error) {
	kv, _, err := b.open(ctx)
	if err != nil {
		return nil, 0, err
	}
	entry, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read %s in %s: %w", key, b.name, err)
	}
	return entry.Value(), entry.Revision(), nil
}

// put writes a value on the condition that the last revision is revision, 0 for
// none, and returns the new one.
func (b *bucket) put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	kv, _, err := b.open(ctx)
	if err != nil {
		return 0, err
	}
	var written uint64
	if revision == 0 {
		written, err = kv.Create(ctx, key, value)
	} else {
		written, err = kv.Update(ctx, key, value, revision)
	}
	if errors.Is(err, jetstream.ErrKeyExists) || isConflict(err) {
		return 0, fmt.Errorf("%s in %s at revision %d: %w", key, b.name, revision, ErrConflict)
	}
	if err != nil {
		return 0, fmt.Errorf("write %s to %s: %w", key, b.name, err)
	}
	return written, nil
}
