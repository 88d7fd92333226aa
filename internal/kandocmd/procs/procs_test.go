package procs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/salvor-io/salvor/internal/kandocmd/procs"
)

// patience is for a loaded machine; nothing waits that long when all is well.
const patience = 2 * time.Minute

// running is a server of a test.
type running struct {
	*procs.Client
	address, dir string
	stop         context.CancelFunc
	ended        chan error
}

func serve(t *testing.T) *running {
	t.Helper()
	dir := t.TempDir()
	r := &running{address: filepath.Join(dir, "s"), dir: filepath.Join(dir, "out"), ended: make(chan error, 1)}
	require.NoError(t, os.Mkdir(r.dir, 0o700))
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() { r.ended <- procs.Serve(ctx, procs.Options{Address: r.address, Dir: r.dir, Log: zerolog.Nop()}) }()
	require.Eventually(t, func() bool { _, err := os.Stat(r.address); return err == nil }, patience, time.Millisecond)
	r.Client = procs.NewClient(r.address)
	t.Cleanup(func() { stop(); r.Close(); assert.NoError(t, <-r.ended) })
	return r
}

func (r *running) sh(t *testing.T, script string, args ...string) procs.Process {
	t.Helper()
	p, err := r.Create(t.Context(), "sh", append([]string{"-c", script, "sh"}, args...))
	require.NoError(t, err)
	require.Equal(t, procs.Running, p.State)
	return p
}

// output waits for the end of a process.
func (r *running) output(t *testing.T, pid int64) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	require.NoError(t, r.Stdout(t.Context(), pid, &out))
	require.NoError(t, r.Stderr(t.Context(), pid, &errs))
	return out.String(), errs.String()
}

// exists tells whether a process lives; one that nobody has waited for does not.
func exists(pid int64) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !strings.Contains(string(status), "State:\tZ")
}

func TestStatesAndExitCodes(t *testing.T) {
	t.Parallel()
	r := serve(t)
	for script, want := range map[string]procs.Process{
		"exit 0":        {State: procs.Succeeded},
		"exit 3":        {State: procs.Failed, ExitCode: 3, ExitErr: "exit status 3"},
		"exit 255":      {State: procs.Failed, ExitCode: 255, ExitErr: "exit status 255"},
		"kill -TERM $$": {State: procs.Failed, ExitCode: -1, ExitErr: "signal: terminated"},
	} {
		p := r.sh(t, "echo to out; echo to err >&2; "+script)
		stdout, stderr := r.output(t, p.PID)
		assert.Equal(t, "to out\n", stdout)
		assert.Equal(t, "to err\n", stderr)
		// Who has read the whole output finds the state of the end, at once.
		got, err := r.Get(t.Context(), p.PID)
		require.NoError(t, err)
		want.PID = p.PID
		assert.Equal(t, want, got, script)
	}
	list, err := r.List(t.Context())
	require.NoError(t, err)
	assert.Len(t, list, 4)
}

// The words of Kanister's two formats.
func TestFormats(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		p          procs.Process
		text, json string
	}{
		{procs.Process{PID: 1921, State: procs.Running}, `pid:1921 state:PROCESS_STATE_RUNNING`, `{"pid":"1921","state":"PROCESS_STATE_RUNNING"}`},
		{
			procs.Process{PID: 1, State: procs.Failed, ExitCode: -1, ExitErr: "signal: killed"},
			`pid:1 state:PROCESS_STATE_FAILED exitCode:-1 exitErr:"signal: killed"`,
			`{"pid":"1","state":"PROCESS_STATE_FAILED","exitCode":"-1","exitErr":"signal: killed"}`,
		},
	} {
		assert.Equal(t, tt.text, tt.p.String())
		text, err := json.Marshal(tt.p)
		require.NoError(t, err)
		assert.Equal(t, tt.json, string(text))
	}
}

