package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Mark is the variable by which programs of the local cluster are known; its
// value is the cluster's state folder.
const Mark = "SALVOR_LOCALCLUSTER"

const pollInterval = 25 * time.Millisecond

// force is how long a process that was killed may take to be gone.
const force = 10 * time.Second

// Set is the programs of one cluster. Their records and output lie in Dir.
type Set struct {
	Dir string
}

// Program is what to run.
type Program struct {
	Name    string // names the record and the log
	Path    string
	Args    []string
	Prepend []string // folders in front of PATH
}

func (s Set) record(name string) string { return filepath.Join(s.Dir, "run", name+".json") }

// Log is the file the program's output goes to.
func (s Set) Log(name string) string { return filepath.Join(s.Dir, "logs", name+".log") }

// Start runs the program in the background, apart from the terminal, so that
// closing the terminal does not end it.
func (s Set) Start(program Program) error {
	for _, path := range []string{s.record(program.Name), s.Log(program.Name)} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
	}
	output, err := os.OpenFile(s.Log(program.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer output.Close()
	cmd := exec.Command(program.Path, program.Args...) //nolint:noctx // it outlives the command that starts it
	cmd.Dir = s.Dir
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Env = s.environment(program)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", program.Name, err)
	}
	identity, err := Identify(cmd.Process.Pid)
	if err != nil {
		_ = cmd.Wait()
		return fmt.Errorf("%s ended at once: %s", program.Name, s.Tail(program.Name))
	}
	// Nobody waits for it while this command runs, so it must not stay a zombie.
	go func() { _ = cmd.Wait() }()
	content, err := json.Marshal(identity)
	if err != nil {
		return err
	}
	return os.WriteFile(s.record(program.Name), content, 0o600)
}

func (s Set) environment(program Program) []string {
	path := append([]string{}, program.Prepend...)
	path = append(path, os.Getenv("PATH"), "/usr/sbin", "/sbin")
	var env []string
	for _, entry := range os.Environ() {
		// A proxy is for the builds: the cluster's own addresses are not behind it.
		name := strings.ToUpper(strings.SplitN(entry, "=", 2)[0])
		switch name {
		case "PATH", "KUBECONFIG", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", Mark:
		default:
			env = append(env, entry)
		}
	}
	return append(env, "PATH="+strings.Join(path, ":"), Mark+"="+s.Dir)
}

// Running tells whether the recorded program of that name still runs.
func (s Set) Running(name string) bool {
	identity, err := s.Recorded(name)
	return err == nil && identity.Alive()
}

// Recorded reads who was started under the name.
func (s Set) Recorded(name string) (Identity, error) {
	content, err := os.ReadFile(s.record(name))
	if err != nil {
		return Identity{}, err
	}
	var identity Identity
	if err := json.Unmarshal(content, &identity); err != nil {
		return Identity{}, fmt.Errorf("read the record of %s: %w", name, err)
	}
	return identity, nil
}

// Stop ends the recorded program, gently for as long as patience, and forgets
// it. Whoever has its process id by now is left alone.
func (s Set) Stop(ctx context.Context, name string, patience time.Duration) error {
	// A record that is missing or was cut short by a crash tells nothing; the
	// mark finds its process.
	if identity, err := s.Recorded(name); err == nil {
		if err := Stop(ctx, []Identity{identity}, patience); err != nil {
			return fmt.Errorf("stop %s: %w", name, err)
		}
	}
	return ignoreMissing(os.Remove(s.record(name)))
}

// Kill ends the recorded program without warning, as a crash does, and returns
// when it is gone. That it does not run is an error: nothing was killed then.
func (s Set) Kill(ctx context.Context, name string) error {
	identity, err := s.Recorded(name)
	if err != nil {
		return fmt.Errorf("kill %s: it was not started: %w", name, err)
	}
	if !identity.Alive() {
		return fmt.Errorf("kill %s: process %d has ended already; see %s", name, identity.PID, s.Log(name))
	}
	if err := signal([]Identity{identity}, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", name, err)
	}
	if !waitGone(ctx, []Identity{identity}, force) {
		return fmt.Errorf("kill %s: process %d does not end even when killed", name, identity.PID)
	}
	return nil
}

// Marked returns every process that carries this set's mark.
func (s Set) Marked() ([]Identity, error) { return Marked(Mark, s.Dir) }

// Stop ends the processes, gently for as long as patience and then by force,
// and returns when they are gone.
func Stop(ctx context.Context, identities []Identity, patience time.Duration) error {
	if err := signal(identities, syscall.SIGTERM); err != nil {
		return err
	}
	if waitGone(ctx, identities, patience) {
		return nil
	}
	if err := signal(identities, syscall.SIGKILL); err != nil {
		return err
	}
	if !waitGone(ctx, identities, force) {
		return fmt.Errorf("process %d does not end even when killed", identities[0].PID)
	}
	return nil
}

func signal(identities []Identity, sig syscall.Signal) error {
	for _, identity := range identities {
		if !identity.Alive() {
			continue
		}
		if err := syscall.Kill(identity.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal process %d: %w", identity.PID, err)
		}
	}
	return nil
}

func waitGone(ctx context.Context, identities []Identity, patience time.Duration) bool {
	for deadline := time.Now().Add(patience); ; time.Sleep(pollInterval) {
		alive := false
		for _, identity := range identities {
			alive = alive || identity.Alive()
		}
		if !alive {
			return true
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return false
		}
	}
}

// Tail is the end of what the program wrote, for an error message.
func (s Set) Tail(name string) string {
	content, err := os.ReadFile(s.Log(name))
	if err != nil {
		return err.Error()
	}
	const most = 2500
	return strings.TrimSpace(string(content[max(0, len(content)-most):]))
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
