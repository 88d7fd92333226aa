package locationtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/salvor-io/salvor/internal/location"
	"github.com/salvor-io/salvor/internal/profile"
)

// Harness is one store under test.
type Harness struct {
	// Profile returns a valid profile of a new, empty bucket with that prefix.
	Profile func(t *testing.T, prefix string) *profile.Profile
	// Objects returns the sorted keys in the bucket of p, seen without package
	// location, so that a mistake there does not hide itself.
	Objects func(t *testing.T, p *profile.Profile) []string
	// Pending returns what unfinished writes have left; nil if a store cannot tell.
	Pending func(t *testing.T, p *profile.Profile) []string
	// WrongCredential spoils the credential of p and returns the secret value in
	// it; nil if the store has no credentials.
	WrongCredential func(p *profile.Profile) string
	// FlatKeys says that both a/b and a/b/c can be objects.
	FlatKeys bool
}

// Run runs the whole suite against a store.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Harness){
		"round trip":              roundTrip,
		"empty object":            emptyObject,
		"64 MiB":                  large,
		"short reads":             shortReads,
		"replace":                 replace,
		"missing object":          missingObject,
		"missing bucket":          missingBucket,
		"prefix join":             prefixJoin,
		"unicode keys":            unicodeKeys,
		"special keys":            specialKeys,
		"bad paths":               badPaths,
		"delete":                  deleteOne,
		"delete below":            deleteBelow,
		"delete many":             deleteMany,
		"delete without path":     deleteWithoutPath,
		"failed reader":           failedReader,
		"failed reader, replaced": failedReplace,
		"cancelled push":          cancelledPush,
		"wrong credential":        wrongCredential,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, h)
		})
	}
}

func open(t *testing.T, p *profile.Profile) *location.Location {
	t.Helper()
	l, err := location.Open(t.Context(), p)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

func start(t *testing.T, h Harness) (*location.Location, *profile.Profile) {
	t.Helper()
	p := h.Profile(t, "")
	return open(t, p), p
}

func push(t *testing.T, l *location.Location, path, data string) {
	t.Helper()
	n, err := l.Push(t.Context(), path, strings.NewReader(data))
	require.NoError(t, err)
	require.EqualValues(t, len(data), n)
}

func pull(t *testing.T, l *location.Location, path string) string {
	t.Helper()
	var out bytes.Buffer
	n, err := l.Pull(t.Context(), path, &out)
	require.NoError(t, err)
	require.EqualValues(t, out.Len(), n)
	return out.String()
}

func roundTrip(t *testing.T, h Harness) {
	t.Helper()
	l, p := start(t, h)
	push(t, l, "dir/object.gz", "hello")
	assert.Equal(t, []string{"dir/object.gz"}, h.Objects(t, p))
	assert.Equal(t, "hello", pull(t, l, "dir/object.gz"))
	assert.Equal(t, "hello", pull(t, l, "/dir//object.gz"), "slashes do not make another object")
}

func emptyObject(t *testing.T, h Harness) {
	t.Helper()
	l, p := start(t, h)
	push(t, l, "empty", "")
	assert.Equal(t, []string{"empty"}, h.Objects(t, p))
	assert.Empty(t, pull(t, l, "empty"))
}

// random returns size bytes that no store can compress, always the same.
func random(size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{1}), size)
}

func large(t *testing.T, h Harness) {
	t.Helper()
	const size = 64<<20 + 1
	l, _ := start(t, h)
	sent, got := sha256.New(), sha256.New()
	n, err := l.Push(t.Context(), "large", io.TeeReader(random(size), sent))
	require.NoError(t, err)
	require.EqualValues(t, size, n)
	n, err = l.Pull(t.Context(), "large", got)
	require.NoError(t, err)
	require.EqualValues(t, size, n)
	assert.Equal(t, hex.EncodeToString(sent.Sum(nil)), hex.EncodeToString(got.Sum(nil)))
}

// choppy gives r in pieces, as a pipe does: of all sizes, also of none.
type choppy struct {
	r   io.Reader
	rng *rand.Rand
}

func (c *choppy) Read(p []byte) (int, error) {
	most := []int{0, 1, 511, 4 << 10, 64 << 10}[c.rng.IntN(5)]
	return c.r.Read(p[:min(most, len(p))])
}

// What a pipe gives in one Read is not all of it: not a byte may be lost at the
// seams of pieces, parts and the end.
func shortReads(t *testing.T, h Harness) {
	t.Helper()
	l, _ := start(t, h)
	for _, size := range []int64{1, 65537, 8<<20 - 1, 8 << 20, 8<<20 + 1, 20<<20 + 12345} {
		sent, got := sha256.New(), sha256.New()
		pieces := &choppy{r: io.TeeReader(random(size), sent), rng: rand.New(rand.NewPCG(1, 2))}
		n, err := l.Push(t.Context(), "choppy", pieces)
		require.NoError(t, err)
		require.Equal(t, size, n)
		n, err = l.Pull(t.Context(), "choppy", got)
		require.NoError(t, err)
		require.Equal(t, size, n)
		assert.Equal(t, hex.EncodeToString(sent.Sum(nil)), hex.EncodeToString(got.Sum(nil)), "of %d bytes", size)
	}
}

