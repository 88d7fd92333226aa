package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/test/harness"
)

// story runs steps and prints how each went.
type story struct {
	tools *harness.Tools
	out   io.Writer
	clock clock.PassiveClock
	start time.Time
	steps int
}

// step runs one step. What it returns is printed behind its name.
func (s *story) step(ctx context.Context, name string, do func(context.Context) (string, error)) error {
	s.steps++
	start := s.clock.Now()
	fmt.Fprintf(s.out, "%2d  %-52s", s.steps, name)
	detail, err := do(ctx)
	took := s.clock.Since(start).Round(100 * time.Millisecond)
	if err != nil {
		fmt.Fprintf(s.out, "%8s  FAILED\n", took)
		return fmt.Errorf("%s: %w", name, err)
	}
	lines := strings.Split(strings.TrimRight(detail, "\n"), "\n")
	fmt.Fprintf(s.out, "%8s  %s\n", took, lines[0])
	for _, line := range lines[1:] {
		fmt.Fprintf(s.out, "        %s\n", line)
	}
	return nil
}

// eventually repeats a check until it is true or three minutes are over.
func (s *story) eventually(ctx context.Context, what string, check func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 3*time.Minute, errors.New("not within three minutes"))
	defer cancel()
	for {
		ok, err := check(ctx)
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s: %w", what, context.Cause(ctx)), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
