package dispatcher

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/dispatcher/decide"
	"github.com/salvor-io/salvor/internal/failpoint"
	"github.com/salvor-io/salvor/internal/stream"
)

// consumeTimers reads the timers that fired until ctx ends. While they cannot be
// read, runs wait for the next recheck.
func (e *engine) consumeTimers(ctx context.Context) {
	for ctx.Err() == nil {
		consumer, err := e.timers.Consumer(ctx, e.options.ReportAckWait)
		if err == nil {
			err = stream.RunLoop(ctx, consumer, e.takeTimer)
		}
		if err != nil && ctx.Err() == nil {
			e.log.Error().Err(err).Msg("timers cannot be read; trying again")
			e.sleep(ctx, pause)
		}
	}
}

// takeTimer hands a timer to the worker of its run.
func (e *engine) takeTimer(ctx context.Context, msg jetstream.Msg) {
	timer, err := stream.DecodeTimer(msg)
	if err != nil {
		e.metrics.malformed.WithLabelValues(event.StreamTimers).Inc()
		e.log.Error().Err(err).Str("subject", msg.Subject()).Msg("a timer cannot be read; its run is looked at all the same, at the next recheck")
		e.acked(msg.TermWithReason("malformed"))
		return
	}
	select {
	case <-ctx.Done():
		return
	case e.inHand <- struct{}{}:
	}
	w := e.worker(timer.UID)
	w.box.put(func(ctx context.Context) {
		defer func() { <-e.inHand }()
		w.fired(ctx, timer, msg)
	})
}

// earlyLimit is how early a timer may be to be waited for here. The clocks of two
// machines differ; one that was set again to a time that the server takes for past
// would come back at once, again and again.
const earlyLimit = time.Minute

// fired lets what is due happen, and sees to the next time.
func (w *worker) fired(ctx context.Context, timer *event.Timer, msg jetstream.Msg) {
	rec, err := w.record(ctx, timer.Namespace, timer.UID)
	changed := false
	if err == nil {
		changed, err = w.wake(ctx, rec)
	}
	failpoint.Here(failpoint.DispatcherAfterFired)
	switch {
	case gone(err):
		w.metrics.timer("unknown")
	case err != nil:
		if ctx.Err() == nil {
			w.log.Error().Err(err).Str("run", timer.UID).Str("namespace", timer.Namespace).Msg("a timer could not be handled to its end; it comes again")
			w.metrics.timer("again")
		}
		w.acked(msg.NakWithDelay(pause))
		return
	case changed:
		w.metrics.timer("changed")
	default:
		w.metrics.timer("stale")
		if early := w.rearm(ctx, rec); early > 0 {
			w.acked(msg.NakWithDelay(early))
			return
		}
	}
	w.acked(msg.Ack())
}

// wake lets what is due happen, after the reports that wait: an attempt whose end
// was told in time must not be ended because its report is read late. changed is
// about the time only.
func (w *worker) wake(ctx context.Context, rec *record) (changed bool, err error) {
	reports, err := w.waiting(ctx, rec)
	if err != nil {
		return false, err
	}
	if len(reports) > 0 {
		if _, err := w.apply(ctx, rec, reports...); err != nil && !rec.owesLittle() {
			return false, err
		}
	}
	return w.apply(ctx, rec, decide.Wake{})
}

// rearm sets the timer that the run waits for. Is it due within earlyLimit, it
// returns how long that is, and sets nothing.
func (w *worker) rearm(ctx context.Context, rec *record) time.Duration {
	for _, effect := range decide.Implied(&rec.run) {
		timer, ok := effect.(decide.SetTimer)
		if !ok {
			continue
		}
		early := timer.At.Sub(w.clock.Now())
		if early <= earlyLimit {
			return max(early, time.Millisecond)
		}
		if !rec.timer.Equal(timer.At) {
			if err := w.settleOne(ctx, rec, effect); err != nil {
				w.logRun(&rec.run).Error().Err(err).Msg("the next timer could not be set; the run is looked at by the next recheck")
			}
		}
	}
	return 0
}
