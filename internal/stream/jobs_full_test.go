package stream_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/stream"
)

// TestJobsNoRoomIsNotQueued: the server's code is the same for a job that is queued
// and for one for which it has no room.
func TestJobsNoRoomIsNotQueued(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, js jetstream.JetStream) {
		s, err := js.Stream(t.Context(), event.StreamJobs)
		require.NoError(t, err)
		config := s.CachedInfo().Config
		config.MaxMsgs = 1
		_, err = js.UpdateStream(t.Context(), config)
		require.NoError(t, err)
		jobs := stream.NewJobs(js, clock.RealClock{})
		first := &event.Job{Key: event.Key{UID: "u1", Namespace: "shop", Kind: event.KindCore, Attempt: 1}}
		second := &event.Job{Key: event.Key{UID: "u2", Namespace: "shop", Kind: event.KindCore, Attempt: 1}}
		require.NoError(t, jobs.Publish(t.Context(), event.DefaultPool, first, ""))
		require.ErrorIs(t, jobs.Publish(t.Context(), event.DefaultPool, first, ""), stream.ErrExists)
		err = jobs.Publish(t.Context(), event.DefaultPool, second, "")
		require.ErrorIs(t, err, stream.ErrFull)
		require.NotErrorIs(t, err, stream.ErrExists)
	})
}
