package procs

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// State is where a process is in its life. The names are those of Kanister's
// protocol, which scripts look for in the JSON.
type State string

// The states.
const (
	Running   State = "PROCESS_STATE_RUNNING"
	Succeeded State = "PROCESS_STATE_SUCCEEDED"
	Failed    State = "PROCESS_STATE_FAILED"
)

// Process is what the server tells of a process. Its JSON is that of Kanister's
// protocol: 64-bit numbers are strings, and zero is left out.
type Process struct {
	PID   int64 `json:"pid,string,omitempty"`
	State State `json:"state,omitempty"`
	// ExitCode is -1 for a process that a signal ended.
	ExitCode int64  `json:"exitCode,string,omitempty"`
	ExitErr  string `json:"exitErr,omitempty"`
}

// String is the line a person reads, as Kanister prints it.
func (p Process) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pid:%d state:%s", p.PID, p.State)
	if p.ExitCode != 0 {
		fmt.Fprintf(&b, " exitCode:%d", p.ExitCode)
	}
	if p.ExitErr != "" {
		fmt.Fprintf(&b, " exitErr:%s", strconv.Quote(p.ExitErr))
	}
	return b.String()
}

// process is a program the server started.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr *spool

	mu   sync.Mutex
	info Process
}

func (p *process) get() Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.info
}

// signal sends to the process alone, not to its children.
func (p *process) signal(number int) error {
	return p.cmd.Process.Signal(syscall.Signal(number))
}

// wait returns when the process has ended and its output is complete. The state is
// set before a reader sees the end of the output, so that who has read all of it
// finds the exit code. ctx is that of the server.
func (p *process) wait(ctx context.Context, grace time.Duration, outputs ...*pipe) {
	copied := make(chan error, 1)
	go func() { copied <- collect(outputs) }()
	late, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	context.AfterFunc(ctx, func() {
		timed, done := context.WithTimeout(late, grace)
		defer done()
		<-timed.Done()
		stop()
	})

	err := p.cmd.Wait()
	kept := p.children(ctx, late, copied, outputs)
	if err == nil {
		err = kept
	}
	p.mu.Lock()
	p.info.State = Succeeded
	if err != nil {
		p.info.State, p.info.ExitErr = Failed, err.Error()
		if state := p.cmd.ProcessState; state != nil {
			p.info.ExitCode = int64(state.ExitCode())
		}
	}
	p.mu.Unlock()
	p.stdout.close()
	p.stderr.close()
}

// children waits for those that still hold the output of a process that has ended,
// as long as they like, or at the end of the server until late is done.
func (p *process) children(ctx, late context.Context, copied <-chan error, outputs []*pipe) error {
	told := ctx.Err() != nil // with their parent
	select {
	case err := <-copied:
		if told { // what stays in spite of SIGTERM and holds no output
			p.group(syscall.SIGKILL)
		}
		return err
	case <-ctx.Done():
	}
	if !told {
		p.group(syscall.SIGTERM)
	}
	select {
	case err := <-copied:
		p.group(syscall.SIGKILL)
		return err
	case <-late.Done():
	}
	p.group(syscall.SIGKILL)
	for _, out := range outputs { // one that left the group may hold it yet
		_ = out.read.Close()
	}
	return <-copied
}

// group signals the process and its children.
func (p *process) group(number syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, number) }
