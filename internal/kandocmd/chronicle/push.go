package chronicle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/internal/location"
	"github.com/salvor-io/salvor/internal/profile"
)

// stopGrace is how long a command may take to end after SIGTERM.
const stopGrace = 5 * time.Second

// Push runs a command again and again and stores what it prints.
type Push struct {
	// ProfilePath is a file with the profile as JSON, ArtifactPath one with the
	// path to store at. Both are read for each run, and a run whose files are not
	// there yet is left out.
	ProfilePath, ArtifactPath string
	// CAFile is a PEM file of authorities to trust beside the profile's; empty means
	// none. It is read for each run, since certificates are renewed.
	CAFile string
	// EnvDir is a directory with a file for each variable the command gets beside
	// those of kando; empty means none.
	EnvDir string
	// Frequency is the time from the start of one run to that of the next. A run
	// that takes longer is followed by the next at once.
	Frequency time.Duration
	// Command is joined with spaces and run by sh.
	Command []string
	Stderr  io.Writer
	Clock   clock.WithTicker
}

// Run ends without error when ctx is done between two runs, and with the error of
// the first run that fails.
func (p *Push) Run(ctx context.Context) error {
	for {
		start := p.Clock.Now()
		if err := p.once(ctx); err != nil {
			return err
		}
		timer := p.Clock.NewTimer(p.Frequency - p.Clock.Since(start))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C():
		}
	}
}

func (p *Push) once(ctx context.Context) (err error) {
	log := zerolog.Ctx(ctx)
	store, path, err := p.where()
	if missing, ok := errors.AsType[*missingError](err); ok {
		log.Warn().Str("file", missing.file).Msg("nothing pushed: the file is not there yet, or is empty")
		return nil
	}
	if err != nil {
		return err
	}
	env, err := readEnvDir(p.EnvDir)
	if err != nil {
		return err
	}
	l, err := location.Open(ctx, store, location.OwnPod())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	old, err := Manifest(ctx, l, path)
	if err != nil && !errors.Is(err, location.ErrNotExist) && !errors.Is(err, errNoManifest) {
		return err
	}
	n, known := next(path, old)
	bytes, err := p.store(ctx, l, dataPath(path, n), env)
	if err != nil {
		return err
	}
	if _, err := l.Push(ctx, path, strings.NewReader(dataPath(path, n))); err != nil {
		return err
	}
	log.Info().Str("path", dataPath(path, n)).Int64("bytes", bytes).Msg("pushed")
	if known {
		if _, err := l.Delete(ctx, old); err != nil {
			log.Warn().Err(err).Str("path", old).Msg("the output before stays in the store")
		}
	}
	return nil
}

// missingError names a file that may come later.
type missingError struct{ file string }

// Error names the file.
func (e *missingError) Error() string { return e.file + " is not there yet, or is empty" }

// where reads the files.
func (p *Push) where() (*profile.Profile, string, error) {
	text, err := read("--profile-path", p.ProfilePath)
	if err != nil {
		return nil, "", err
	}
	store, err := profile.Parse([]byte(text))
	if err != nil {
		return nil, "", fmt.Errorf("--profile-path %s: %w", p.ProfilePath, err)
	}
	if p.CAFile != "" {
		if err := profile.TrustFile(store, p.CAFile); err != nil {
			return nil, "", fmt.Errorf("--ca-file: %w", err)
		}
	}
	path, err := read("--artifact-path", p.ArtifactPath)
	return store, path, err
}

// read returns what is in a file, without the newline at its end.
func read(flag, name string) (string, error) {
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	if kept := strings.TrimSuffix(string(text), "\n"); kept != "" {
		return kept, nil
	}
	return "", &missingError{file: name}
}

// store runs the command and stores what it prints, if it ends well.
func (p *Push) store(ctx context.Context, l *location.Location, path string, env []string) (int64, error) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	cmd := exec.CommandContext(running, "sh", "-c", strings.Join(p.Command, " ")) //nolint:gosec // G204: the command is the user's
	cmd.Env = append(cmd.Environ(), env...)
	cmd.Stderr = p.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the signal is for what sh started, too
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("the command cannot be started: %w", err)
	}
	done := make(chan struct{})
	defer close(done)
	keep := context.AfterFunc(running, func() { p.killLate(cmd.Process.Pid, done) })
	out := &commandOutput{stdout: stdout, wait: cmd.Wait}
	n, err := l.Push(running, path, out)
	if out.ended {
		keep() // nothing is left to kill
	}
	stop()
	if waitErr := out.end(); err == nil {
		err = waitErr
	}
	if err == nil && n == 0 {
		zerolog.Ctx(ctx).Warn().Str("path", path).Msg("the command printed nothing; stored an empty object")
	}
	return n, err
}

// killLate ends what ignores SIGTERM and holds the output open.
func (p *Push) killLate(group int, done <-chan struct{}) {
	late := p.Clock.NewTimer(stopGrace)
	defer late.Stop()
	select {
	case <-late.C():
		_ = syscall.Kill(-group, syscall.SIGKILL)
	case <-done:
	}
}

// commandOutput reads what a command prints. It ends with an error instead of
// io.EOF when the command fails, which keeps the output from being stored.
type commandOutput struct {
	stdout io.Reader
	wait   func() error
	ended  bool
	err    error
}

// Read reads the output.
func (c *commandOutput) Read(p []byte) (int, error) {
	n, err := c.stdout.Read(p)
	if errors.Is(err, io.EOF) {
		if failed := c.end(); failed != nil {
			err = failed
		}
	}
	return n, err
}

func (c *commandOutput) end() error {
	if !c.ended {
		c.ended = true
		if err := c.wait(); err != nil {
			c.err = fmt.Errorf("the command failed: %w", err)
		}
	}
	return c.err
}
