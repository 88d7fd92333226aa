package chronicle_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/internal/kandocmd/chronicle"
	"github.com/salvor-io/salvor/internal/location"
	"github.com/salvor-io/salvor/internal/profile"
)

// patience is for a loaded machine; nothing waits that long when all is well.
const patience = 2 * time.Minute

// world is a store, and the files a chronicle reads.
type world struct {
	t                      *testing.T
	store, profile, path   string
	env                    string
	clock                  *clocktesting.FakeClock
	push                   *chronicle.Push
	location               *location.Location
	log                    *bytes.Buffer
	ended                  chan error
	stop                   context.CancelFunc
	profileText, pathInUse string
}

func newWorld(t *testing.T, command ...string) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{
		t: t, store: t.TempDir(), profile: filepath.Join(dir, "profile"), path: filepath.Join(dir, "path"), env: filepath.Join(dir, "env"),
		clock: clocktesting.NewFakeClock(time.Unix(1, 0)), log: &bytes.Buffer{}, ended: make(chan error, 1), pathInUse: "dir/name",
	}
	p := &profile.Profile{Location: profile.Location{Type: profile.LocationFilestore, Bucket: w.store, Prefix: "pre"}}
	text, err := json.Marshal(p)
	require.NoError(t, err)
	w.profileText = string(text)
	w.location, err = location.Open(t.Context(), p)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, w.location.Close()) })
	w.push = &chronicle.Push{
		ProfilePath: w.profile, ArtifactPath: w.path, EnvDir: w.env, Frequency: time.Minute,
		Command: command, Stderr: w.log, Clock: w.clock,
	}
	return w
}

// configure writes the two files.
func (w *world) configure() {
	w.write(w.profile, w.profileText)
	w.write(w.path, w.pathInUse+"\n")
}

func (w *world) write(name, text string) {
	w.t.Helper()
	require.NoError(w.t, os.WriteFile(name, []byte(text), 0o600))
}

func (w *world) start() {
	ctx, stop := context.WithCancel(zerolog.New(zerolog.NewTestWriter(w.t)).WithContext(w.t.Context()))
	w.stop = stop
	go func() { w.ended <- w.push.Run(ctx) }()
	w.t.Cleanup(func() { stop(); w.t.Logf("the chronicle has ended: %v", <-w.ended) })
}

// round waits for the end of a run, and begins the next.
func (w *world) round() {
	w.t.Helper()
	w.settled()
	w.clock.Step(time.Minute)
}

func (w *world) settled() {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		select {
		case err := <-w.ended:
			w.ended <- err
			require.NoError(w.t, err)
		default:
		}
		return w.clock.HasWaiters()
	}, patience, time.Millisecond)
}

// end waits for the error that ends the chronicle.
func (w *world) end() error {
	err := <-w.ended
	w.ended <- nil
	return err
}

// objects are the files of the store and what is in them. No run may be under way.
func (w *world) objects() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	require.NoError(w.t, filepath.WalkDir(w.store, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(w.store, path)
		all[name] = string(text)
		return err
	}))
	return all
}

// The objects are those of Kanister: the manifest is the path without the prefix,
// and has no newline.
func TestWhatIsStored(t *testing.T) {
	t.Parallel()
	counter := filepath.Join(t.TempDir(), "counter")
	w := newWorld(t, "echo x >>", counter+";", "wc -l <", counter)
	w.configure()
	w.start()
	w.settled()
	assert.Equal(t, map[string]string{"pre/dir/name": "dir/name-0", "pre/dir/name-0": "1\n"}, w.objects())
	w.clock.Step(59 * time.Second)
	w.settled()
	assert.Contains(t, w.objects(), "pre/dir/name-0", "before its time")
	w.clock.Step(time.Second)
	w.round()
	w.settled()
	assert.Len(t, w.objects(), 2)
	assert.Equal(t, "dir/name-2", w.objects()["pre/dir/name"])
	assert.Equal(t, "3\n", w.objects()["pre/dir/name-2"])

	data, err := chronicle.Manifest(t.Context(), w.location, "dir/name")
	require.NoError(t, err)
	assert.Equal(t, "dir/name-2", data)
	w.stop()
	require.NoError(t, w.end(), "the end between two runs is none of an error")
}

// A chronicle that starts anew, also in the place of Kanister's, goes on where the
// manifest is, and leaves nothing behind.
func TestItContinues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "echo new")
	w.configure()
	push := func(path, text string) {
		_, err := w.location.Push(t.Context(), path, strings.NewReader(text))
		require.NoError(t, err)
	}
	push("dir/name", "dir/name-57")
	push("dir/name-57", "old")
	push("dir/name-5", "somebody else's")
	push("dir/name-570", "somebody else's")
	w.start()
	w.settled()
	assert.Equal(t, map[string]string{
		"pre/dir/name": "dir/name-58", "pre/dir/name-58": "new\n",
		"pre/dir/name-5": "somebody else's", "pre/dir/name-570": "somebody else's",
	}, w.objects())
}

