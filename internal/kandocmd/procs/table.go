package procs

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

var (
	// ErrNotFound is returned for a PID the server did not start. Scripts look for
	// the words, which are Kanister's.
	ErrNotFound = errors.New("Process not found")

	errClosing = errors.New("the process server is ending and takes no more processes")
)

// table holds what the server started, in that order.
type table struct {
	dir   string
	grace time.Duration

	mu      sync.Mutex
	closing bool
	running sync.WaitGroup
	byPID   map[int64]*process
	order   []*process
}

// start runs a program until it ends or ctx, that of the server, is done.
func (t *table) start(ctx context.Context, name string, args []string) (*process, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing {
		return nil, errClosing
	}
	stdout, err := newPipe(t.dir, "kando.*.stdout")
	if err != nil {
		return nil, err
	}
	stderr, err := newPipe(t.dir, "kando.*.stderr")
	if err != nil {
		stdout.abandon()
		return nil, err
	}
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // G204: to run what the user of the socket says is what it is for
	// Files, which Wait takes no notice of: it would give up on what a child prints
	// when WaitDelay has passed since the end of its parent.
	cmd.Stdout, cmd.Stderr = stdout.write, stderr.write
	// A group of its own, so that the end of the server reaches its children.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = t.grace
	if err := cmd.Start(); err != nil {
		stdout.abandon()
		stderr.abandon()
		return nil, fmt.Errorf("start the process: %w", err)
	}
	p := &process{cmd: cmd, stdout: stdout.spool, stderr: stderr.spool, info: Process{PID: int64(cmd.Process.Pid), State: Running}}
	t.byPID[p.info.PID] = p
	t.order = append(t.order, p)
	t.running.Go(func() { p.wait(ctx, t.grace, stdout, stderr) })
	return p, nil
}

func (t *table) find(pid int64) (*process, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, ok := t.byPID[pid]; ok {
		return p, nil
	}
	return nil, fmt.Errorf("%w: no process with PID %d was started here", ErrNotFound, pid)
}

func (t *table) list() []Process {
	t.mu.Lock()
	all := append([]*process(nil), t.order...)
	t.mu.Unlock()
	list := make([]Process, len(all))
	for i, p := range all {
		list[i] = p.get()
	}
	return list
}

// close takes no more processes and waits for those that run, which the end of
// their context ends.
func (t *table) close() {
	t.mu.Lock()
	t.closing = true
	t.mu.Unlock()
	t.running.Wait()
}

func (t *table) removeFiles() {
	for _, p := range t.order {
		p.stdout.remove()
		p.stderr.remove()
	}
}
