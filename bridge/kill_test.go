package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/stream"
)

var errKilled = errors.New("the bridge is dead")

// fate kills a bridge at one of its effects: before it, or after it and before the
// answer came. From then on nothing that the bridge does has an effect.
type fate struct {
	mu sync.Mutex
	// at is the kind of effect at which it strikes, after left of them have passed.
	at    string
	left  int
	after bool
	dead  bool
}

func (f *fate) meets(what string, do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return errKilled
	}
	if what == f.at {
		f.left--
	}
	if f.left >= 0 {
		return do()
	}
	f.dead = true
	if f.after {
		if err := do(); err != nil {
			return err
		}
	}
	return errKilled
}

// doomedJS is the client of a bridge that has a fate.
type doomedJS struct {
	jetstream.JetStream

	fate *fate
}

func (d doomedJS) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	kv, err := d.JetStream.KeyValue(ctx, bucket)
	return doomedKV{KeyValue: kv, fate: d.fate, name: bucket}, err
}

type doomedKV struct {
	jetstream.KeyValue

	fate *fate
	name string
}

func (d doomedKV) Create(ctx context.Context, key string, value []byte, opts ...jetstream.KVCreateOpt) (revision uint64, err error) {
	err = d.fate.meets("create in "+d.name, func() (err error) { revision, err = d.KeyValue.Create(ctx, key, value, opts...); return err })
	return revision, err
}

func (d doomedKV) Update(ctx context.Context, key string, value []byte, last uint64) (revision uint64, err error) {
	err = d.fate.meets("update in "+d.name, func() (err error) { revision, err = d.KeyValue.Update(ctx, key, value, last); return err })
	return revision, err
}

func (d doomedKV) Put(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	err = d.fate.meets("put in "+d.name, func() (err error) { revision, err = d.KeyValue.Put(ctx, key, value); return err })
	return revision, err
}

// A bridge that is killed at any of its effects, before or after it, makes one
// ActionSet of a window: none is lost and none is made twice.
func TestKilledAtEachBoundary(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"create in TRIGGERS", "update in TRIGGERS", "create in OUTCOMES", "put in OUTCOMES", "make an ActionSet"} {
		for _, nth := range []int{0, 1} {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s number %d after %v", at, nth, after), func(t *testing.T) {
					t.Parallel()
					killedAt(t, &fate{at: at, left: nth, after: after}, nth == 0)
				})
			}
		}
	}
}

// killedAt has a bridge meet its fate, surely or perhaps, and another one go on.
func killedAt(t *testing.T, f *fate, surely bool) {
	t.Helper()
	w := newWorld(t, nil)
	w.counts.fate = f
	w.wrap = func(js jetstream.JetStream) jetstream.JetStream { return doomedJS{JetStream: js, fate: f} }
	w.start()
	w.trigger("t", "t.a", func(t *salvor.ActionTrigger) { t.Spec.Coalesce = "300ms" })
	w.ready("t", "Watching")
	w.publish("1", "t.a", nil)
	w.publish("2", "t.a", nil)
	killed := func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.dead
	}
	require.Eventually(t, func() bool { return killed() || !surely && w.settled("1") && w.settled("2") }, patience, tick)
	w.stop()
	w.counts.fate, w.wrap = nil, nil
	w.start()
	one, two := w.decision("1"), w.decision("2")
	assert.Equal(t, event.ResultStarted, one.Result)
	assert.Equal(t, event.ResultStarted, two.Result)
	w.drained()
	total := 0
	for _, as := range w.actionSets() {
		total += events(&as)
	}
	assert.Equal(t, 2, total, "each event counts once")
	if one == two {
		assert.Len(t, w.actionSets(), 1)
	}
}

// settled says that an event's end is known.
func (w *world) settled(id string) bool {
	outcomes := stream.NewOutcomes(w.js)
	d, _, err := outcomes.Decision(w.t.Context(), w.namespace, "/shop", id, "")
	if err != nil || len(d.Triggers) == 0 {
		return false
	}
	_, _, err = outcomes.Window(w.t.Context(), d.Triggers[0].Window)
	return err == nil
}

// Two bridges that share the events of a storm count each of them once and make one
// ActionSet of each window. One goes away in the middle of one; the other sees to it.
func TestTwoBridgesShareAStorm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	other := *w
	other.counts = &counter{}
	other.start()
	w.trigger("t", "t.a", func(t *salvor.ActionTrigger) { t.Spec.Coalesce = "1s" })
	w.ready("t", "Watching")
	const n = 1500
	begun := time.Now()
	for i := range n {
		w.publish(fmt.Sprint(i+1), "t.a", nil)
		if i == n/2 {
			other.stop()
		}
		if i%100 == 0 {
			time.Sleep(100 * time.Millisecond) // the pace of the storm: nothing waits for this
		}
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		total := 0
		for _, as := range w.actionSets() {
			total += events(&as)
		}
		assert.Equal(c, n, total)
	}, 3*patience, 10*tick)
	w.drained()
	took := time.Since(begun)
	t.Logf("%d events in %s: %d runs", n, took.Round(time.Millisecond), len(w.actionSets()))
	assert.LessOrEqual(t, len(w.actionSets()), int(took/time.Second)+3)
}
