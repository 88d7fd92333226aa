package kubetest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	stopTimeout = 20 * time.Second
	tailBytes   = 3000
)

// process is a program that writes its output to a file and dies with us.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
	gone chan struct{} // closed once the program was waited for; then err is set
	err  error
}

func startProcess(dir, path string, args ...string) (*process, error) {
	name := filepath.Base(path)
	p := &process{name: name, log: filepath.Join(dir, name+".log"), gone: make(chan struct{})}
	output, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.cmd = exec.Command(path, args...) //nolint:noctx // it lives until stop, not as long as the caller's context
	p.cmd.Stdout, p.cmd.Stderr = output, output
	// A killed or panicked test process leaves nothing running.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The kernel sends the death signal when the starting *thread* ends, so
		// that thread is kept until the program is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer output.Close()
		if err := p.cmd.Start(); err != nil {
			started <- fmt.Errorf("start %s: %w", name, err)
			return
		}
		started <- nil
		p.err = p.cmd.Wait()
		close(p.gone)
	}()
	return p, <-started
}

// died returns nil while the program runs, and why it ended afterwards.
func (p *process) died() error {
	select {
	case <-p.gone:
	default:
		return nil
	}
	tail := p.tail()
	if strings.Contains(tail, "address already in use") {
		return fmt.Errorf("%s: %w", p.name, errPortTaken)
	}
	return fmt.Errorf("%s ended early (%w); the end of its output:\n%s", p.name, p.err, tail)
}

func (p *process) tail() string {
	content, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(content[max(0, len(content)-tailBytes):]))
}

// stop asks the program to end, and makes it end when it does not.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	timer := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	<-p.gone
	return nil
}
