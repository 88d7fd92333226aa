package dispatcher

import (
	"context"
	"fmt"
	"time"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/dispatcher/decide"
)

// adopt takes up a run that is found under way: reports that a dead dispatcher had
// in hand are applied at once instead of at their next delivery, then what may
// have been lost is told again. Events before since are taken as told.
func (w *worker) adopt(ctx context.Context, namespace, uid string, since time.Time) {
	rec, err := w.record(ctx, namespace, uid)
	if gone(err) {
		return
	}
	if err == nil {
		err = w.takeUp(ctx, rec, since)
	}
	if err != nil {
		w.again(ctx, "adopt", err, func(ctx context.Context) { w.adopt(ctx, namespace, uid, since) })
	}
}

func (w *worker) takeUp(ctx context.Context, rec *record, since time.Time) error {
	reports, err := w.reports.Pending(ctx, rec.run.Namespace, rec.run.UID)
	if err != nil {
		return err //nolint:wrapcheck // says all
	}
	inputs := make([]decide.Input, 0, len(reports)+len(rec.run.Actions))
	for i := range reports {
		inputs = append(inputs, decide.Report{Report: reports[i]})
	}
	for i := range rec.run.Actions {
		inputs = append(inputs, decide.Release{Action: i}) // it has a slot if it runs
	}
	if _, err := w.apply(ctx, rec, inputs...); err != nil {
		return err
	}
	return w.repeat(ctx, rec, since)
}

// repeat tells the world again what the run's state asks for, as far as it may
// have been lost. It queues a job only when it is certain that it is lost.
func (w *worker) repeat(ctx context.Context, rec *record, since time.Time) error {
	for _, effect := range decide.Implied(&rec.run) {
		switch effect := effect.(type) {
		case decide.PublishJob:
			if err := w.repeatJob(ctx, rec, effect); err != nil {
				return err
			}
		case decide.Emit:
			if effect.At.Before(since) {
				continue
			}
			if err := w.do(ctx, &rec.run, effect); err != nil {
				return err
			}
		case decide.MarkCancel:
			if err := w.do(ctx, &rec.run, effect); err != nil {
				return err
			}
		}
	}
	w.forget(rec)
	return nil
}

// repeatJob looks in the order in which a job goes through the world: JOBS,
// REPORTS, RUNS. A job that is nowhere there and still running was lost.
func (w *worker) repeatJob(ctx context.Context, rec *record, effect decide.PublishJob) error {
	k := effect.Job.Key
	queued, err := w.jobs.Queued(ctx, event.DefaultPool, k)
	if err != nil || queued {
		return err //nolint:wrapcheck // says all
	}
	reports, err := w.reports.Pending(ctx, k.Namespace, k.UID)
	if err != nil {
		return err //nolint:wrapcheck // says all
	}
	for i := range reports {
		if reports[i].Key == k && ends(reports[i].Kind) {
			return nil // its delivery does the rest
		}
	}
	run, _, err := w.runs.Get(ctx, k.Namespace, k.UID)
	if err != nil {
		return fmt.Errorf("look whether job %s runs: %w", k, err)
	}
	for _, e := range decide.Implied(run) {
		if e.ID() == effect.ID() {
			w.logRun(run).Info().Str("job", k.String()).Msg("a job was lost; it is queued again")
			return w.do(ctx, run, effect)
		}
	}
	return nil
}

// ends reports whether a report of the kind ends its attempt.
func ends(kind event.ReportKind) bool {
	switch kind {
	case event.ReportSucceeded, event.ReportFailed, event.ReportCancelled:
		return true
	case event.ReportProgress, event.ReportCancel:
		return false
	}
	return false
}

// recheck takes up runs under way that have not moved since the last time: their
// dispatcher may have gone and left something undone.
func (e *engine) recheck(ctx context.Context) {
	still := e.clock.Now().Add(-e.options.RecheckInterval)
	for _, r := range e.view.list(func(r seen) bool { return r.state == event.StateRunning && r.updated.Before(still) }) {
		w := e.worker(r.uid)
		w.box.put(func(ctx context.Context) { w.adopt(ctx, r.namespace, r.uid, still) })
	}
}
