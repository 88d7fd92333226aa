package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// server is one Salvor process, started again after each kill.
type server struct {
	name    string
	program string
	args    []string
	env     []string
	log     string // file
	probe   string // host:port

	cmd     *exec.Cmd
	began   time.Time
	ended   chan struct{} // closed when the process is gone
	endedBy error
}

// start starts the process. It is not ready then.
func (s *server) start() error {
	if err := os.MkdirAll(filepath.Dir(s.log), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(s.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(s.program, s.args...) //nolint:noctx // it is killed by its owner, never by a context
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Env = append(os.Environ(), s.env...)
	// Nothing of it outlives this program, however that ends.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	s.began = time.Now()
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	ended, cmd := make(chan struct{}), s.cmd
	s.ended = ended
	go func() {
		s.endedBy = cmd.Wait()
		close(ended)
	}()
	return nil
}

// running reports whether the process was started and has not ended.
func (s *server) running() bool {
	if s.ended == nil {
		return false
	}
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// kill ends the process as a power failure does, and returns when it is gone.
func (s *server) kill() {
	if s.ended == nil {
		return
	}
	_ = s.cmd.Process.Kill() // gone already is as good
	<-s.ended
}

var errDied = errors.New("ended while it was waited for")

// ready returns when the process says that it is ready, and when that was.
func (s *server) ready(ctx context.Context, limit time.Duration) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	said := "nothing"
	for {
		select {
		case <-s.ended:
			return time.Time{}, fmt.Errorf("%s %w: %w; see %s", s.name, errDied, s.endedBy, s.log)
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%s was not ready within %s; it said %s", s.name, limit, said)
		case <-time.After(10 * time.Millisecond):
		}
		code, text := s.ask(ctx)
		if code == http.StatusOK {
			return time.Now(), nil
		}
		said = text
	}
}

func (s *server) ask(ctx context.Context) (code int, text string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.probe+"/readyz", http.NoBody)
	if err != nil {
		return 0, err.Error()
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body) // it only explains
	return response.StatusCode, string(body)
}
