package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
)

// Outcomes keeps for a day what became of events.
type Outcomes struct {
	bucket bucket
}

// NewOutcomes returns the store. Nothing is contacted before its first use.
func NewOutcomes(js jetstream.JetStream) *Outcomes {
	return &Outcomes{bucket: bucket{js: js, name: event.BucketOutcomes}}
}

// Decide writes what triggers did with an event. What another bridge wrote about
// other triggers stays; of one trigger, an ActionSet that was started, or the window in
// which the event waits, is not forgotten for what came later.
func (o *Outcomes) Decide(ctx context.Context, d *event.Decision) error {
	key := event.DecisionKey(d.Namespace, d.Source, d.ID, d.Sender)
	for {
		old, revision, err := o.decision(ctx, key)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		merged := merge(old, d)
		if old != nil && slices.Equal(old.Triggers, merged.Triggers) {
			return nil
		}
		value, err := json.Marshal(merged)
		if err != nil {
			return fmt.Errorf("encode the decision on event %s: %w", d.ID, err)
		}
		if _, err = o.bucket.put(ctx, key, value, revision); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

func merge(old, d *event.Decision) *event.Decision {
	out := *d
	if out.Triggers == nil {
		out.Triggers = []event.TriggerDecision{}
	}
	if old == nil {
		return &out
	}
	out.Triggers = slices.Clone(old.Triggers)
	for _, next := range d.Triggers {
		at := slices.IndexFunc(out.Triggers, func(t event.TriggerDecision) bool {
			return t.Namespace == next.Namespace && t.Trigger == next.Trigger
		})
		switch {
		case at < 0:
			out.Triggers = append(out.Triggers, next)
		case !taken(out.Triggers[at].Result) || next.Result == event.ResultStarted ||
			(next.Result == event.ResultWaiting && out.Triggers[at].Result == event.ResultWaiting):
			out.Triggers[at] = next
		}
	}
	return &out
}

// taken says that an event started something, or will: its window says what.
func taken(r event.Result) bool { return r == event.ResultStarted || r == event.ResultWaiting }

// Decision returns what became of an event that was addressed to a namespace, ""
// for all, by a sender, "" if nobody was asked, and the revision of the record.
// ErrNotFound says that nothing is decided yet, or that there is no such event.
func (o *Outcomes) Decision(ctx context.Context, namespace, source, id, sender string) (*event.Decision, uint64, error) {
	return o.decision(ctx, event.DecisionKey(namespace, source, id, sender))
}

func (o *Outcomes) decision(ctx context.Context, key string) (*event.Decision, uint64, error) {
	var d event.Decision
	revision, err := o.read(ctx, key, &d)
	if err != nil {
		return nil, 0, err
	}
	return &d, revision, nil
}

// Settle writes what became of events that waited together. Writing it again is
// harmless.
func (o *Outcomes) Settle(ctx context.Context, window string, d *event.TriggerDecision) error {
	value, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode the outcome of %s: %w", window, err)
	}
	kv, _, err := o.bucket.open(ctx)
	if err != nil {
		return err
	}
	if _, err := kv.Put(ctx, window, value); err != nil {
		return fmt.Errorf("write %s to %s: %w", window, event.BucketOutcomes, err)
	}
	return nil
}

// Window returns what became of events that waited together, by the Window of their
// TriggerDecision, and the revision of the record. ErrNotFound says that they wait
// still.
func (o *Outcomes) Window(ctx context.Context, window string) (*event.TriggerDecision, uint64, error) {
	var d event.TriggerDecision
	revision, err := o.read(ctx, window, &d)
	if err != nil {
		return nil, 0, err
	}
	return &d, revision, nil
}

func (o *Outcomes) read(ctx context.Context, key string, into any) (uint64, error) {
	value, revision, err := o.bucket.get(ctx, key)
	switch {
	case err != nil:
		return 0, err
	case value == nil:
		return 0, fmt.Errorf("%s in %s: %w", key, event.BucketOutcomes, ErrNotFound)
	}
	if err := json.Unmarshal(value, into); err != nil {
		return 0, fmt.Errorf("%w: %s in %s: %w", ErrMalformed, key, event.BucketOutcomes, err)
	}
	return revision, nil
}

// Watch returns a channel that has something in it after each write of one of the
// keys (event.DecisionKey, TriggerDecision.Window), writes of before the call
// included. It is closed when ctx ends or the watch breaks.
func (o *Outcomes) Watch(ctx context.Context, keys ...string) (<-chan struct{}, error) {
	kv, _, err := o.bucket.open(ctx)
	if err != nil {
		return nil, err
	}
	watcher, err := kv.WatchFiltered(ctx, keys, jetstream.IgnoreDeletes(), jetstream.MetaOnly())
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", event.BucketOutcomes, err)
	}
	changed := make(chan struct{}, 1)
	go func() {
		defer close(changed)
		defer func() { _ = watcher.Stop() }() // ctx has ended; nothing to do about it
		for {
			select {
			case <-ctx.Done():
				return
			case entry, ok := <-watcher.Updates():
				if !ok {
					return
				}
				if entry == nil {
					continue // that was what there was before
				}
				select {
				case changed <- struct{}{}:
				default:
				}
			}
		}
	}()
	return changed, nil
}
