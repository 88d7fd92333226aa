package stream_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/stream"
)

func large(letter string) map[string]string {
	return map[string]string{"x": strings.Repeat(letter, event.InlineLimit*40)}
}

// messages is how many messages the bucket holds, contents and descriptions.
func messages(t *testing.T, js jetstream.JetStream) int {
	t.Helper()
	found, err := js.Stream(t.Context(), "OBJ_"+event.BucketBlobs)
	require.NoError(t, err)
	return int(found.CachedInfo().State.Msgs)
}

func TestBlobsAreRemovedWhenTheyAreOld(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, js jetstream.JetStream) {
		blobs := stream.NewBlobs(js)
		none, err := blobs.Older(t.Context(), time.Now().Add(time.Hour))
		require.NoError(t, err)
		assert.Empty(t, none)

		a, err := blobs.Put(t.Context(), large("a"))
		require.NoError(t, err)
		b, err := blobs.Put(t.Context(), large("b"))
		require.NoError(t, err)
		between := putAt(t, js, b.Digest) // a is older than that
		old, err := blobs.Older(t.Context(), between)
		require.NoError(t, err)
		assert.Equal(t, []string{a.Digest}, old)

		removed, err := blobs.Remove(t.Context(), b.Digest, between)
		require.NoError(t, err)
		assert.False(t, removed, "it is younger")

		// Putting it again stores nothing and makes it young.
		before := messages(t, js)
		_, err = blobs.Put(t.Context(), large("a"))
		require.NoError(t, err)
		assert.Equal(t, before, messages(t, js))
		removed, err = blobs.Remove(t.Context(), a.Digest, between)
		require.NoError(t, err)
		assert.False(t, removed, "it was put again after it was listed")
		var back map[string]string
		require.NoError(t, blobs.Get(t.Context(), a, &back))
		assert.Equal(t, large("a"), back)

		for _, digest := range []string{a.Digest, b.Digest} {
			removed, err = blobs.Remove(t.Context(), digest, time.Now().Add(time.Hour))
			require.NoError(t, err)
			assert.True(t, removed)
			removed, err = blobs.Remove(t.Context(), digest, time.Now().Add(time.Hour))
			require.NoError(t, err)
			assert.False(t, removed, "it is gone")
		}
		assert.Zero(t, messages(t, js), "nothing stays, no mark either")
		require.ErrorIs(t, blobs.Get(t.Context(), a, &back), stream.ErrNotFound)

		again, err := blobs.Put(t.Context(), large("a"))
		require.NoError(t, err)
		require.NoError(t, blobs.Get(t.Context(), again, &back))
	})
}

func putAt(t *testing.T, js jetstream.JetStream, digest string) time.Time {
	t.Helper()
	store, err := js.ObjectStore(t.Context(), event.BucketBlobs)
	require.NoError(t, err)
	info, err := store.GetInfo(t.Context(), digest)
	require.NoError(t, err)
	return info.ModTime
}

// Whatever the order in which a removal and a put of the same content meet, the
// content is there whole when the put came after, or it is all gone.
func TestBlobsRemovedWhileTheyArePut(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, js jetstream.JetStream) {
		blobs := stream.NewBlobs(js)
		payload, err := blobs.Put(t.Context(), large("a"))
		require.NoError(t, err)
		for range 10 {
			then := putAt(t, js, payload.Digest).Add(time.Nanosecond) // it is old, what comes now is not
			var both sync.WaitGroup
			both.Go(func() {
				_, err := blobs.Remove(t.Context(), payload.Digest, then)
				assert.NoError(t, err)
			})
			both.Go(func() {
				_, err := blobs.Put(t.Context(), large("a"))
				assert.NoError(t, err)
			})
			both.Wait()
			// A replica may lag behind.
			require.EventuallyWithT(t, func(c *assert.CollectT) {
				var back map[string]string
				assert.NoError(c, blobs.Get(t.Context(), payload, &back))
				assert.Equal(c, large("a"), back)
			}, 3*time.Minute, time.Millisecond)
		}
	})
}
