package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/fixture/azuretest"
	"github.com/salvor-io/salvor/internal/fixture/gcstest"
	"github.com/salvor-io/salvor/internal/fixture/s3test"
	"github.com/salvor-io/salvor/internal/profile"
)

// mostMemory is what kando may ever have resident, its own pages included.
const mostMemory = 64 << 20

// transferMemory moves data through a pipe into each kind of store and back. As much
// GiB as SALVOR_TEST_LARGE_GIB says; without it 384 MiB, which is 48 parts and so
// shows growth with the data as well, and needs little disk.
func transferMemory(t *testing.T, kando string) {
	t.Helper()
	if testing.Short() {
		t.Skip("moves 1.1 GiB")
	}
	size := int64(384<<20 + 1)
	if gib, err := strconv.ParseInt(os.Getenv("SALVOR_TEST_LARGE_GIB"), 10, 64); err == nil {
		size = gib<<30 + 1
	}
	want := randomHash(t, size)
	t.Logf("%d bytes; raw copy through a pipe into a file: %s", size, rawCopy(t, min(size, 1<<30)))
	for name, serve := range map[string]func(*testing.T) *profile.Profile{
		"s3": func(t *testing.T) *profile.Profile {
			t.Helper()
			server := s3test.Start(t)
			server.CreateBucket(t, "backups")
			return server.Profile("backups", "")
		},
		"gcs": func(t *testing.T) *profile.Profile {
			t.Helper()
			server := gcstest.Start(t)
			server.CreateBucket(t, "backups")
			p := server.Profile(t, "backups", "")
			p.Location.Endpoint = server.Spool(t)
			return p
		},
		"azure": func(t *testing.T) *profile.Profile {
			t.Helper()
			server := azuretest.Start(t)
			server.CreateContainer(t, "backups")
			return server.Profile("backups", "")
		},
	} {
		t.Run(name, func(t *testing.T) { // one after the other, for the disk's sake
			p := profileJSON(t, serve(t))
			sent := runKando(t, random(size), io.Discard, kando, "location", "push", "-", "-p", p, "-s", "dump")
			hash := sha256.New()
			got := runKando(t, nil, hash, kando, "location", "pull", "-", "-p", p, "-s", "dump")
			t.Logf("push: peak %d KiB, %s; pull: peak %d KiB, %s", sent.peak>>10, sent.speed(size), got.peak>>10, got.speed(size))
			assert.Equal(t, want, hex.EncodeToString(hash.Sum(nil)))
			assert.Less(t, sent.peak, int64(mostMemory), "push")
			assert.Less(t, got.peak, int64(mostMemory), "pull")
		})
	}
}

// buildKando compiles kando as it is shipped: the race detector, with which the
// tests may run, takes several times the memory.
func buildKando(t *testing.T) string {
	t.Helper()
	kando := filepath.Join(t.TempDir(), "kando")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-tags", "disable_grpc_modules", "-ldflags", "-s -w", "-o", kando, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return kando
}

// usage is what a process took.
type usage struct {
	peak int64 // bytes resident
	took time.Duration
}

func (u usage) speed(size int64) string {
	return fmt.Sprintf("%.0f MiB/s", float64(size)/(1<<20)/u.took.Seconds())
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// runKando runs a command and returns the most memory it ever had resident. (What
// wait4 says of it counts the process that started it as well.)
func runKando(t *testing.T, in io.Reader, out io.Writer, name string, args ...string) usage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &errs
	started := time.Now()
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var u usage
	for {
		if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)); err == nil {
			if match := highWater.FindSubmatch(status); match != nil {
				kilobytes, err := strconv.ParseInt(string(match[1]), 10, 64)
				require.NoError(t, err)
				u.peak = max(u.peak, kilobytes<<10)
			}
		}
		select {
		case err := <-ended:
			require.NoError(t, err, errs.String())
			require.NotZero(t, u.peak)
			u.took = time.Since(started)
			return u
		case <-tick.C:
		}
	}
}

func rawCopy(t *testing.T, size int64) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "raw"))
	require.NoError(t, err)
	defer func() { _ = os.Remove(file.Name()) }()
	u := runKando(t, random(size), file, "cat")
	require.NoError(t, file.Close())
	return u.speed(size)
}

func randomHash(t *testing.T, size int64) string {
	t.Helper()
	hash := sha256.New()
	_, err := io.Copy(hash, random(size))
	require.NoError(t, err)
	return hex.EncodeToString(hash.Sum(nil))
}
