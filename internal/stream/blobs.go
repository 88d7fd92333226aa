package stream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
)

// Blobs keeps JSON by digest.
type Blobs struct {
	js jetstream.JetStream
}

// NewBlobs returns the store.
func NewBlobs(js jetstream.JetStream) *Blobs { return &Blobs{js: js} }

// Put encodes v and returns a Payload: inline up to event.InlineLimit bytes,
// stored under its digest above. Putting the same content again stores nothing,
// but makes it young again for Older and Remove.
func (b *Blobs) Put(ctx context.Context, v any) (event.Payload, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return event.Payload{}, fmt.Errorf("encode content: %w", err)
	}
	payload := event.Payload{Digest: "sha256:" + hash(string(data)), Size: len(data)}
	if len(data) <= event.InlineLimit {
		payload.Inline = data
		return payload, nil
	}
	return payload, b.store(ctx, payload.Digest, data)
}

// Spill moves what a payload holds inline to the store, for a message that many
// small payloads together make too large.
func (b *Blobs) Spill(ctx context.Context, p event.Payload) (event.Payload, error) {
	if len(p.Inline) == 0 {
		return p, nil
	}
	data := []byte(p.Inline)
	p = event.Payload{Digest: "sha256:" + hash(string(data)), Size: len(data)}
	return p, b.store(ctx, p.Digest, data)
}

func (b *Blobs) store(ctx context.Context, digest string, data []byte) error {
	store, err := b.js.ObjectStore(ctx, event.BucketBlobs)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", event.BucketBlobs, err)
	}
	if there, err := b.touch(ctx, digest); there || err != nil {
		return err
	}
	if _, err := store.PutBytes(ctx, digest, data); err != nil {
		return fmt.Errorf("store %d bytes in %s: %w", len(data), event.BucketBlobs, err)
	}
	return nil
}

// Get decodes a payload's content into v. If the content is gone, ErrNotFound is
// returned; if it is not what the digest says, an error.
func (b *Blobs) Get(ctx context.Context, p event.Payload, into any) error {
	data := []byte(p.Inline)
	if len(data) == 0 {
		store, err := b.js.ObjectStore(ctx, event.BucketBlobs)
		if err != nil {
			return fmt.Errorf("open bucket %s: %w", event.BucketBlobs, err)
		}
		data, err = store.GetBytes(ctx, p.Digest)
		if errors.Is(err, jetstream.ErrObjectNotFound) {
			return fmt.Errorf("content %s: %w", p.Digest, ErrNotFound)
		}
		if err != nil {
			return fmt.Errorf("read content %s: %w", p.Digest, err)
		}
		if "sha256:"+hash(string(data)) != p.Digest {
			return fmt.Errorf("content %s is damaged: its digest differs", p.Digest)
		}
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("decode content %s: %w", p.Digest, err)
	}
	return nil
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
