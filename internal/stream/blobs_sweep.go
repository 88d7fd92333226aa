package stream

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
)

// The names under which an object store lies on its stream (NATS ADR-20): the
// description of an object is one message, the content is in others.
const (
	blobStream = "OBJ_" + event.BucketBlobs
	blobMeta   = "$O." + event.BucketBlobs + ".M."
	blobChunks = "$O." + event.BucketBlobs + ".C."
)

// listTimeout bounds the listing of contents.
const listTimeout = time.Minute

// Older returns the digests of the contents that were put last before then.
func (b *Blobs) Older(ctx context.Context, then time.Time) ([]string, error) {
	store, err := b.js.ObjectStore(ctx, event.BucketBlobs)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", event.BucketBlobs, err)
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	all, err := store.List(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil, fmt.Errorf("list bucket %s: %w", event.BucketBlobs, err)
	}
	var digests []string
	for _, info := range all {
		if info.ModTime.Before(then) {
			digests = append(digests, info.Name)
		}
	}
	return digests, nil
}

// Remove removes a content, unless it was put again since then; it reports
// whether it did.
//
// Put by another process may run beside it. Both write the content's description
// on the condition that it is the one they saw: Put to make it young, Remove to
// mark it deleted before it takes the content away. So one of the two learns of the
// other, also when a replica that lags behind answered its question.
func (b *Blobs) Remove(ctx context.Context, digest string, then time.Time) (bool, error) {
	stream, err := b.js.Stream(ctx, blobStream)
	if err != nil {
		return false, fmt.Errorf("open bucket %s: %w", event.BucketBlobs, err)
	}
	last, err := lastMeta(ctx, stream, digest)
	if err != nil || last == nil || last.info.Deleted || !last.Time.Before(then) {
		return false, err
	}
	deleted := last.info
	deleted.Deleted, deleted.Size, deleted.Chunks, deleted.Digest = true, 0, 0, ""
	data, err := json.Marshal(deleted)
	if err != nil {
		return false, fmt.Errorf("content %s: encode its description: %w", digest, err)
	}
	marked, err := b.replaceMeta(ctx, last, data)
	if isConflict(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("remove content %s from %s: %w", digest, event.BucketBlobs, err)
	}
	for _, gone := range [][]jetstream.StreamPurgeOpt{
		{jetstream.WithPurgeSubject(blobChunks + deleted.NUID)},
		// The mark itself, unless something was put in its place.
		{jetstream.WithPurgeSubject(last.Subject), jetstream.WithPurgeSequence(marked + 1)},
	} {
		if err := stream.Purge(ctx, gone...); err != nil {
			return false, fmt.Errorf("remove content %s from %s: %w", digest, event.BucketBlobs, err)
		}
	}
	return true, nil
}

// touch makes a content that is there as young as if it had been put now. It
// reports false if the content is not there, or may just be going.
func (b *Blobs) touch(ctx context.Context, digest string) (bool, error) {
	stream, err := b.js.Stream(ctx, blobStream)
	if err != nil {
		return false, fmt.Errorf("open bucket %s: %w", event.BucketBlobs, err)
	}
	last, err := lastMeta(ctx, stream, digest)
	if err != nil || last == nil || last.info.Deleted {
		return false, err
	}
	_, err = b.replaceMeta(ctx, last, last.Data)
	if err == nil {
		return true, nil
	}
	if !isConflict(err) {
		return false, fmt.Errorf("touch content %s in %s: %w", digest, event.BucketBlobs, err)
	}
	// Removed, or put by another one a moment ago.
	now, err := lastMeta(ctx, stream, digest)
	return now != nil && !now.info.Deleted && now.Sequence > last.Sequence, err
}

// meta is the description of a content, which says which chunks are it.
type meta struct {
	*jetstream.RawStreamMsg
	info jetstream.ObjectInfo
}

// replaceMeta writes a description on the condition that the last one is the one
// that was seen, and returns its sequence.
func (b *Blobs) replaceMeta(ctx context.Context, seen *meta, data []byte) (uint64, error) {
	msg := nats.NewMsg(seen.Subject)
	msg.Data = data
	msg.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	ack, err := b.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(seen.Sequence))
	if err != nil {
		return 0, err // the callers do
	}
	return ack.Sequence, nil
}

// lastMeta is the description of a content, nil if there is none.
func lastMeta(ctx context.Context, stream jetstream.Stream, digest string) (*meta, error) {
	last, err := stream.GetLastMsgForSubject(ctx, blobMeta+base64.URLEncoding.EncodeToString([]byte(digest)))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for content %s in %s: %w", digest, event.BucketBlobs, err)
	}
	found := &meta{RawStreamMsg: last}
	if err := json.Unmarshal(last.Data, &found.info); err != nil || found.info.NUID == "" {
		return nil, fmt.Errorf("content %s: its description in %s: %w", digest, event.BucketBlobs, ErrMalformed)
	}
	return found, nil
}
