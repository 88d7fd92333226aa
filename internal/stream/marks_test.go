package stream_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

// A claim tells whether the one before it was released.
func TestClaimAfterALoss(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, js jetstream.JetStream) {
		leases, err := stream.NewLeases(t.Context(), js)
		require.NoError(t, err)
		claim := func(name, incarnation string, ttl time.Duration) (lease *stream.Lease) {
			require.Eventually(t, func() bool {
				var err error
				lease, err = leases.Claim(t.Context(), key(1), stream.Holder{Name: name, Incarnation: incarnation}, ttl)
				return err == nil
			}, 3*time.Minute, 20*time.Millisecond)
			return lease
		}
		first := claim("a", "1", time.Minute)
		_, lost := first.Loss()
		assert.False(t, lost, "nobody was before it")
		require.NoError(t, first.Release(t.Context()))

		second := claim("a", "1", time.Minute)
		_, lost = second.Loss()
		assert.False(t, lost, "handed over")

		third := claim("a", "2", time.Second)
		loss, lost := third.Loss()
		assert.True(t, lost)
		assert.Equal(t, "a", loss.Runner, "its process was started anew")

		fourth := claim("b", "1", time.Minute)
		loss, lost = fourth.Loss()
		assert.True(t, lost, "the claim ran out")
		assert.Empty(t, loss.Runner)
		require.NoError(t, fourth.Renew(t.Context()))
		_, lost = fourth.Loss()
		assert.True(t, lost)
	})
}

func TestPodMarks(t *testing.T) {
	t.Parallel()
	leases, err := stream.NewLeases(t.Context(), natstest.Start(t))
	require.NoError(t, err)
	mark := func(n int) string {
		uid, err := leases.PodMark(t.Context(), key(n), "")
		require.NoError(t, err)
		return uid
	}
	assert.Empty(t, mark(1))
	require.NoError(t, leases.MarkPod(t.Context(), key(1), "", "one"))
	require.NoError(t, leases.MarkPod(t.Context(), key(1), "", "one"), "said again because the answer was lost")
	require.ErrorIs(t, leases.MarkPod(t.Context(), key(1), "", "two"), stream.ErrExists)
	assert.Equal(t, "one", mark(1))
	assert.Empty(t, mark(2))
	require.NoError(t, leases.MarkPod(t.Context(), key(1), "db-0", "three"), "each part has a mark of its own")
	require.NoError(t, leases.ForgetPod(t.Context(), key(1), ""))
	part, err := leases.PodMark(t.Context(), key(1), "db-0")
	require.NoError(t, err)
	assert.Equal(t, "three", part)
	require.NoError(t, leases.ForgetPod(t.Context(), key(2), ""), "there is none")
	assert.Empty(t, mark(1))
}

func TestCrashes(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, js jetstream.JetStream) {
		leases, err := stream.NewLeases(t.Context(), js)
		require.NoError(t, err)
		c, err := leases.Crashes(t.Context(), key(1))
		require.NoError(t, err)
		assert.Zero(t, c.Count())
		for i := range 3 {
			c, err = leases.ChangeCrashes(t.Context(), key(1), func(c *stream.Crashes) { c.Lost = append(c.Lost, event.Crash{Runner: "r"}) })
			require.NoError(t, err)
			assert.Equal(t, i+1, c.Count())
		}
		_, err = leases.ChangeCrashes(t.Context(), key(1), func(c *stream.Crashes) {
			_, err := leases.ChangeCrashes(t.Context(), key(1), func(c *stream.Crashes) { c.Excused = append(c.Excused, "x") })
			require.NoError(t, err)
		})
		require.ErrorIs(t, err, stream.ErrConflict)
		c, err = leases.ChangeCrashes(t.Context(), key(1), func(c *stream.Crashes) { c.Proved = true })
		require.NoError(t, err)
		assert.Equal(t, 1, c.Count())
		assert.Len(t, c.Lost, 3)
		c, err = leases.Crashes(t.Context(), key(2))
		require.NoError(t, err)
		assert.Zero(t, c.Count(), "of another attempt")
	})
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, js jetstream.JetStream) {
		letters := stream.NewDeadLetters(js)
		all, err := letters.List(t.Context())
		require.NoError(t, err)
		assert.Empty(t, all)
		at := time.Unix(1000, 0).UTC()
		poison := event.DeadLetter{Key: key(1), ActionSet: "a", At: at, Reason: "lost 3 times", Crashes: []event.Crash{{Runner: "r", At: at}}}
		require.NoError(t, letters.Publish(t.Context(), &poison))
		require.NoError(t, letters.Publish(t.Context(), &poison), "again is no error, and no second letter")
		require.NoError(t, letters.Publish(t.Context(), &event.DeadLetter{At: at, Reason: "broken", Subject: "s", Message: bytes.Repeat([]byte("x"), 100<<10)}))
		require.NoError(t, letters.Publish(t.Context(), &event.DeadLetter{At: at, Reason: "broken", Subject: "s", Message: []byte("another")}))
		_, err = js.Publish(t.Context(), event.DeadLetterSubject("", ""), []byte("nonsense"))
		require.NoError(t, err)

		all, err = letters.List(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 4)
		assert.Equal(t, poison, all[0].DeadLetter)
		assert.Len(t, all[1].Message, 64<<10)
		assert.Equal(t, "another", string(all[2].Message))
		assert.Contains(t, all[3].Reason, "cannot be read itself")
		one, err := letters.Get(t.Context(), all[2].Number)
		require.NoError(t, err)
		assert.Equal(t, all[2], *one)
		_, err = letters.Get(t.Context(), 1000)
		require.ErrorIs(t, err, stream.ErrNotFound)
	})
}