func TestUnknownPIDAndProgram(t *testing.T) {
	t.Parallel()
	r := serve(t)
	_, err := r.Get(t.Context(), 555555555)
	require.ErrorIs(t, err, procs.ErrNotFound)
	require.ErrorContains(t, err, "Process not found")
	require.ErrorIs(t, r.Stdout(t.Context(), 555555555, io.Discard), procs.ErrNotFound)
	_, err = r.Signal(t.Context(), 1, 9)
	require.ErrorIs(t, err, procs.ErrNotFound, "a process the server did not start gets no signal")

	_, err = r.Create(t.Context(), "no-such-program", nil)
	require.ErrorContains(t, err, "no-such-program")
	left, err := os.ReadDir(r.dir)
	require.NoError(t, err)
	assert.Empty(t, left, "no files of a process that never was")
	list, err := r.List(t.Context())
	require.NoError(t, err)
	assert.Empty(t, list)

	p := r.sh(t, "true")
	r.output(t, p.PID)
	_, err = r.Signal(t.Context(), p.PID, 15)
	require.ErrorContains(t, err, "already finished")

	nobody := procs.NewClient(r.address + ".none")
	defer nobody.Close()
	_, err = nobody.List(t.Context())
	require.ErrorContains(t, err, "kando process server")
	require.ErrorContains(t, err, r.address+".none")
}

// A reader follows while the process prints, one that comes late gets all, one that
// goes away disturbs nobody, and signals arrive.
func TestReadersFollow(t *testing.T) {
	t.Parallel()
	r := serve(t)
	p := r.sh(t, `trap 'echo got it; exit 7' USR1; echo ready; while :; do sleep 0.05; done`)
	early, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- r.Stdout(t.Context(), p.PID, w) }()
	first := make([]byte, 6)
	_, err := io.ReadFull(early, first)
	require.NoError(t, err)
	assert.Equal(t, "ready\n", string(first))

	gone, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- r.Stdout(gone, p.PID, io.Discard) }()
	leave()
	require.Error(t, <-left)

	got, err := r.Signal(t.Context(), p.PID, int(syscall.SIGUSR1))
	require.NoError(t, err)
	assert.Equal(t, p.PID, got.PID)
	rest := make([]byte, 7)
	_, err = io.ReadFull(early, rest)
	require.NoError(t, err)
	assert.Equal(t, "got it\n", string(rest))
	require.NoError(t, <-done)
	late, _ := r.output(t, p.PID)
	assert.Equal(t, "ready\ngot it\n", late)
	end, err := r.Get(t.Context(), p.PID)
	require.NoError(t, err)
	assert.EqualValues(t, 7, end.ExitCode)
}

// What a background child prints after its shell has ended is output, too.
func TestOutputOfChildrenIsComplete(t *testing.T) {
	t.Parallel()
	r := serve(t)
	gate := filepath.Join(t.TempDir(), "gate")
	p := r.sh(t, `(until [ -e "$1" ]; do sleep 0.02; done; echo late) & echo early`, gate)
	got, err := r.Get(t.Context(), p.PID)
	require.NoError(t, err)
	assert.Equal(t, procs.Running, got.State)
	require.NoError(t, os.WriteFile(gate, nil, 0o600))
	out, _ := r.output(t, p.PID)
	assert.Equal(t, "early\nlate\n", out)
}

func TestManyProcessesAndReaders(t *testing.T) {
	t.Parallel()
	r := serve(t)
	var g errgroup.Group
	g.SetLimit(16)
	for i := range 60 {
		g.Go(func() error {
			p, err := r.Create(t.Context(), "sh", []string{"-c", fmt.Sprintf("for j in 1 2 3 4; do echo %d $j; echo %d >&2; done; exit %d", i, i, i%3)})
			if err != nil {
				return err
			}
			for range 2 {
				var out, errs bytes.Buffer
				if err := errors.Join(r.Stdout(t.Context(), p.PID, &out), r.Stderr(t.Context(), p.PID, &errs)); err != nil {
					return err
				}
				if want := fmt.Sprintf("%d 1\n%d 2\n%d 3\n%d 4\n", i, i, i, i); out.String() != want || errs.String() != strings.Repeat(fmt.Sprintln(i), 4) {
					return fmt.Errorf("process %d printed %q and %q", i, out.String(), errs.String())
				}
			}
			end, err := r.Get(t.Context(), p.PID)
			if err == nil && end.ExitCode != int64(i%3) {
				err = fmt.Errorf("process %d ended with %d", i, end.ExitCode)
			}
			return err
		})
	}
	require.NoError(t, g.Wait())
	list, err := r.List(t.Context())
	require.NoError(t, err)
	assert.Len(t, list, 60)
}

