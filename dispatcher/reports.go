package dispatcher

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/dispatcher/decide"
	"github.com/salvor-io/salvor/internal/failpoint"
	"github.com/salvor-io/salvor/internal/stream"
)

// consume reads REPORTS until ctx ends.
func (e *engine) consume(ctx context.Context) {
	for ctx.Err() == nil {
		err := e.consumeOnce(ctx)
		e.owner.consuming.Store(false)
		if err != nil && ctx.Err() == nil {
			e.log.Error().Err(err).Msg("reports cannot be read; trying again")
			e.sleep(ctx, pause)
		}
	}
}

func (e *engine) consumeOnce(ctx context.Context) error {
	consumer, err := e.reports.Consumer(ctx, e.options.ReportAckWait)
	if err != nil {
		return err
	}
	e.owner.consuming.Store(true)
	return stream.RunLoop(ctx, consumer, e.take)
}

// take hands a report to the worker of its run.
func (e *engine) take(ctx context.Context, msg jetstream.Msg) {
	report, _, err := stream.DecodeReport(msg)
	if err == nil && (report.Key.UID == "" || report.Key.Namespace == "") {
		err = errors.New("it names no run")
	}
	if err != nil {
		e.metrics.malformed.WithLabelValues(event.StreamReports).Inc()
		e.setAside(ctx, msg, fmt.Errorf("the report cannot be read: %w", err))
		return
	}
	select {
	case <-ctx.Done():
		return
	case e.inHand <- struct{}{}:
	}
	w := e.worker(report.Key.UID)
	w.box.put(func(ctx context.Context) {
		defer func() { <-e.inHand }()
		w.report(ctx, report, msg)
	})
}

// report handles one report to its acknowledgement.
func (w *worker) report(ctx context.Context, r *event.Report, msg jetstream.Msg) {
	deliveries := delivered(msg)
	log := w.log.With().Str("report", string(r.Kind)).Str("job", r.Key.String()).Str("namespace", r.Key.Namespace).Logger()
	rec, err := w.record(ctx, r.Key.Namespace, r.Key.UID)
	changed := false
	if err == nil {
		changed, err = w.apply(ctx, rec, decide.Report{Report: *r})
	}
	if errors.Is(err, stream.ErrMalformed) {
		// A newer program may have written the run. What its phases report must
		// not be lost over that.
		w.metrics.report(r.Kind, "unreadable")
		w.setAside(ctx, msg, fmt.Errorf("the state of the run it is about cannot be read: %w", err))
		return
	}
	if gone(err) {
		log.Warn().Err(err).Msg("a report on a run that cannot be read; it is dropped")
		w.metrics.report(r.Kind, "unknown")
		w.acked(msg.TermWithReason("no such run"))
		return
	}
	if err == nil && !changed && !rec.told && deliveries > 1 {
		// A dispatcher may have died after it wrote the run and before the rest.
		// Once is enough: a slow dispatcher must not be made slower by this.
		err = w.repeat(ctx, rec, rec.run.CreatedAt)
	}
	if err != nil {
		if ctx.Err() == nil {
			log.Error().Err(err).Msg("a report could not be handled to its end; it comes again")
			w.metrics.report(r.Kind, "again")
		}
		w.acked(msg.NakWithDelay(backoff(deliveries)))
		return
	}
	failpoint.Here(failpoint.DispatcherBeforeAck)
	w.acked(msg.Ack())
	failpoint.Here(failpoint.DispatcherAfterAck)
	if changed {
		w.metrics.report(r.Kind, "changed")
	} else {
		w.metrics.report(r.Kind, "stale")
	}
	if changed && rec.run.State.Terminal() {
		w.logRun(&rec.run).Info().Str("state", string(rec.run.State)).Msg("run ended")
	}
}

// setAsideAfter is how often a report that cannot be handled is tried, with pauses
// of up to half a minute, before it becomes a dead letter: while two versions of the
// program are there, the other one may know what to do with it.
const setAsideAfter = 10

// setAside deals with a report that means nothing to this program. It is never
// dropped: it is delivered again, to any dispatcher, and ends as a dead letter.
func (e *engine) setAside(ctx context.Context, msg jetstream.Msg, why error) {
	n := delivered(msg)
	log := e.log.With().Str("subject", msg.Subject()).Int("delivered", n).Logger()
	letters := e.owner.deps.DeadLetters
	if n < setAsideAfter || letters == nil {
		log.Error().Err(why).Msg("a report cannot be handled; it is tried again, perhaps by a newer dispatcher")
		e.acked(msg.NakWithDelay(backoff(n)))
		return
	}
	letter := &event.DeadLetter{At: e.clock.Now(), Reason: why.Error(), Subject: msg.Subject(), Message: msg.Data()}
	if r, _, err := stream.DecodeReport(msg); err == nil {
		letter.Key = r.Key
	}
	if err := letters.Publish(ctx, letter); err != nil {
		log.Error().Err(err).Msg("a dead letter cannot be stored; trying again")
		e.acked(msg.NakWithDelay(backoff(n)))
		return
	}
	log.Error().Err(why).Msg("a report was set aside; it lies on the stream " + event.StreamDLQ)
	e.acked(msg.TermWithReason("set aside"))
}

// delivered is how often the message was, this time included.
func delivered(msg jetstream.Msg) int {
	meta, err := msg.Metadata()
	if err != nil {
		return 1
	}
	return int(meta.NumDelivered) //nolint:gosec // a small number
}

// acked takes the result of an acknowledgement. A lost one brings the report
// back, and then it means nothing any more.
func (e *engine) acked(err error) {
	if err != nil {
		e.log.Debug().Err(err).Msg("an acknowledgement was not sent")
	}
}
