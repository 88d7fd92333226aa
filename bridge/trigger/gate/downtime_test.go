package gate_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/trigger/gate"
)

// An event that was written but not acknowledged when everything died comes again when
// it is back, however long that took: it must not start a second ActionSet.
func TestEventComesAgainAfterALongTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	rules := &gate.Rules{Coalesce: time.Second, Name: func(identity string) string { return "as-" + identity }}
	e := &gate.Event{Source: "/s", ID: "1", Type: "t", Sequence: 1, At: now}
	s := &gate.State{}
	first := s.Arrive(rules, e, now)
	now = now.Add(time.Second)
	todo := s.Turn(rules, false, now)
	require.Len(t, todo.Start, 1)
	s.Started(rules, todo.Start[0].Name, now)
	s.Turn(rules, false, now)

	now = now.Add(100 * gate.Memory)
	rules.Since = now
	todo = s.Turn(rules, false, now)
	assert.True(t, todo.Next.After(now), "it is looked at when there is something to forget")
	again := s.Arrive(rules, e, now)
	assert.False(t, again.Fresh)
	assert.Equal(t, first.Answer, again.Answer)

	s.Turn(rules, false, now.Add(gate.Memory))
	assert.True(t, s.Idle(), "it is forgotten in the end")
}

// An event that is sent again while its own ActionSet runs means that one, however long
// that takes: it is not refused for it, and does not replace it.
func TestEventIsKnownWhileItsActionSetRuns(t *testing.T) {
	t.Parallel()
	for _, policy := range []salvor.ConcurrencyPolicy{salvor.ConcurrencyForbid, salvor.ConcurrencyReplace} {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		rules := &gate.Rules{Concurrency: policy, Name: func(identity string) string { return "as-" + identity }}
		e := gate.Event{Source: "/s", ID: "1", Type: "t", Sequence: 1, At: now}
		s := &gate.State{}
		first := s.Arrive(rules, &e, now)
		name := s.Turn(rules, false, now).Start[0].Name
		s.Started(rules, name, now)

		now = now.Add(4 * gate.Memory)
		s.Turn(rules, false, now)
		data, err := s.Encode()
		require.NoError(t, err)
		s, err = gate.Decode(data)
		require.NoError(t, err)
		e.Sequence = 9
		again := s.Arrive(rules, &e, now)
		assert.False(t, again.Fresh, policy)
		assert.Equal(t, first.Answer, again.Answer, policy)
		assert.Empty(t, s.Turn(rules, false, now).Cancel, policy)

		s.Ended(name)
		s.Turn(rules, false, now.Add(gate.Memory))
		assert.True(t, s.Idle(), "%s: it is forgotten in the end", policy)
	}
}
