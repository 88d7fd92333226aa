// Package progress writes a line per step with its duration, so that a person
// who waits sees what for.
package progress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// heartbeat is how often a long step says that it still runs.
const heartbeat = 30 * time.Second

// Printer writes the steps of one command.
type Printer struct {
	mu    sync.Mutex
	out   io.Writer
	began time.Time
}

// New returns a printer whose total counts from now.
func New(out io.Writer) *Printer {
	return &Printer{out: out, began: time.Now()}
}

// Skipped is what the work of a step returns when there is nothing to do; it
// says why.
type Skipped string //nolint:errname // it is no failure

func (s Skipped) Error() string { return string(s) }

// Step runs work and writes how long it took, that it failed, or why there was
// nothing to do.
func (p *Printer) Step(ctx context.Context, what string, work func(context.Context) error) error {
	return p.Watched(ctx, what, nil, work)
}

// Watched is Step for long work: every half minute it says that the work goes
// on and what note, when not nil, tells about it.
func (p *Printer) Watched(ctx context.Context, what string, note func() string, work func(context.Context) error) error {
	start := time.Now()
	stop := make(chan struct{})
	var beat sync.WaitGroup
	beat.Go(func() { p.beat(what, note, start, stop) })
	err := work(ctx)
	close(stop)
	beat.Wait()
	if skipped, ok := errors.AsType[Skipped](err); ok {
		p.Skip(what, string(skipped))
		return nil
	}
	if err != nil {
		p.line("  FAILED  %-44s %8s", what, Short(time.Since(start)))
		return fmt.Errorf("%s: %w", what, err)
	}
	p.line("  ok      %-44s %8s", what, Short(time.Since(start)))
	return nil
}

// Skip says that a step was not needed, and why.
func (p *Printer) Skip(what, why string) {
	p.line("  --      %-44s %8s", what, why)
}

// Title begins a group of steps.
func (p *Printer) Title(format string, args ...any) {
	p.line(format, args...)
}

// Total ends the command with the time since New.
func (p *Printer) Total(format string, args ...any) {
	p.line("%s (%s)", fmt.Sprintf(format, args...), Short(time.Since(p.began)))
}

func (p *Printer) beat(what string, note func() string, start time.Time, stop <-chan struct{}) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			extra := ""
			if note != nil {
				extra = ", " + note()
			}
			p.line("  ...     %-44s %8s%s", what, Short(time.Since(start)), extra)
		}
	}
}

func (p *Printer) line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// Short writes a duration the way a person says it.
func Short(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	default:
		return d.Round(time.Second).String()
	}
}
