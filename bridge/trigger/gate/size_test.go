package gate_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/bridge/trigger/gate"
)

// mostRecord is the largest message that the stream takes.
const mostRecord = 1<<20 - 64<<10

// TestRecordFitsIntoAMessage: one that does not is never written, and no event of the
// trigger is acknowledged any more.
func TestRecordFitsIntoAMessage(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	rules := &gate.Rules{Starts: 1000, Per: time.Minute, Name: func(identity string) string { return "as-" + identity }}
	event := func(n int, body string) *gate.Event {
		return &gate.Event{Source: "/shop/orders", ID: fmt.Sprint(n), Type: "com.example.order", Sequence: uint64(n), At: start, Body: []byte(body)}
	}
	body := `"` + strings.Repeat("x", 60_000) + `"`

	t.Run("a burst of large events below the rate limit", func(t *testing.T) {
		t.Parallel()
		s := &gate.State{Owner: gate.Owner{Namespace: "n", Trigger: "t", UID: "u"}}
		for n := range 1000 {
			require.Empty(t, s.Arrive(rules, event(n+1, body), start).Rejected)
		}
		todo := s.Turn(rules, false, start)
		data, err := s.Encode()
		require.NoError(t, err)
		assert.Less(t, len(data), mostRecord)
		require.Len(t, todo.Start, 1000)
		assert.NotEmpty(t, todo.Start[0].Window.Last.Body, "what there is room for is kept")
	})
	t.Run("many that each had an answer of its own", func(t *testing.T) {
		t.Parallel()
		s := &gate.State{Owner: gate.Owner{Namespace: "n", Trigger: "t", UID: "u"}}
		now := start
		for n := range 10_000 {
			now = now.Add(61*time.Millisecond + 123457)
			require.Empty(t, s.Arrive(rules, event(n+1, `"x"`), now).Rejected)
			for _, a := range s.Turn(rules, false, now).Start {
				s.Started(rules, a.Name, now)
			}
		}
		data, err := s.Encode()
		require.NoError(t, err)
		assert.Less(t, len(data), mostRecord)
		assert.False(t, s.Arrive(rules, event(10_000, `"x"`), now).Fresh, "what came last is known")
	})
}
