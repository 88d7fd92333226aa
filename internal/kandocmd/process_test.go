package kandocmd

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"
)

// patience is for a loaded machine; nothing waits that long when all is well.
const patience = 2 * time.Minute

// processServer runs one until the test ends and returns its address.
func processServer(t *testing.T) string {
	t.Helper()
	address := filepath.Join(t.TempDir(), "kanister.sock")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	var errs bytes.Buffer
	go func() {
		ended <- Run(ctx, []string{"process", "server", "-a", address}, "v1", Host{Out: &errs, Err: &errs, Clock: clock.RealClock{}})
	}()
	t.Cleanup(func() {
		stop()
		assert.Zero(t, <-ended, &errs)
	})
	require.Eventually(t, func() bool { _, err := os.Stat(address); return err == nil }, patience, time.Millisecond)
	return address
}

// shown is a process as --as-json shows it: what Kanister's users parse.
type shown struct {
	PID      string `json:"pid"`
	State    string `json:"state"`
	ExitCode string `json:"exitCode"`
	ExitErr  string `json:"exitErr"`
}

func parse(t *testing.T, line string) shown {
	t.Helper()
	var p shown
	require.NoError(t, json.Unmarshal([]byte(line), &p), line)
	return p
}

func TestProcessClient(t *testing.T) {
	t.Parallel()
	address := processServer(t)
	client := func(args ...string) []string { return append([]string{"process", "client", "-a", address}, args...) }

	created := parse(t, succeed(t, nil, client("--as-json", "create", "--", "sh", "-c", "echo out; echo err >&2; exit 3")...))
	assert.Equal(t, "PROCESS_STATE_RUNNING", created.State)
	assert.Empty(t, created.ExitCode)
	r := kando(t, nil, client("output", created.PID)...)
	assert.Equal(t, result{code: 0, out: "out\n", err: "err\n"}, r, "without --exit-proxy the exit code is 0, as with Kanister")
	r = kando(t, nil, client("output", "-x", created.PID)...)
	assert.Equal(t, result{code: 3, out: "out\n", err: "err\n"}, r)
	assert.Equal(t, shown{PID: created.PID, State: "PROCESS_STATE_FAILED", ExitCode: "3", ExitErr: "exit status 3"},
		parse(t, succeed(t, nil, client("get", created.PID, "-j")...)))
	assert.Equal(t, "Process:  pid:"+created.PID+" state:PROCESS_STATE_FAILED exitCode:3 exitErr:\"exit status 3\"\n",
		succeed(t, nil, client("get", created.PID)...))

	// execute: the process, then its output, on either stream.
	out := succeed(t, nil, client("execute", "echo", "hello world")...)
	first, rest, _ := strings.Cut(out, "\n")
	assert.Regexp(t, `^Process:  pid:\d+ state:PROCESS_STATE_RUNNING$`, first)
	assert.Equal(t, "hello world\n", rest)
	r = kando(t, nil, client("--quiet", "execute", "--exit-proxy", "--", "sh", "-c", "echo a; echo b >&2; exit 77")...)
	assert.Equal(t, result{code: 77, out: "a\n", err: "b\n"}, r)
	r = kando(t, nil, client("-q", "execute", "-x", "--", "sh", "-c", "kill -KILL $$")...)
	assert.Equal(t, result{code: 255}, r, "Kanister gives 255 for a process that a signal ended")
	assert.Zero(t, kando(t, nil, client("-q", "execute", "-x", "true")...).code)

	// list: all of them, in order.
	lines := strings.Split(strings.TrimSpace(succeed(t, nil, client("list", "--as-json")...)), "\n")
	require.Len(t, lines, 5)
	assert.Equal(t, created.PID, parse(t, lines[0]).PID)
	assert.Equal(t, "-1", parse(t, lines[3]).ExitCode)

	// quiet prints nothing of processes.
	for _, args := range [][]string{{"-q", "list"}, {"-q", "get", created.PID}, {"-q", "create", "true"}} {
		assert.Empty(t, succeed(t, nil, client(args...)...))
	}

	sleeper := parse(t, succeed(t, nil, client("-j", "create", "sleep", "1000")...))
	succeed(t, nil, client("signal", sleeper.PID, "SIGTERM")...)
	kando(t, nil, client("output", sleeper.PID)...)
	assert.Equal(t, "signal: terminated", parse(t, succeed(t, nil, client("-j", "get", sleeper.PID)...)).ExitErr)
	number := parse(t, succeed(t, nil, client("-j", "create", "sleep", "1000")...))
	succeed(t, nil, client("signal", number.PID, "0x9")...)

	for want, args := range map[string][]string{
		"Process not found":          {"get", "555555555"},
		"PID \"x\" is not a number":  {"output", "x"},
		"signal \"HARD\" is unknown": {"signal", "1", "HARD"},
		"already finished":           {"signal", sleeper.PID, "TERM"},
		"needs a program to start":   {"execute"},
		"exactly one argument":       {"get"},
		"no-such-program":            {"execute", "-x", "no-such-program"},
		"unknown shorthand flag":     {"create", "sh", "-c", "true"},
	} {
		assert.Contains(t, fails(t, nil, client(args...)...), want)
	}
	assert.Contains(t, fails(t, nil, "process", "client", "-a", address+".none", "list"), "kando process server")
}

// Signals go to the process, and what it prints in answer still arrives.
func TestSignalProxy(t *testing.T) {
	t.Parallel()
	address := processServer(t)
	signals := make(chan os.Signal, 1)
	stopped := false
	var errs bytes.Buffer
	out := &ready{seen: make(chan struct{})}
	h := Host{Out: out, Err: &errs, Clock: clock.RealClock{}, Signals: func() (<-chan os.Signal, func()) {
		return signals, func() { stopped = true }
	}}
	ctx, interrupt := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- Run(ctx, []string{
			"process", "client", "-a", address, "-q", "execute", "-p", "-x", "--",
			"sh", "-c", `trap 'echo stopped; exit 5' INT; echo ready; while :; do sleep 0.02; done`,
		}, "v1", h)
	}()
	<-out.seen
	interrupt() // main does that at the first signal
	signals <- syscall.SIGINT
	assert.Equal(t, 5, <-code, &errs)
	assert.Equal(t, "ready\nstopped\n", out.text.String())
	assert.True(t, stopped)
}

// Without --signal-proxy a client ends, and the process does not.
func TestAClientThatIsStoppedLeavesTheProcess(t *testing.T) {
	t.Parallel()
	address := processServer(t)
	out := &ready{seen: make(chan struct{})}
	ctx, interrupt := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- Run(ctx, []string{"process", "client", "-a", address, "-q", "execute", "--", "sh", "-c", "echo ready; sleep 1000"}, "v1",
			Host{Out: out, Err: &bytes.Buffer{}, Clock: clock.RealClock{}})
	}()
	<-out.seen
	interrupt()
	assert.Equal(t, ExitFailure, <-code)
	assert.Equal(t, "PROCESS_STATE_RUNNING", parse(t, succeed(t, nil, "process", "client", "-a", address, "-j", "list")).State)
}

// ready tells when something was written.
type ready struct {
	text bytes.Buffer
	seen chan struct{}
	told bool
}

func (r *ready) Write(p []byte) (int, error) {
	n, err := r.text.Write(p)
	if !r.told {
		r.told = true
		close(r.seen)
	}
	return n, err
}
