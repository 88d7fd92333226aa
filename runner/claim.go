package runner

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/stream"
)

// claim is a held claim on a job. Its context ends with errLost when the claim
// is lost.
type claim struct {
	lease   *stream.Lease
	held    context.Context //nolint:containedctx // the claim is what bounds the work
	stop    context.CancelCauseFunc
	renewed sync.WaitGroup
}

// claim takes the job, or returns stream.ErrHeld, and renews the claim until it
// is ended.
func (r *Runner) claim(ctx context.Context, leases *stream.Leases, k event.Key, log zerolog.Logger) (*claim, error) {
	lease, err := leases.Claim(ctx, k, r.holder, r.options.ClaimTTL)
	if err != nil {
		return nil, err //nolint:wrapcheck // says what it is
	}
	c := &claim{lease: lease}
	c.held, c.stop = context.WithCancelCause(ctx)
	ticker := r.clock.NewTicker(r.options.ClaimTTL / 3)
	c.renewed.Go(func() {
		defer ticker.Stop()
		r.renew(c, ticker.C(), log)
	})
	return c, nil
}

// renew holds the claim. When the server cannot be asked for as long as the claim
// lives, it has run out, whether or not somebody else has it.
func (r *Runner) renew(c *claim, tick <-chan time.Time, log zerolog.Logger) {
	last := r.clock.Now()
	for {
		select {
		case <-c.held.Done():
			return
		case <-tick:
		}
		ctx, cancel := context.WithTimeout(c.held, r.options.ClaimTTL/3)
		err := c.lease.Renew(ctx)
		cancel()
		switch {
		case err == nil:
			last = r.clock.Now()
		case c.held.Err() != nil:
			return
		case errors.Is(err, stream.ErrLost), r.clock.Since(last) >= r.options.ClaimTTL:
			log.Warn().Err(err).Msg("lost the claim; stopping without a report")
			c.stop(errLost)
			return
		default:
			log.Warn().Err(err).Msg("cannot renew the claim; trying again")
		}
	}
}

// end stops renewing; the claim stays until it runs out or is released.
func (c *claim) end() {
	c.stop(nil)
	c.renewed.Wait()
}

// lost reports whether the claim was lost.
func (c *claim) lost() bool { return errors.Is(context.Cause(c.held), errLost) }

// keepAlive tells the queue that the job is being worked on, until the returned
// function is called.
func (r *Runner) keepAlive(msg jetstream.Msg, log zerolog.Logger) (stop func()) {
	done := make(chan struct{})
	ticker := r.clock.NewTicker(r.options.AckWait / 3)
	var alive sync.WaitGroup
	alive.Go(func() {
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C():
				if err := msg.InProgress(); err != nil {
					log.Debug().Err(err).Msg("sign of life")
				}
			}
		}
	})
	return func() {
		close(done)
		alive.Wait()
	}
}
