package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/dispatcher/decide"
	"github.com/salvor-io/salvor/internal/failpoint"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/internal/telemetry"
)

// conflictLimit bounds the decisions on one input before somebody else gets the
// worker's attention.
const conflictLimit = 10

// apply decides what the inputs make of the run, writes that in one message and
// does what it asks for. changed is false when the inputs meant nothing. With an
// error, the same inputs may be applied again.
func (w *worker) apply(ctx context.Context, rec *record, inputs ...decide.Input) (changed bool, err error) {
	reread := rec.uncertain
	for range conflictLimit {
		if reread {
			if err := w.reread(ctx, rec); err != nil {
				return false, err
			}
		}
		next, effects, changed := fold(rec.run, w.clock.Now(), inputs)
		if !changed {
			if reread {
				// The newer revision may be our own, its answer lost and its
				// effects with it.
				err = w.repeat(ctx, rec, time.Time{})
			}
			return false, errors.Join(err, w.perform(ctx, rec))
		}
		if err := w.fit(ctx, &next); err != nil {
			return false, err
		}
		failpoint.Here(failpoint.DispatcherBeforeWrite)
		revision, err := w.runs.Update(ctx, &next, rec.revision)
		failpoint.Here(failpoint.DispatcherAfterWrite)
		if err == nil {
			if w.spans != nil {
				w.spans.Export(ctx, telemetry.Ended(&rec.run, &next)...)
			}
			rec.run, rec.revision = next, revision
			rec.owed = append(rec.owed, effects...)
			w.records[next.UID] = rec // also one that had ended and goes on
			return true, w.perform(ctx, rec)
		}
		if !errors.Is(err, stream.ErrConflict) {
			rec.uncertain = true
			return false, fmt.Errorf("store the run: %w", err)
		}
		w.metrics.conflicts.Inc()
		reread = true
	}
	return false, fmt.Errorf("run %s/%s: %d writes in a row met a newer revision", rec.run.Namespace, rec.run.Name, conflictLimit)
}

// fold decides on several inputs as one step.
func fold(run event.Run, now time.Time, inputs []decide.Input) (next event.Run, effects []decide.Effect, changed bool) {
	next = run
	for _, in := range inputs {
		d := decide.Decide(next, in, now)
		next, effects, changed = d.Run, append(effects, d.Effects...), changed || d.Changed
	}
	return next, effects, changed
}

func (w *worker) reread(ctx context.Context, rec *record) error {
	run, revision, err := w.runs.Get(ctx, rec.run.Namespace, rec.run.UID)
	if gone(err) {
		delete(w.records, rec.run.UID)
	}
	if err != nil {
		return fmt.Errorf("read the run again: %w", err)
	}
	rec.run, rec.revision, rec.uncertain, rec.told = *run, revision, false, false
	return nil
}

// perform does what is owed. What fails stays owed, with all that follows it, but
// for one thing: an event or a timer that cannot be told holds up later ones and no
// job. EVENTS is full when others have filled it, and an application that was
// quiesced must not stay so because of that.
func (w *worker) perform(ctx context.Context, rec *record) error {
	var untold []decide.Effect
	var failed error
	for len(rec.owed) > 0 {
		effect := rec.owed[0]
		if canWait(effect) && failed != nil {
			untold = append(untold, effect)
		} else if err := w.settleOne(ctx, rec, effect); err != nil {
			if !canWait(effect) {
				rec.owed = append(untold, rec.owed...)
				return errors.Join(failed, err)
			}
			untold, failed = append(untold, effect), err
		}
		rec.owed = rec.owed[1:]
	}
	rec.owed = untold
	w.forget(rec)
	return failed
}

// settleOne does one effect. A job whose publication failed may be queued all the
// same, and be done by now, with its report on the way: it is queued again only
// with the proof that repeatJobs asks for.
func (w *worker) settleOne(ctx context.Context, rec *record, effect decide.Effect) error {
	job, isJob := effect.(decide.PublishJob)
	if !isJob {
		err := w.do(ctx, &rec.run, effect)
		if t, ok := effect.(decide.SetTimer); ok && err == nil {
			rec.timer = t.At
		}
		return err
	}
	var err error
	if rec.unsure == effect.ID() {
		err = w.requeue(ctx, rec, job)
	} else {
		err = w.do(ctx, &rec.run, effect)
	}
	rec.unsure = ""
	if err != nil {
		rec.unsure = effect.ID()
	}
	return err
}

func (w *worker) requeue(ctx context.Context, rec *record, job decide.PublishJob) error {
	queued, err := w.jobs.Queued(ctx, event.DefaultPool, job.Job.Key)
	if err != nil || queued {
		return err
	}
	return w.repeatJobs(ctx, rec, []decide.PublishJob{job})
}

// owesLittle reports whether nothing is left to do for the run but what can wait.
func (rec *record) owesLittle() bool {
	return len(rec.owed) > 0 && !slices.ContainsFunc(rec.owed, func(e decide.Effect) bool { return !canWait(e) })
}

// canWait reports whether no job needs the effect before it.
func canWait(effect decide.Effect) bool {
	switch effect.(type) {
	case decide.Emit, decide.SetTimer, decide.ClearTimer:
		return true
	}
	return false
}

func (w *worker) do(ctx context.Context, run *event.Run, effect decide.Effect) error {
	switch effect := effect.(type) {
	case decide.PublishJob:
		err := w.jobs.Publish(ctx, event.DefaultPool, &effect.Job, run.Traceparent)
		failpoint.Here(failpoint.DispatcherAfterJob)
		if err != nil && !errors.Is(err, stream.ErrExists) {
			return err
		}
		return nil
	case decide.MarkCancel:
		err := w.leases.Cancel(ctx, effect.UID)
		failpoint.Here(failpoint.DispatcherAfterCancel)
		return err
	case decide.ClearCancel:
		return w.leases.ClearCancel(ctx, effect.UID)
	case decide.SetTimer:
		err := w.timers.Set(ctx, effect.Namespace, effect.UID, effect.At)
		failpoint.Here(failpoint.DispatcherAfterTimer)
		return err
	case decide.ClearTimer:
		return w.timers.Clear(ctx, effect.Namespace, effect.UID)
	case decide.Emit:
		e, err := event.NewLifecycleEvent(effect.Type, effect.EventID, effect.At, run.Traceparent, &effect.Lifecycle)
		if err != nil {
			return err
		}
		_, err = w.events.Publish(ctx, run.Namespace, e)
		failpoint.Here(failpoint.DispatcherAfterEvent)
		return err
	}
	return fmt.Errorf("effect %T is not known", effect)
}

// settle tries again, after a while, to do what is owed for a run whose input
// nobody will deliver again.
func (w *worker) settle(ctx context.Context, rec *record, n int) {
	w.metrics.retries.WithLabelValues("effects").Inc()
	w.later(ctx, backoff(n), func() {
		w.box.put(func(ctx context.Context) {
			if err := w.perform(ctx, rec); err != nil {
				w.logRun(&rec.run).Error().Err(err).Msg("the run is stored, but not all that follows could be told; trying again")
				w.settle(ctx, rec, n+1)
			}
		})
	})
}