func replace(t *testing.T, h Harness) {
	t.Helper()
	l, p := start(t, h)
	push(t, l, "a", "a longer first version")
	push(t, l, "a", "second")
	assert.Equal(t, "second", pull(t, l, "a"))
	assert.Equal(t, []string{"a"}, h.Objects(t, p))
}

func missingObject(t *testing.T, h Harness) {
	t.Helper()
	l, p := start(t, h)
	push(t, l, "dir/there", "x")
	for _, path := range []string{"not/there", "dir"} {
		var out bytes.Buffer
		_, err := l.Pull(t.Context(), path, &out)
		require.ErrorIs(t, err, location.ErrNotExist)
		require.ErrorContains(t, err, path)
		require.ErrorContains(t, err, p.Location.Bucket)
		require.ErrorContains(t, err, "check")
		assert.Zero(t, out.Len())
	}
}

// A bucket that is not there fails everything, also a delete: it says that the
// profile is wrong, not that there is nothing to do.
func missingBucket(t *testing.T, h Harness) {
	t.Helper()
	p := h.Profile(t, "")
	p.Location.Bucket += "-missing"
	l, err := location.Open(t.Context(), p)
	if err != nil {
		require.ErrorContains(t, err, p.Location.Bucket)
		return
	}
	_, err = l.Push(t.Context(), "a", strings.NewReader("x"))
	require.ErrorContains(t, err, p.Location.Bucket)
	_, err = l.Pull(t.Context(), "a", io.Discard)
	require.ErrorContains(t, err, p.Location.Bucket)
	_, err = l.Delete(t.Context(), "a")
	require.ErrorContains(t, err, p.Location.Bucket)
	require.NoError(t, l.Close())
}

func prefixJoin(t *testing.T, h Harness) {
	t.Helper()
	p := h.Profile(t, "/team/one/")
	l := open(t, p)
	push(t, l, "/app/dump", "x")
	assert.Equal(t, []string{"team/one/app/dump"}, h.Objects(t, p))
	assert.Equal(t, "x", pull(t, l, "app/dump"))
	n, err := l.Delete(t.Context(), "app")
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Empty(t, h.Objects(t, p))
}

func unicodeKeys(t *testing.T, h Harness) {
	t.Helper()
	l, p := start(t, h)
	keys := []string{"Äpfel/größe.sql", "with space/a+b&c=d", "数据库/备份", "2026-08-21T10:11:12.123Z"}
	for _, key := range keys {
		push(t, l, key, key)
	}
	slices.Sort(keys)
	assert.Equal(t, keys, h.Objects(t, p))
	for _, key := range keys {
		assert.Equal(t, key, pull(t, l, key))
		n, err := l.Delete(t.Context(), key)
		require.NoError(t, err)
		assert.Equal(t, 1, n)
	}
	assert.Empty(t, h.Objects(t, p))
}

// Characters that mean something in a URL. A store may write them in another way
// into the name, but what is written is found again, and only that.
func specialKeys(t *testing.T, h Harness) {
	t.Helper()
	l, p := start(t, h)
	keys := []string{"50%/a?b#c", "50%25/a%3Fb", `quo"te`, `back\slash`, "__0x2f__x"}
	for _, key := range keys {
		push(t, l, key, key)
	}
	assert.Len(t, h.Objects(t, p), len(keys))
	for _, key := range keys {
		assert.Equal(t, key, pull(t, l, key))
		n, err := l.Delete(t.Context(), key)
		require.NoError(t, err)
		assert.Equal(t, 1, n)
	}
	assert.Empty(t, h.Objects(t, p))
}

func badPaths(t *testing.T, h Harness) {
	t.Helper()
	l, p := start(t, h)
	for path, want := range map[string]string{
		"":                        "empty",
		"/":                       "empty",
		"../other":                `".."`,
		"a/../../b":               `".."`,
		"line\nbreak":             "control character",
		"not \xff utf8":           "not UTF-8",
		strings.Repeat("a", 1025): "1025 bytes",
	} {
		_, err := l.Push(t.Context(), path, strings.NewReader("x"))
		require.ErrorContains(t, err, want)
		_, err = l.Delete(t.Context(), path)
		require.Error(t, err, "delete of %q", path)
	}
	assert.Empty(t, h.Objects(t, p))
}

