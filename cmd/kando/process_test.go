package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/salvor-io/salvor/internal/output"
)

// server starts a process server as a process of its own.
func server(t *testing.T) (cmd *exec.Cmd, address string) {
	t.Helper()
	return serverOf(t, os.Args[0])
}

func serverOf(t *testing.T, binary string) (cmd *exec.Cmd, address string) {
	t.Helper()
	address = filepath.Join(t.TempDir(), "kanister.sock")
	// Not with the context of the test, which ends before the clean-up.
	cmd = exec.CommandContext(context.WithoutCancel(t.Context()), binary, "process", "server", "-a", address)
	cmd.Env = append(os.Environ(), asKando+"=1", "TMPDIR="+t.TempDir())
	errs := &bytes.Buffer{}
	cmd.Stderr = errs
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		assert.NoError(t, ignoreWaited(cmd.Wait()), errs)
	})
	require.Eventually(t, func() bool { _, err := os.Stat(address); return err == nil }, 3*time.Minute, time.Millisecond)
	return cmd, address
}

// ignoreWaited lets a test wait before the clean-up does.
func ignoreWaited(err error) error {
	var syscallErr *os.SyscallError
	if err != nil && (errors.As(err, &syscallErr) || strings.Contains(err.Error(), "Wait was already called")) {
		return nil
	}
	return err
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	return exit.ExitCode()
}

// The first signal goes to the process, and so does the second; kando ends when the
// process does, with its code.
func TestSignalsThroughTheClient(t *testing.T) {
	t.Parallel()
	_, address := server(t)
	cmd, errs := command(t, "process", "client", "-a", address, "-q", "execute", "-p", "-x", "--", "sh", "-c",
		`n=0; trap 'n=$((n+1)); echo signal $n; [ $n -ge 2 ] && exit 5' TERM; echo ready; while :; do sleep 0.02; done`)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewReader(stdout)
	for _, want := range []string{"ready\n", "signal 1\n", "signal 2\n"} {
		line, err := lines.ReadString('\n')
		require.NoError(t, err, errs)
		require.Equal(t, want, line)
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	}
	_, _ = io.Copy(io.Discard, lines)
	assert.Equal(t, 5, exitCode(t, cmd.Wait()), errs)
}

// A client without --signal-proxy ends at once, with 69.
func TestASignalEndsAClient(t *testing.T) {
	t.Parallel()
	_, address := server(t)
	cmd, errs := command(t, "process", "client", "-a", address, "-q", "execute", "-x", "--", "sh", "-c", "echo ready; sleep 1000")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	assert.Equal(t, 69, exitCode(t, cmd.Wait()))
	assert.Contains(t, errs.String(), "terminated signal received")
}

// 128 MiB through the server, to a fast and to a slow reader, in the memory of a
// kando that does nothing.
func serverMemory(t *testing.T, binary string) {
	t.Helper()
	process, address := serverOf(t, binary)
	const size = 128 << 20
	created, err := exec.CommandContext(t.Context(), binary, "process", "client", "-a", address, "-j", "create", "--",
		"head", "-c", strconv.Itoa(size), "/dev/zero").Output()
	require.NoError(t, err)
	pid := strings.Split(string(created), `"`)[3]
	var g errgroup.Group
	for _, buffer := range []int{64 << 10, 512} {
		cmd := exec.CommandContext(t.Context(), binary, "process", "client", "-a", address, "output", "-x", pid)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		g.Go(func() error {
			n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{stdout}, make([]byte, buffer))
			if err == nil && n != size {
				err = fmt.Errorf("%d of %d bytes", n, size)
			}
			return errors.Join(err, cmd.Wait())
		})
	}
	require.NoError(t, g.Wait())
	peak := highest(t, process.Process.Pid)
	t.Logf("peak resident memory of the server: %d MiB", peak>>20)
	assert.Less(t, peak, int64(mostMemory))
}

// highest is the most memory a process ever had resident, in bytes.
func highest(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	match := highWater.FindSubmatch(status)
	require.NotNil(t, match)
	kilobytes, err := strconv.ParseInt(string(match[1]), 10, 64)
	require.NoError(t, err)
	return kilobytes << 10
}

func TestServerEndsWithSIGTERM(t *testing.T) {
	t.Parallel()
	cmd, address := server(t)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
	assert.NoFileExists(t, address)
}

// An output as long as an argument may be, into a pipe that is read in small pieces.
func TestLongOutputThroughAPipe(t *testing.T) {
	t.Parallel()
	value := strings.Repeat("0123456789\"\\ä\n<", (128<<10-1)/16)
	cmd, errs := command(t, "output", "k", value)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := output.NewParser()
	_, err = io.CopyBuffer(struct{ io.Writer }{p}, struct{ io.Reader }{stdout}, make([]byte, 13))
	require.NoError(t, err)
	require.NoError(t, cmd.Wait(), errs)
	values, err := p.Finish()
	require.NoError(t, err)
	got, _ := values["k"].(string)
	assert.Zero(t, strings.Compare(value, got), "a value of %d bytes came as one of %d", len(value), len(got))
}

// Nobody reads: kando ends, and not well.
func TestOutputIntoAClosedPipe(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	cmd, _ := command(t, "output", "k", "v")
	cmd.Stdout = w
	require.Error(t, cmd.Run())
	require.NoError(t, w.Close())

	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer func() { _ = full.Close() }()
	cmd, errs := command(t, "output", "k", "v")
	cmd.Stdout = full
	assert.Equal(t, 69, exitCode(t, cmd.Run()))
	assert.Contains(t, errs.String(), "no space left")
}

// chronicle push ends well between two runs, when the pod does.
func TestChronicleEndsWithSIGTERM(t *testing.T) {
	t.Parallel()
	p, dir := directory(t)
	files := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(files, "profile"), []byte(p), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(files, "path"), []byte("a\n"), 0o600))
	cmd, errs := command(t, "chronicle", "push", "-p", filepath.Join(files, "profile"), "-s", filepath.Join(files, "path"), "-f", "1h", "-v", "info", "--", "echo", "-n", "'two  words'")
	stderr, w := io.Pipe()
	cmd.Stderr = io.MultiWriter(errs, w)
	require.NoError(t, cmd.Start())
	pushed := make(chan struct{})
	go func() {
		defer close(pushed)
		_, _ = bufio.NewReader(stderr).ReadString('\n')
		go func() { _, _ = io.Copy(io.Discard, stderr) }()
	}()
	<-pushed
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait(), errs)
	pull, errs := command(t, "chronicle", "pull", "-", "-p", p, "-s", "a")
	assert.Equal(t, "two  words", run(t, pull, errs))
	assert.FileExists(t, filepath.Join(dir, "a-0"))

	file := filepath.Join(files, "target")
	pull, errs = command(t, "chronicle", "pull", file, "--profile", p, "--path", "/a")
	run(t, pull, errs)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "two  words", string(bytes.TrimSpace(text)))
}
