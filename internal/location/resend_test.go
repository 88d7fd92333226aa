package location

import (
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/fixture/azuretest"
	"github.com/salvor-io/salvor/internal/fixture/fronttest"
	"github.com/salvor-io/salvor/internal/fixture/gcstest"
	"github.com/salvor-io/salvor/internal/profile"
)

// store is one of the three, with the uploads that are left in it after a failure.
type store struct {
	p       *profile.Profile
	pending func() []string
}

func stores(t *testing.T) map[string]store {
	t.Helper()
	s3, s3Profile := start(t)
	azure := azuretest.Start(t)
	azure.CreateContainer(t, "backups")
	gcs := gcstest.Start(t)
	gcs.CreateBucket(t, "backups")
	gcsProfile := gcs.Profile(t, "backups", "")
	gcsProfile.Location.Endpoint = gcs.Spool(t)
	nothing := func() []string { return nil }
	return map[string]store{
		"s3":    {s3Profile, func() []string { return s3.Uploads(t, "backups") }},
		"azure": {azure.Profile("backups", ""), nothing},
		"gcs":   {gcsProfile, nothing},
	}
}

// Each protocol on a network as networks are.
func TestNetwork(t *testing.T) {
	t.Parallel()
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("TLS", func(t *testing.T) { t.Parallel(); overTLS(t, s.p) })
			t.Run("breaks", func(t *testing.T) { t.Parallel(); overABreakingNetwork(t, s) })
		})
	}
}

// overABreakingNetwork: it breaks again and again, in the middle of parts and after
// the store has taken one but before its answer: what arrives is what was sent.
func overABreakingNetwork(t *testing.T, s store) {
	t.Helper()
	front := fronttest.Breaking(t, s.p.Location.Endpoint, func(conn int) fronttest.Tear {
		// Each later than the one before; a store with one connection at a time
		// meets as many as one with three.
		if conn > 9 {
			return fronttest.Tear{}
		}
		return fronttest.Tear{Sent: int64(conn) * 1_700_001, Answer: conn%2 == 0}
	})
	broken := *s.p
	broken.Location.Endpoint = front.Endpoint
	sent, got := sha256.New(), sha256.New()
	const size = 50<<20 + 3
	n, err := openProfile(t, &broken).Push(t.Context(), "dump", io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{5}), size), sent))
	require.NoError(t, err)
	require.EqualValues(t, size, n)
	assert.Greater(t, front.Connections(), 4, "the network did break")
	n, err = openProfile(t, s.p).Pull(t.Context(), "dump", got)
	require.NoError(t, err)
	require.EqualValues(t, size, n)
	assert.Equal(t, sent.Sum(nil), got.Sum(nil))
	assert.NotContains(t, s.pending(), "dump")
}

// The object has been made and the answer to that is lost: the second request finds
// no such upload, and the push has succeeded all the same.
func TestLostAnswerToTheLastRequest(t *testing.T) {
	t.Parallel()
	server, p := start(t)
	s3 := proxy(t, server)
	var lost atomic.Bool
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		finish := r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
		if !finish || lost.Swap(true) {
			s3.ServeHTTP(w, r)
			return
		}
		s3.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(front.Close)
	p.Location.Endpoint = front.URL
	_, err := openProfile(t, p).Push(t.Context(), "dump", io.LimitReader(rand.NewChaCha8([32]byte{6}), 20<<20))
	require.NoError(t, err)
	assert.True(t, lost.Load())
	assert.Equal(t, []string{"dump"}, server.Objects(t, "backups"))
	assert.Empty(t, server.Uploads(t, "backups"))
}

// A store that is down for a while, longer than the SDK tries.
func TestAStoreThatComesBack(t *testing.T) {
	t.Parallel()
	server, p := start(t)
	s3 := proxy(t, server)
	var refused atomic.Int32
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("partNumber") == "2" && refused.Add(1) <= 4 {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		s3.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	p.Location.Endpoint = front.URL
	u := newUploader(newS3Store(s3Client(t, openProfile(t, p)), "backups"))
	u.first = time.Millisecond
	require.NoError(t, u.upload(t.Context(), "dump", io.LimitReader(rand.NewChaCha8([32]byte{6}), 20<<20)))
	assert.Greater(t, refused.Load(), int32(4))
	assert.Equal(t, []string{"dump"}, server.Objects(t, "backups"))
}

// A killed process leaves parts that show nowhere; a delete of the path, or of one
// above it, takes them along, and leaves those of a neighbour alone.
func TestDeleteTakesUnfinishedUploads(t *testing.T) {
	t.Parallel()
	server, p := start(t)
	l := openProfile(t, p)
	store := newS3Store(s3Client(t, l), "backups")
	for _, key := range []string{"a/b", "a/b/c", "a/bc"} {
		upload, err := store.begin(t.Context(), key)
		require.NoError(t, err)
		require.NoError(t, upload.send(t.Context(), 1, []byte("x")))
	}
	require.Len(t, server.Uploads(t, "backups"), 3)
	n, err := l.Delete(t.Context(), "a/b")
	require.NoError(t, err)
	assert.Zero(t, n)
	assert.Equal(t, []string{"a/bc"}, server.Uploads(t, "backups"))
}
