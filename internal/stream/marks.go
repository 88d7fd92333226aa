package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
)

// PodMark returns the UID of the pod that was marked as the attempt's, or as that of
// a part of it, or nothing.
func (l *Leases) PodMark(ctx context.Context, k event.Key, part string) (string, error) {
	key := event.PodKey(k, part)
	entry, err := l.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read mark %s: %w", key, err)
	}
	return string(entry.Value()), nil
}

// MarkPod records the pod of an attempt, or of a part of it, by its UID. Marking the same pod again is
// no error; if another one is marked, ErrExists is returned.
func (l *Leases) MarkPod(ctx context.Context, k event.Key, part, uid string) error {
	key := event.PodKey(k, part)
	err := l.mark(ctx, key, []byte(uid))
	if !errors.Is(err, ErrExists) {
		return err
	}
	// A replicated bucket refuses what an unfinished write, perhaps our own, would
	// make untrue. That nothing can be read is no answer then.
	entry, getErr := l.kv.Get(ctx, key)
	switch {
	case getErr != nil:
		return fmt.Errorf("mark %s: see what is marked: %w", key, getErr)
	case string(entry.Value()) == uid:
		return nil
	}
	return err
}

// ForgetPod takes the mark of an attempt away whose end was reported, or of a part of
// it, so that the bucket does not grow with every phase that ever ran. That there is
// none is no error.
func (l *Leases) ForgetPod(ctx context.Context, k event.Key, part string) error {
	key := event.PodKey(k, part)
	if err := l.kv.Purge(ctx, key, jetstream.PurgeTTL(time.Minute)); err != nil {
		return fmt.Errorf("take mark %s away: %w", key, err)
	}
	return nil
}

// Crashes are the losses of runners that worked on an attempt.
type Crashes struct {
	// Lost are all of them, oldest first.
	Lost []event.Crash `json:"lost"`
	// Excused are those that were none, by the id that their runner gave: it was cut
	// off or frozen, and came back.
	Excused []string `json:"excused,omitempty"`
	// Proved is set once the job has run for a while as the only suspect of its
	// runner, which counts for it once.
	Proved bool `json:"proved,omitempty"`
}

// Count is how many losses the job is suspected of.
func (c *Crashes) Count() int {
	n := len(c.Lost) - len(c.Excused)
	if c.Proved {
		n--
	}
	return max(n, 0)
}

// Crashes returns the losses counted so far.
func (l *Leases) Crashes(ctx context.Context, k event.Key) (*Crashes, error) {
	crashes, _, err := l.crashes(ctx, k)
	return crashes, err
}

func (l *Leases) crashes(ctx context.Context, k event.Key) (*Crashes, uint64, error) {
	c := &Crashes{}
	last, err := l.last(ctx, event.CrashKey(k))
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", event.CrashKey(k), err)
	}
	if last == nil {
		return c, 0, nil
	}
	if !deleted(last.Header) && last.Header.Get(jetstream.MarkerReasonHeader) == "" {
		if err := json.Unmarshal(last.Data, c); err != nil {
			return nil, 0, fmt.Errorf("read %s: %w", event.CrashKey(k), err)
		}
	}
	return c, last.Sequence, nil
}

// ChangeCrashes changes the record of an attempt's losses and returns what it is
// then. If somebody else changes it at the same time, ErrConflict is returned; call
// again.
func (l *Leases) ChangeCrashes(ctx context.Context, k event.Key, change func(*Crashes)) (*Crashes, error) {
	c, revision, err := l.crashes(ctx, k)
	if err != nil {
		return nil, err
	}
	change(c)
	value, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", event.CrashKey(k), err)
	}
	_, err = l.js.Publish(ctx, subjectOf(event.CrashKey(k)), value,
		jetstream.WithMsgTTL(markTTL), jetstream.WithExpectLastSequencePerSubject(revision))
	if isConflict(err) {
		return nil, fmt.Errorf("%s: %w", event.CrashKey(k), ErrConflict)
	}
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", event.CrashKey(k), err)
	}
	return c, nil
}
