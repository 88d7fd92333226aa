package runner

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/internal/stream"
)

// claim is a held claim on a job.
type claim struct {
	lease   *stream.Lease
	clock   clock.PassiveClock
	ttl     time.Duration
	stop    context.CancelCauseFunc
	lost    atomic.Bool
	renewed sync.WaitGroup
	// asked is when the server was last asked, with success, to hold the claim;
	// it counts ttl from a later moment.
	asked atomic.Pointer[time.Time]
}

// held returns errLost once the claim is lost. It is asked right before something
// that must not happen twice: a process that was frozen, or a machine that was
// moved, goes on in the middle, and the goroutine that renews may not have had its
// turn yet.
func (c *claim) held() error {
	if !c.lost.Load() && c.clock.Since(*c.asked.Load()) < c.ttl {
		return nil
	}
	c.lose()
	return errLost
}

func (c *claim) lose() {
	c.lost.Store(true)
	c.stop(errLost)
}

// claim takes the job, or returns stream.ErrHeld, and renews the claim until it
// is ended. lose ends held; it is called with errLost when the claim is lost.
func (r *Runner) claim(held context.Context, lose context.CancelCauseFunc, t *task) (*claim, error) {
	asked := r.clock.Now()
	lease, err := t.leases.Claim(held, t.job.Key, r.holder, r.options.ClaimTTL)
	if err != nil {
		return nil, err
	}
	c := &claim{lease: lease, clock: r.clock, ttl: r.options.ClaimTTL, stop: lose}
	c.asked.Store(&asked)
	ticker := r.clock.NewTicker(r.options.ClaimTTL / 3)
	log := t.log // the task's own gets more fields later
	c.renewed.Go(func() {
		defer ticker.Stop()
		r.renew(held, c, ticker.C(), log)
	})
	return c, nil
}

// renew holds the claim. When the server cannot be asked for as long as the claim
// lives, it has run out, whether or not somebody else has it.
func (r *Runner) renew(held context.Context, c *claim, tick <-chan time.Time, log zerolog.Logger) {
	for {
		select {
		case <-held.Done():
			return
		case <-tick:
		}
		asked := r.clock.Now()
		ctx, cancel := context.WithTimeout(held, r.options.ClaimTTL/3)
		err := c.lease.Renew(ctx)
		cancel()
		switch {
		case err == nil:
			c.asked.Store(&asked)
		case held.Err() != nil:
			return
		case errors.Is(err, stream.ErrLost), c.held() != nil:
			log.Warn().Err(err).Msg("lost the claim; stopping without a report")
			c.lose()
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

// keepAlive tells the queue that the job is being worked on, until the returned
// function is called.
func (r *Runner) keepAlive(msg jetstream.Msg, log zerolog.Logger) (stop func()) {
	done := make(chan struct{})
	ticker := r.clock.NewTicker(r.options.AckWait / 2)
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