func deleteOne(t *testing.T, h Harness) {
	t.Helper()
	l, p := start(t, h)
	push(t, l, "a/b", "x")
	push(t, l, "a/bc", "y")
	n, err := l.Delete(t.Context(), "a/b")
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, []string{"a/bc"}, h.Objects(t, p))

	n, err = l.Delete(t.Context(), "a/b")
	require.NoError(t, err, "what is gone can be deleted again")
	assert.Zero(t, n)
}

func deleteBelow(t *testing.T, h Harness) {
	t.Helper()
	l, p := start(t, h)
	want := 3
	for _, key := range []string{"a/b/1", "a/b/2", "a/b/deep/3", "a/bc", "a/bc2/4", "b"} {
		push(t, l, key, "x")
	}
	if h.FlatKeys {
		push(t, l, "a/b", "x")
		want++
	}
	n, err := l.Delete(t.Context(), "a/b")
	require.NoError(t, err)
	assert.Equal(t, want, n)
	assert.Equal(t, []string{"a/bc", "a/bc2/4", "b"}, h.Objects(t, p))
}

// deleteMany needs more than one page of a listing.
func deleteMany(t *testing.T, h Harness) {
	t.Helper()
	l, p := start(t, h)
	const count = 1005
	var g errgroup.Group
	g.SetLimit(16)
	for i := range count {
		g.Go(func() error {
			_, err := l.Push(t.Context(), "many/"+strings.Repeat("0", i%3)+hex.EncodeToString([]byte{byte(i >> 8), byte(i)}), strings.NewReader(""))
			return err
		})
	}
	require.NoError(t, g.Wait())
	push(t, l, "other", "x")
	n, err := l.Delete(t.Context(), "many")
	require.NoError(t, err)
	assert.Equal(t, count, n)
	assert.Equal(t, []string{"other"}, h.Objects(t, p))
}

func deleteWithoutPath(t *testing.T, h Harness) {
	t.Helper()
	p := h.Profile(t, "team")
	l := open(t, p)
	push(t, l, "a", "x")
	_, err := l.Delete(t.Context(), "")
	require.ErrorContains(t, err, "path is empty")
	assert.Equal(t, []string{"team/a"}, h.Objects(t, p))
}

var errBroken = errors.New("the pipe broke")

// broken gives size bytes and then an error.
func broken(size int64) io.Reader {
	return io.MultiReader(random(size), failing{})
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

func failedReader(t *testing.T, h Harness) {
	t.Helper()
	l, p := start(t, h)
	// In the first bytes, in the first part, and after some parts.
	for _, size := range []int64{0, 100, 1 << 20, 40 << 20} {
		n, err := l.Push(t.Context(), "dir/dump", broken(size))
		require.ErrorIs(t, err, errBroken)
		require.Equal(t, size, n)
		require.ErrorContains(t, err, "dir/dump")
		assert.Empty(t, h.Objects(t, p), "after %d bytes", size)
	}
	nothingPending(t, h, p)
}

func failedReplace(t *testing.T, h Harness) {
	t.Helper()
	l, _ := start(t, h)
	push(t, l, "dump", "the one before")
	_, err := l.Push(t.Context(), "dump", broken(20<<20))
	require.ErrorIs(t, err, errBroken)
	assert.Equal(t, "the one before", pull(t, l, "dump"))
}

func cancelledPush(t *testing.T, h Harness) {
	t.Helper()
	l, p := start(t, h)
	ctx, cancel := context.WithCancel(t.Context())
	data := io.MultiReader(random(40<<20), onRead(cancel), random(40<<20))
	_, err := l.Push(ctx, "dump", data)
	require.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, h.Objects(t, p))
	nothingPending(t, h, p)
}

// onRead calls f when it is read, and is empty.
type onRead func()

func (f onRead) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

func nothingPending(t *testing.T, h Harness, p *profile.Profile) {
	t.Helper()
	if h.Pending != nil {
		assert.Empty(t, h.Pending(t, p), "unfinished uploads are left")
	}
}

func wrongCredential(t *testing.T, h Harness) {
	t.Helper()
	if h.WrongCredential == nil {
		t.Skip("the store has no credentials")
	}
	p := h.Profile(t, "")
	canary := h.WrongCredential(p)
	l := open(t, p)
	_, pushErr := l.Push(t.Context(), "a", strings.NewReader("x"))
	_, largeErr := l.Push(t.Context(), "b", random(20<<20))
	_, pullErr := l.Pull(t.Context(), "a", io.Discard)
	_, deleteErr := l.Delete(t.Context(), "a")
	for op, err := range map[string]error{"push": pushErr, "large push": largeErr, "pull": pullErr, "delete": deleteErr} {
		require.Error(t, err, op)
		require.NotErrorIs(t, err, location.ErrNotExist, op)
		assert.Contains(t, err.Error(), "credential", op)
		assert.Contains(t, err.Error(), p.Location.Bucket, op)
		assert.NotContains(t, err.Error(), canary, op)
		assert.NotContains(t, err.Error(), "\n", op)
	}
}
