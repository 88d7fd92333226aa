package stream_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/broker"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

// fired waits for the next timer that fires.
func fired(t *testing.T, js jetstream.JetStream) *event.Timer {
	t.Helper()
	c, err := stream.NewTimers(js, clock.RealClock{}).Consumer(t.Context(), 30*time.Second)
	require.NoError(t, err)
	msg, err := c.Next(jetstream.FetchMaxWait(3 * time.Minute))
	require.NoError(t, err)
	timer, err := stream.DecodeTimer(msg)
	require.NoError(t, err)
	require.NoError(t, msg.Ack())
	assert.NotEmpty(t, msg.Headers().Get("Nats-TTL"), "what fired would lie there for ever")
	assert.False(t, time.Now().Before(timer.At), "it fired before its time: %s", timer.At)
	return timer
}

func scheduled(t *testing.T, js jetstream.JetStream) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), event.StreamTimers)
	require.NoError(t, err)
	info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(event.TimerSubjects()))
	require.NoError(t, err)
	return uint64(len(info.State.Subjects))
}

func TestTimers(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, js jetstream.JetStream) {
		timers := stream.NewTimers(js, clock.RealClock{})
		soon := time.Now().Add(1500 * time.Millisecond).Truncate(time.Second).Add(900 * time.Millisecond) // cut off, it would be early
		require.NoError(t, timers.Set(t.Context(), "shop", "u1", time.Now().Add(2*time.Hour)))
		require.NoError(t, timers.Set(t.Context(), "shop", "u1", time.Now().Add(time.Hour)))
		require.NoError(t, timers.Set(t.Context(), "shop", "u2", time.Now().Add(time.Hour)))
		assert.EqualValues(t, 2, scheduled(t, js))
		require.NoError(t, timers.Set(t.Context(), "shop", "u1", soon), "the new one takes the place of the old one")
		lies, err := js.Stream(t.Context(), event.StreamTimers)
		require.NoError(t, err)
		later, err := lies.GetLastMsgForSubject(t.Context(), event.TimerSubject("shop", "u2"))
		require.NoError(t, err)
		age, err := time.ParseDuration(later.Header.Get("Nats-TTL"))
		require.NoError(t, err)
		assert.InDelta(t, 2*time.Hour, age, float64(time.Minute), "an hour after its time, should it not fire")
		timer := fired(t, js)
		assert.Equal(t, "u1", timer.UID)
		assert.Equal(t, "shop", timer.Namespace)
		assert.True(t, soon.Equal(timer.At))

		require.NoError(t, timers.Clear(t.Context(), "shop", "u2"))
		require.NoError(t, timers.Clear(t.Context(), "shop", "u2"), "not there")
		assert.Eventually(t, func() bool { return scheduled(t, js) == 0 }, 3*time.Minute, 50*time.Millisecond, "nothing is left")
		require.NoError(t, timers.Set(t.Context(), "shop", "u1", time.Now().Add(-time.Hour)))
		assert.Equal(t, "u1", fired(t, js).UID, "a time that has passed, and a run that had a timer before")
	})
}

// TestTimersSurviveARestart: one that became due while no server was there fires
// late, and one that is not due yet when it is.
func TestTimersSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, err := broker.Start(t.Context(), broker.Options{StoreDir: dir, NoSync: true})
	require.NoError(t, err)
	nc, err := b.Connect()
	require.NoError(t, err)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	require.NoError(t, stream.Ensure(t.Context(), js, stream.DefaultSettings()))
	due := time.Now().Add(time.Second)
	require.NoError(t, stream.NewTimers(js, clock.RealClock{}).Set(t.Context(), "shop", "due", due))
	require.NoError(t, stream.NewTimers(js, clock.RealClock{}).Set(t.Context(), "shop", "later", due.Add(3*time.Second)))
	nc.Close()
	b.Stop()
	require.Eventually(t, func() bool { return time.Now().After(due.Add(time.Second)) }, 3*time.Minute, 50*time.Millisecond)
	js = natstest.StartIn(t, dir)
	// If the start took long, both were due.
	assert.ElementsMatch(t, []string{"due", "later"}, []string{fired(t, js).UID, fired(t, js).UID})
}

func TestATimerThatNamesNoRun(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t)
	c, err := stream.NewTimers(js, clock.RealClock{}).Consumer(t.Context(), 30*time.Second)
	require.NoError(t, err)
	e, err := event.NewTimerEvent(&event.Timer{At: time.Now()})
	require.NoError(t, err)
	for _, m := range []func() *nats.Msg{
		func() *nats.Msg {
			m, err := stream.Encode(event.FiredSubject("n", "u"), e)
			require.NoError(t, err)
			return m
		},
		func() *nats.Msg { return &nats.Msg{Subject: event.FiredSubject("n", "v"), Data: []byte("{}")} },
	} {
		_, err = js.PublishMsg(t.Context(), m())
		require.NoError(t, err)
		msg, err := c.Next(jetstream.FetchMaxWait(3 * time.Minute))
		require.NoError(t, err)
		_, err = stream.DecodeTimer(msg)
		require.Error(t, err)
	}
}
