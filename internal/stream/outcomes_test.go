package stream_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

// Bridges of different namespaces decide on one event at the same time: each one's
// part stays.
func TestDecisionsMerge(t *testing.T) {
	o := stream.NewOutcomes(natstest.Start(t))
	_, _, err := o.Decision(t.Context(), "", "/s", "1", "")
	require.ErrorIs(t, err, stream.ErrNotFound)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			assert.NoError(t, o.Decide(t.Context(), &event.Decision{Source: "/s", ID: "1", Triggers: []event.TriggerDecision{
				{Namespace: fmt.Sprint(i), Trigger: "t", Result: event.ResultStarted, ActionSet: "a"},
			}}))
		})
	}
	group.Wait()
	d, revision, err := o.Decision(t.Context(), "", "/s", "1", "")
	require.NoError(t, err)
	assert.Len(t, d.Triggers, 8)

	// The same again writes nothing; what was started stays.
	require.NoError(t, o.Decide(t.Context(), &event.Decision{Source: "/s", ID: "1", Triggers: []event.TriggerDecision{
		{Namespace: "3", Trigger: "t", Result: event.ResultRejected},
	}}))
	_, again, err := o.Decision(t.Context(), "", "/s", "1", "")
	require.NoError(t, err)
	assert.Equal(t, revision, again)

	// So does what waits, or was started from its window: it is refused only when it is
	// sent again.
	for _, now := range []event.TriggerDecision{
		{Trigger: "w", Result: event.ResultRejected},
		{Trigger: "w", Result: event.ResultWaiting, Window: "w1"},
		{Trigger: "w", Result: event.ResultForbidden},
		{Trigger: "w", Result: event.ResultRejected},
	} {
		require.NoError(t, o.Decide(t.Context(), &event.Decision{Source: "/s", ID: "w", Triggers: []event.TriggerDecision{now}}))
	}
	d, _, err = o.Decision(t.Context(), "", "/s", "w", "")
	require.NoError(t, err)
	assert.Equal(t, []event.TriggerDecision{{Trigger: "w", Result: event.ResultWaiting, Window: "w1"}}, d.Triggers)

	// Nothing matched: that is a decision too, and one of another event.
	require.NoError(t, o.Decide(t.Context(), &event.Decision{Namespace: "n", Source: "/s", ID: "1"}))
	d, _, err = o.Decision(t.Context(), "n", "/s", "1", "")
	require.NoError(t, err)
	assert.Empty(t, d.Triggers)
	assert.NotNil(t, d.Triggers)

	// So is one that another sender sent: it hides nothing.
	require.NoError(t, o.Decide(t.Context(), &event.Decision{Source: "/s", ID: "1", Sender: "mallory"}))
	d, _, err = o.Decision(t.Context(), "", "/s", "1", "mallory")
	require.NoError(t, err)
	assert.Empty(t, d.Triggers)
	d, _, err = o.Decision(t.Context(), "", "/s", "1", "")
	require.NoError(t, err)
	assert.Len(t, d.Triggers, 8)
}

func TestWindowAndWatch(t *testing.T) {
	o := stream.NewOutcomes(natstest.Start(t))
	key := event.WindowKey("u", "k", "/s", "1")
	_, _, err := o.Window(t.Context(), key)
	require.ErrorIs(t, err, stream.ErrNotFound)
	ctx, cancel := context.WithCancel(t.Context())
	changed, err := o.Watch(ctx, key, event.DecisionKey("", "/s", "1", ""))
	require.NoError(t, err)
	require.NoError(t, o.Settle(t.Context(), key, &event.TriggerDecision{Trigger: "t", Result: event.ResultStarted}))
	waitFor(t, changed)
	found, _, err := o.Window(t.Context(), key)
	require.NoError(t, err)
	assert.Equal(t, "t", found.Trigger)
	require.NoError(t, o.Decide(t.Context(), &event.Decision{Source: "/s", ID: "1"}))
	waitFor(t, changed)
	cancel()
	require.Eventually(t, func() bool { _, open := <-changed; return !open }, 3*time.Minute, time.Millisecond)
}

func waitFor(t *testing.T, changed <-chan struct{}) {
	t.Helper()
	select {
	case _, ok := <-changed:
		require.True(t, ok)
	case <-time.After(3 * time.Minute):
		t.Fatal("nothing came")
	}
}

func TestGates(t *testing.T) {
	js := natstest.Start(t)
	g := stream.NewGates(js)
	key := event.GateKey("0b1c", "a key / with * everything")
	value, revision, err := g.Get(t.Context(), key)
	require.NoError(t, err)
	assert.Nil(t, value)
	assert.Zero(t, revision)

	first, err := g.Put(t.Context(), key, []byte("1"), 0)
	require.NoError(t, err)
	_, err = g.Put(t.Context(), key, []byte("x"), 0)
	require.ErrorIs(t, err, stream.ErrConflict)
	second, err := g.Put(t.Context(), key, []byte("2"), first)
	require.NoError(t, err)
	_, err = g.Put(t.Context(), key, []byte("x"), first)
	require.ErrorIs(t, err, stream.ErrConflict)

	// Removing an old revision leaves the newer one; removing the newest leaves
	// nothing at all, and the key can be made anew.
	require.NoError(t, g.Remove(t.Context(), key, first))
	value, _, err = g.Get(t.Context(), key)
	require.NoError(t, err)
	assert.Equal(t, "2", string(value))
	require.NoError(t, g.Remove(t.Context(), key, second))
	require.NoError(t, g.Remove(t.Context(), key, second))
	value, revision, err = g.Get(t.Context(), key)
	require.NoError(t, err)
	assert.Nil(t, value)
	assert.Zero(t, revision)
	s, err := js.Stream(t.Context(), "KV_"+event.BucketTriggers)
	require.NoError(t, err)
	assert.Zero(t, s.CachedInfo().State.Msgs, "no marks")
	_, err = g.Put(t.Context(), key, []byte("lost"), second)
	require.ErrorIs(t, err, stream.ErrConflict, "who has not seen the removal reads again")
	_, err = g.Put(t.Context(), key, []byte("3"), 0)
	require.NoError(t, err)
}

func TestGatesFollow(t *testing.T) {
	g := stream.NewGates(natstest.Start(t))
	put := func(key, value string) {
		_, revision, err := g.Get(t.Context(), key)
		require.NoError(t, err)
		_, err = g.Put(t.Context(), key, []byte(value), revision)
		require.NoError(t, err)
	}
	put(event.GateKey("u", "a"), "1")
	put(event.BaselineKey("u"), "not a gate")
	ctx, cancel := context.WithCancel(t.Context())
	updates, synced, ended := make(chan stream.GateUpdate, 10), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- g.Follow(ctx, "gate.>", func(u stream.GateUpdate) { updates <- u }, func() { close(synced) })
	}()
	<-synced
	assert.Equal(t, event.GateKey("u", "a"), (<-updates).Key)
	put(event.GateKey("u", "a"), "2")
	u := <-updates
	assert.Equal(t, "2", string(u.Value))
	assert.NotZero(t, u.Revision)
	cancel()
	require.NoError(t, <-ended)
}
