// Package again calls something until it works: one retry policy for the runner,
// on the clock that tests hold.
package again

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
)

// Policy says how long and how often.
type Policy struct {
	Clock clock.Clock
	// Limit bounds the whole, from the first call; 0 means until ctx ends.
	Limit time.Duration
	// If decides which errors are worth another call; nil means all.
	If func(error) bool
	// Failed, if not nil, is told of every error that is followed by another
	// call.
	Failed func(error)
}

// Do calls f until it returns nil, or an error that the policy does not repeat,
// which is returned. Calls are 0.2 s apart at first and 10 s at most, with
// jitter. When ctx ends in between, its cause is returned with the last error's
// text.
func Do(ctx context.Context, p Policy, f func(context.Context) error) error {
	start := p.Clock.Now()
	step := first()
	for {
		called := p.Clock.Now()
		err := f(ctx)
		if p.Clock.Since(called) > calm {
			step = first()
		}
		if err == nil || p.If != nil && !p.If(err) {
			return err
		}
		if p.Limit > 0 && p.Clock.Since(start) >= p.Limit {
			return fmt.Errorf("still failing after %s: %w", p.Limit, err)
		}
		if p.Failed != nil && ctx.Err() == nil {
			p.Failed(err)
		}
		if cause := Sleep(ctx, p.Clock, step.Step()); cause != nil {
			return fmt.Errorf("%w (last error: %s)", cause, err) //nolint:errorlint // the end of ctx is what counts
		}
	}
}

// calm is how long a call must have gone well for the next waits to be short
// again.
const calm = time.Minute

func first() wait.Backoff {
	return wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.3, Steps: 20, Cap: 10 * time.Second}
}

// Sleep waits for d or for the end of ctx, whose cause it then returns.
func Sleep(ctx context.Context, c clock.Clock, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) //nolint:wrapcheck // the caller's own
	}
	timer := c.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx) //nolint:wrapcheck // the caller's own
	case <-timer.C():
		return nil
	}
}
