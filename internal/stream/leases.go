package stream

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
)

// Holder names who claims. Name is stable over restarts of the same runner (a
// StatefulSet's pod name), Incarnation is new at each start: a new incarnation
// may take over at once what an earlier one of the same name held.
type Holder struct {
	Name        string `json:"name"`
	Incarnation string `json:"incarnation"`
}

// markTTL is how long cancel and started marks stay.
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

// Lease is a claim that is held until it runs out, is released or lost.
type Lease struct {
	leases   *Leases
	key      string
	value    []byte
	ttl      time.Duration
	revision uint64
}

// claimed is what a claim's key holds. ID is new for each claim, so that a claim
// knows its own writes from those of any other, of the same holder too.
type claimed struct {
	Holder

	ID string `json:"id"`
}

// Claim takes the job for ttl (whole seconds, at least 1 s). While another
// runner holds it, ErrHeld is returned.
func (l *Leases) Claim(ctx context.Context, k event.Key, h Holder, ttl time.Duration) (*Lease, error) {
	value, err := json.Marshal(claimed{Holder: h, ID: rand.Text()})
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", k, err)
	}
	lease := &Lease{leases: l, key: event.ClaimKey(k), value: value, ttl: ttl}
	revision, err := l.kv.Create(ctx, lease.key, value, jetstream.KeyTTL(ttl))
	if err == nil {
		lease.revision = revision
		return lease, nil
	}
	if !errors.Is(err, jetstream.ErrKeyExists) && !isConflict(err) {
		return nil, fmt.Errorf("claim %s: %w", k, err)
	}
	entry, err := l.kv.Get(ctx, lease.key)
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", k, ErrHeld)
	}
	var held Holder
	if err := json.Unmarshal(entry.Value(), &held); err != nil || held.Name != h.Name || held.Incarnation == h.Incarnation {
		return nil, fmt.Errorf("claim %s, held by %s: %w", k, held.Name, ErrHeld)
	}
	lease.revision = entry.Revision()
	if err := lease.Renew(ctx); err != nil {
		return nil, fmt.Errorf("claim %s: %w", k, ErrHeld)
	}
	return lease, nil
}

// Renew holds the claim for another ttl. If it ran out or somebody took it over,
// ErrLost is returned, and the work must stop without a report.
func (l *Lease) Renew(ctx context.Context) error {
	err := l.write(ctx)
	if !errors.Is(err, ErrLost) {
		return err
	}
	// The last write may have been stored and its answer lost: then the newer
	// revision is this claim's own.
	entry, getErr := l.leases.kv.Get(ctx, l.key)
	switch {
	case errors.Is(getErr, jetstream.ErrKeyNotFound):
		return err
	case getErr != nil:
		return fmt.Errorf("renew %s: see who holds it: %w", l.key, getErr)
	case !bytes.Equal(entry.Value(), l.value):
		return err
	}
	l.revision = entry.Revision()
	if err := l.write(ctx); err != nil {
		// What was read may be old; ErrLost would be final.
		return fmt.Errorf("renew %s again: %v", l.key, err) //nolint:errorlint // see above
	}
	return nil
}

func (l *Lease) write(ctx context.Context) error {
	ack, err := l.leases.js.Publish(ctx, "$KV."+event.BucketLeases+"."+l.key, l.value,
		jetstream.WithMsgTTL(l.ttl), jetstream.WithExpectLastSequencePerSubject(l.revision))
	if isConflict(err) {
		return fmt.Errorf("%s: %w", l.key, ErrLost)
	}
	if err != nil {
		return fmt.Errorf("renew %s: %w", l.key, err)
	}
	l.revision = ack.Sequence
	return nil
}

// Release gives the claim up. A claim that is lost already is no error.
func (l *Lease) Release(ctx context.Context) error {
	err := l.leases.kv.Purge(ctx, l.key, jetstream.LastRevision(l.revision), jetstream.PurgeTTL(time.Minute))
	if err != nil && !isConflict(err) {
		return fmt.Errorf("release %s: %w", l.key, err)
	}
	return nil
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
