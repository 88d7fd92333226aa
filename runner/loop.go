package runner

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/runner/internal/again"
)

// take hands out one job for each free slot until ctx ends. Whoever works on the
// job frees the slot.
func (r *Runner) take(ctx context.Context, work func(jetstream.Msg)) {
	_ = again.Do(ctx, again.Policy{Clock: r.clock, Failed: func(err error) { //nolint:errcheck // it ends with ctx
		r.taking.Store(false)
		r.log.Warn().Err(err).Msg("cannot take jobs; trying again")
	}}, func(ctx context.Context) error {
		consumer, err := r.jobs.Consumer(ctx, r.options.Pool, r.options.AckWait)
		if err != nil {
			return err //nolint:wrapcheck // says what it is
		}
		r.taking.Store(true)
		return r.takeFrom(ctx, consumer, work)
	})
}

// takeFrom ends with an error: of the queue, or because ctx ended.
func (r *Runner) takeFrom(ctx context.Context, consumer jetstream.Consumer, work func(jetstream.Msg)) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err() //nolint:wrapcheck // the caller's own
		case r.slots <- struct{}{}:
		}
		msg, err := consumer.Next(jetstream.FetchContext(ctx))
		if err == nil {
			r.metrics.busy.Inc()
			work(msg)
			continue
		}
		<-r.slots
		if ctx.Err() == nil && !errors.Is(err, nats.ErrTimeout) {
			return err //nolint:wrapcheck // logged by take
		}
	}
}

func (r *Runner) freeSlot() {
	r.metrics.busy.Dec()
	<-r.slots
}