// 64 MiB of binary output arrive byte for byte.
func TestLargeOutput(t *testing.T) {
	t.Parallel()
	r := serve(t)
	p := r.sh(t, `head -c 67108864 /dev/urandom | tee /dev/stderr`)
	out, errs := sha256.New(), sha256.New()
	var g errgroup.Group
	g.Go(func() error { return r.Stdout(t.Context(), p.PID, out) })
	g.Go(func() error { return r.Stderr(t.Context(), p.PID, errs) })
	require.NoError(t, g.Wait())
	assert.Equal(t, out.Sum(nil), errs.Sum(nil))
	files, err := filepath.Glob(filepath.Join(r.dir, "kando.*.stdout"))
	require.NoError(t, err)
	require.Len(t, files, 1, "kept where Kanister keeps it")
	info, err := os.Stat(files[0])
	require.NoError(t, err)
	assert.EqualValues(t, 64<<20, info.Size())
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestSocket(t *testing.T) {
	t.Parallel()
	r := serve(t)
	info, err := os.Stat(r.address)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	err = procs.Serve(t.Context(), procs.Options{Address: r.address, Log: zerolog.Nop()})
	require.ErrorContains(t, err, "answers at")
	_, err = r.List(t.Context())
	require.NoError(t, err, "the first server is still there")

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	require.ErrorContains(t, procs.Serve(t.Context(), procs.Options{Address: file, Log: zerolog.Nop()}), "not a socket")

	r.stop()
	require.NoError(t, <-r.ended)
	r.ended <- nil
	_, err = os.Stat(r.address)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// A server that was killed leaves its socket.
func TestSocketOfADeadServerIsReplaced(t *testing.T) {
	t.Parallel()
	address := filepath.Join(t.TempDir(), "s")
	var config net.ListenConfig
	dead, err := config.Listen(t.Context(), "unix", address)
	require.NoError(t, err)
	unix, ok := dead.(*net.UnixListener)
	require.True(t, ok)
	unix.SetUnlinkOnClose(false)
	require.NoError(t, dead.Close())

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- procs.Serve(ctx, procs.Options{Address: address, Dir: t.TempDir(), Log: zerolog.Nop()})
	}()
	c := procs.NewClient(address)
	defer c.Close()
	require.Eventually(t, func() bool { _, err := c.List(t.Context()); return err == nil }, patience, time.Millisecond)
	stop()
	require.NoError(t, <-ended)
}

// The end of the server ends what it started, readers get the last of it, and no
// file stays.
func TestEnd(t *testing.T) {
	t.Parallel()
	r := serve(t)
	p := r.sh(t, `trap 'echo last words; exit 0' TERM; sleep 1000 & echo $!; wait`)
	reader, w := io.Pipe()
	all := make(chan error, 1)
	go func() {
		err := r.Stdout(context.WithoutCancel(t.Context()), p.PID, w)
		_ = w.CloseWithError(err)
		all <- err
	}()
	var child int64
	_, err := fmt.Fscanln(reader, &child)
	require.NoError(t, err)
	require.True(t, exists(child))
	r.stop()
	rest, err := io.ReadAll(reader)
	require.NoError(t, err)
	assert.Equal(t, "last words\n", string(rest))
	require.NoError(t, <-all)
	require.NoError(t, <-r.ended)
	r.ended <- nil
	require.Eventually(t, func() bool { return !exists(child) }, patience, 10*time.Millisecond, "the child of the shell lives on")
	left, err := os.ReadDir(r.dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}