// What is no manifest is replaced, and what it names is not touched.
func TestAnObjectThatIsNoManifest(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"other/name-3", "dir/name-03", "dir/name--1", "dir/name-x", "", strings.Repeat("x", 5000)} {
		t.Run(fmt.Sprintf("%.12q", text), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "echo new")
			w.configure()
			_, err := w.location.Push(t.Context(), "dir/name", strings.NewReader(text))
			require.NoError(t, err)
			_, err = w.location.Push(t.Context(), "other/name-3", strings.NewReader("keep"))
			require.NoError(t, err)
			w.start()
			w.settled()
			assert.Equal(t, map[string]string{"pre/dir/name": "dir/name-0", "pre/dir/name-0": "new\n", "pre/other/name-3": "keep"}, w.objects())
		})
	}
}

// The files may come later, and change.
func TestFilesThatComeLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "echo data")
	w.start()
	w.settled()
	assert.Empty(t, w.objects())
	w.write(w.profile, w.profileText)
	w.round()
	w.settled()
	assert.Empty(t, w.objects(), "there is no path yet")
	w.write(w.path, "")
	w.round()
	w.settled()
	assert.Empty(t, w.objects(), "the path is empty: Kanister would write to -0")
	w.write(w.path, "first\n")
	w.round()
	w.settled()
	assert.Len(t, w.objects(), 2)
	w.write(w.path, "second")
	w.round()
	w.settled()
	assert.Len(t, w.objects(), 4)
	assert.Equal(t, "first-0", w.objects()["pre/first"], "the artifact of before is still whole")
	assert.Equal(t, "data\n", w.objects()["pre/first-0"])
	w.write(w.profile, "{")
	w.round()
	require.ErrorContains(t, w.end(), "--profile-path")
}

// A command that fails stores nothing, and ends the chronicle as Kanister's does.
func TestACommandThatFails(t *testing.T) {
	t.Parallel()
	flag := filepath.Join(t.TempDir(), "flag")
	w := newWorld(t, "echo data; echo why >&2; [ ! -e", flag, "]")
	w.configure()
	w.start()
	w.settled()
	before := w.objects()
	w.write(flag, "")
	w.clock.Step(time.Minute)
	err := w.end()
	require.ErrorContains(t, err, "the command failed: exit status 1")
	assert.Equal(t, before, w.objects())
	assert.Equal(t, "why\nwhy\n", w.log.String())
}

// SIGTERM during a run ends the command and what it started; the manifest stays.
func TestTheEndDuringARun(t *testing.T) {
	t.Parallel()
	started := filepath.Join(t.TempDir(), "started")
	w := newWorld(t, "echo half; sleep 1000 & echo $! >", started+".tmp; mv", started+".tmp", started+"; wait")
	w.configure()
	w.start()
	require.Eventually(t, func() bool { _, err := os.Stat(started); return err == nil }, patience, time.Millisecond)
	w.stop()
	require.Error(t, w.end())
	assert.Empty(t, w.objects())
	text, err := os.ReadFile(started)
	require.NoError(t, err)
	child := strings.TrimSpace(string(text))
	require.Eventually(t, func() bool {
		status, err := os.ReadFile("/proc/" + child + "/status")
		return err != nil || strings.Contains(string(status), "State:\tZ")
	}, patience, time.Millisecond, "the child of the shell lives on")
}

// The command has the environment of kando, and one variable for each file.
func TestEnvDir(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `printf '%s|%s|%s' "$PLAIN" "$LINKED" "${PATH:+has a path}"`)
	w.configure()
	hidden := filepath.Join(w.env, "..data")
	require.NoError(t, os.MkdirAll(hidden, 0o700))
	w.write(filepath.Join(w.env, "PLAIN"), "two\nlines\n")
	w.write(filepath.Join(hidden, "LINKED"), "of a Secret")
	require.NoError(t, os.Symlink(filepath.Join("..data", "LINKED"), filepath.Join(w.env, "LINKED")))
	// An update of a Secret is under way: what a name led to is gone already.
	require.NoError(t, os.Symlink("..gone", filepath.Join(w.env, "..data_tmp")))
	w.start()
	w.settled()
	assert.Equal(t, "two\nlines\n|of a Secret|has a path", w.objects()["pre/dir/name-0"])

	w.write(filepath.Join(w.env, "a=b"), "x")
	w.clock.Step(time.Minute)
	require.ErrorContains(t, w.end(), "cannot be a variable")
}

// Without a pause one run follows the other.
func TestFrequencyZero(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "echo data")
	w.push.Frequency, w.push.Clock = 0, clock.RealClock{}
	w.configure()
	w.start()
	require.Eventually(t, func() bool {
		data, err := chronicle.Manifest(t.Context(), w.location, "dir/name")
		return err == nil && data > "dir/name-3"
	}, patience, time.Millisecond)
}

func TestManifestOfNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := chronicle.Manifest(t.Context(), w.location, "none")
	require.ErrorIs(t, err, location.ErrNotExist)
	_, err = w.location.Push(t.Context(), "dump", bytes.NewReader(make([]byte, 1<<20)))
	require.NoError(t, err)
	_, err = chronicle.Manifest(t.Context(), w.location, "dump")
	require.ErrorContains(t, err, "not a manifest")
}
