package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/fixture/s3test"
	"github.com/salvor-io/salvor/internal/profile"
)

// asKando makes the test binary behave as kando, so that signals, pipes and memory
// are those of a process of its own.
const asKando = "SALVOR_TEST_AS_KANDO"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "kopia" {
		os.Exit(standInForKopia(os.Args[1:]))
	}
	if os.Getenv(asKando) != "" {
		main()
	}
	os.Exit(m.Run())
}

func command(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asKando+"=1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	return cmd, &errs
}

func profileJSON(t *testing.T, p *profile.Profile) string {
	t.Helper()
	data, err := json.Marshal(p)
	require.NoError(t, err)
	return string(data)
}

func directory(t *testing.T) (p, dir string) {
	t.Helper()
	dir = t.TempDir()
	return profileJSON(t, &profile.Profile{Location: profile.Location{Type: profile.LocationFilestore, Bucket: dir}}), dir
}

// random returns size bytes, always the same.
func random(size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{7}), size)
}

func TestExitCodes(t *testing.T) {
	cmd, _ := command(t, "output", "k", "v")
	out, err := cmd.Output()
	require.NoError(t, err)
	assert.Equal(t, "###Phase-output###: {\"key\":\"k\",\"value\":\"v\"}\n", string(out))

	cmd, errs := command(t, "output", "k")
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Run(), &exit)
	assert.Equal(t, 69, exit.ExitCode())
	assert.Contains(t, errs.String(), "needs a key and a value")
}

// A writer that is done before kando opens the pipe once more must not be missed.
func TestPushFromNamedPipeWhoseWriterIsDone(t *testing.T) {
	p, dir := directory(t)
	name := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(name, 0o600))
	pipe, err := os.OpenFile(name, os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = pipe.WriteString("early data")
	require.NoError(t, err)
	reader, err := os.Open(name)
	require.NoError(t, err)
	require.NoError(t, pipe.Close())

	cmd, errs := command(t, "location", "push", "-", "-p", p, "-s", "a")
	cmd.Stdin = reader
	require.NoError(t, cmd.Run(), errs)
	require.NoError(t, reader.Close())
	got, err := os.ReadFile(filepath.Join(dir, "a"))
	require.NoError(t, err)
	assert.Equal(t, "early data", string(got))
}

// The kubelet stops a pod while a dump hangs: kando ends, and stores nothing.
func TestSIGTERMEndsAPushThatWaitsForData(t *testing.T) {
	server := s3test.Start(t)
	server.CreateBucket(t, "backups")
	cmd, errs := command(t, "location", "push", "-", "-p", profileJSON(t, server.Profile("backups", "")), "-s", "a")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = io.Copy(stdin, random(40<<20)) // some parts are on their way
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	assert.Equal(t, 69, exit.ExitCode(), errs)
	assert.Contains(t, errs.String(), "terminated signal received")
	assert.Empty(t, server.Objects(t, "backups"))
	assert.Empty(t, server.Uploads(t, "backups"))
}

// A pull into a command that stops reading ends instead of going on.
func TestPullIntoAClosedPipe(t *testing.T) {
	p, dir := directory(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), bytes.Repeat([]byte("x"), 1<<20), 0o600))
	cmd, _ := command(t, "location", "pull", "-", "-p", p, "-s", "a")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = io.ReadFull(stdout, make([]byte, 10))
	require.NoError(t, err)
	require.NoError(t, stdout.Close())
	require.Error(t, cmd.Wait())
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// pushPipe pushes size bytes through a pipe and returns the most memory the
// process ever had resident, in bytes.
func pushPipe(t *testing.T, p, path string, size int64) int64 {
	t.Helper()
	cmd, errs := command(t, "location", "push", "-", "-p", p, "-s", path)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = io.Copy(stdin, random(size))
	require.NoError(t, err, errs)
	peak := highest(t, cmd.Process.Pid)
	require.NoError(t, stdin.Close())
	require.NoError(t, cmd.Wait(), errs)
	return peak
}

// pullHash pulls path and returns the hash and the number of its bytes.
func pullHash(t *testing.T, p, path string) (string, int64) {
	t.Helper()
	cmd, errs := command(t, "location", "pull", "-", "-p", p, "-s", path)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	hash := sha256.New()
	n, err := io.Copy(hash, stdout)
	require.NoError(t, err)
	require.NoError(t, cmd.Wait(), errs)
	return hex.EncodeToString(hash.Sum(nil)), n
}

func randomHash(t *testing.T, size int64) string {
	t.Helper()
	hash := sha256.New()
	_, err := io.Copy(hash, random(size))
	require.NoError(t, err)
	return hex.EncodeToString(hash.Sum(nil))
}

// Eight times the data must not take noticeably more memory.
func TestMemoryDoesNotGrowWithTheData(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 1.1 GiB")
	}
	server := s3test.Start(t)
	server.CreateBucket(t, "backups")
	p := profileJSON(t, server.Profile("backups", ""))
	const small, large = 128 << 20, 1 << 30
	few := pushPipe(t, p, "small", small)
	many := pushPipe(t, p, "large", large)
	t.Logf("peak resident memory: %d MiB for 128 MiB, %d MiB for 1 GiB (%.1f %% of the data)",
		few>>20, many>>20, 100*float64(many)/large)
	assert.Less(t, many, int64(memoryFactor*256<<20))
	assert.Less(t, many-few, int64(memoryFactor*48<<20))
}

// TestLarge moves as many GiB as SALVOR_TEST_LARGE_GIB says through a pipe, into
// S3 and back. It is not part of a normal run because it needs twice that on disk.
func TestLarge(t *testing.T) {
	gib, err := strconv.ParseInt(os.Getenv("SALVOR_TEST_LARGE_GIB"), 10, 64)
	if err != nil {
		t.Skip("set SALVOR_TEST_LARGE_GIB=5 to move 5 GiB")
	}
	server := s3test.Start(t)
	server.CreateBucket(t, "backups")
	p := profileJSON(t, server.Profile("backups", ""))
	size := gib<<30 + 1
	peak := pushPipe(t, p, "large", size)
	hash, n := pullHash(t, p, "large")
	assert.Equal(t, size, n)
	assert.Equal(t, randomHash(t, size), hash)
	assert.Less(t, peak, int64(memoryFactor*256<<20))
	t.Logf("%d bytes there and back, peak resident memory of the push %d MiB", size, peak>>20)
}
