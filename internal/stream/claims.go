package stream

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
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

// Lease is a claim that is held until it runs out, is released or lost.
type Lease struct {
	leases   *Leases
	key      string
	value    []byte
	ttl      time.Duration
	revision uint64
	loss     *Loss
}

// Loss is what a claim shows of the one before it, which nobody released.
type Loss struct {
	// Runner that held it; empty when the claim ran out before it was taken over.
	Runner string
}

// Loss tells whether the claim before this one ended without being released. That
// is known for the first minute after it ran out: then its marker goes.
func (l *Lease) Loss() (Loss, bool) {
	if l.loss == nil {
		return Loss{}, false
	}
	return *l.loss, true
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
	err = lease.write(ctx) // on the condition that there was nothing
	if !errors.Is(err, ErrLost) {
		if err != nil {
			return nil, fmt.Errorf("claim %s: %w", k, err)
		}
		return lease, nil
	}
	if err := lease.follow(ctx, h); err != nil {
		return nil, fmt.Errorf("claim %s: %w", k, err)
	}
	if err := lease.Renew(ctx); err != nil {
		return nil, fmt.Errorf("claim %s: %w", k, ErrHeld)
	}
	return lease, nil
}

// follow looks at what a claim would follow: one that was released, one that ran
// out, or one of an earlier incarnation. Any other claim is ErrHeld.
func (l *Lease) follow(ctx context.Context, h Holder) error {
	last, err := l.leases.last(ctx, l.key)
	if err != nil {
		return fmt.Errorf("see who holds it: %w", err)
	}
	if last == nil { // its marker went just now
		return ErrHeld
	}
	l.revision = last.Sequence
	switch {
	case last.Header.Get(jetstream.MarkerReasonHeader) != "":
		l.loss = &Loss{}
		return nil
	case deleted(last.Header):
		return nil
	}
	var held Holder
	if err := json.Unmarshal(last.Data, &held); err != nil || held.Name != h.Name || held.Incarnation == h.Incarnation {
		return fmt.Errorf("held by %q: %w", held.Name, ErrHeld)
	}
	l.loss = &Loss{Runner: held.Name}
	return nil
}

// last returns the last message of a key, also one that marks its end; nil if
// there is none.
func (l *Leases) last(ctx context.Context, key string) (*jetstream.RawStreamMsg, error) {
	s, err := l.js.Stream(ctx, "KV_"+event.BucketLeases)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", event.BucketLeases, err)
	}
	last, err := s.GetLastMsgForSubject(ctx, subjectOf(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	return last, err
}

func subjectOf(key string) string { return "$KV." + event.BucketLeases + "." + key }

func deleted(h nats.Header) bool { return h.Get("KV-Operation") != "" }

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
	ack, err := l.leases.js.Publish(ctx, subjectOf(l.key), l.value,
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
