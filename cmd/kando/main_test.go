package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
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
