package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/dispatcher/decide"
)

// adopt takes up a run that is found under way: reports that a dead dispatcher had
// in hand are applied at once instead of at their next delivery, then what is due,
// then what may have been lost is told again. Events before since are taken as told.
func (w *worker) adopt(ctx context.Context, namespace, uid string, since time.Time) {
	rec, err := w.record(ctx, namespace, uid)
	if err == nil {
		err = w.takeUp(ctx, rec, since)
	}
	w.adopting[uid] = err != nil && !gone(err)
	if !w.adopting[uid] {
		delete(w.adopting, uid)
	} else {
		w.again(ctx, "adopt", err, func(ctx context.Context) { w.adopt(ctx, namespace, uid, since) })
	}
}

func (w *worker) takeUp(ctx context.Context, rec *record, since time.Time) error {
	inputs, err := w.waiting(ctx, rec)
	if err != nil {
		return err
	}
	inputs = append(inputs, decide.Wake{}) // its timer may be lost
	_, err = w.apply(ctx, rec, inputs...)
	if err != nil && !rec.owesLittle() {
		return err
	}
	return errors.Join(err, w.repeat(ctx, rec, since))
}

// waiting are the reports on the run that are queued.
func (w *worker) waiting(ctx context.Context, rec *record) ([]decide.Input, error) {
	reports, err := w.reports.Pending(ctx, rec.run.Namespace, rec.run.UID)
	if err != nil {
		return nil, err
	}
	inputs := make([]decide.Input, 0, len(reports)+1)
	for i := range reports {
		inputs = append(inputs, decide.Report{Report: reports[i]})
	}
	return inputs, nil
}

// repeat tells the world again what the run's state asks for, as far as it may
// have been lost. It queues a job only when it is certain that it is lost.
func (w *worker) repeat(ctx context.Context, rec *record, since time.Time) error {
	var jobs []decide.PublishJob
	var untold error // holds up no job, see perform
	for _, effect := range decide.Implied(&rec.run) {
		switch effect := effect.(type) {
		case decide.PublishJob:
			queued, err := w.jobs.Queued(ctx, event.DefaultPool, effect.Job.Key)
			if err != nil {
				return err
			}
			if !queued {
				jobs = append(jobs, effect)
			}
		case decide.Emit:
			if effect.At.Before(since) || untold != nil {
				continue
			}
			untold = w.do(ctx, &rec.run, effect)
		case decide.SetTimer:
			// Once for each process is enough: takeUp looks at the time too.
			if untold == nil && !rec.timer.Equal(effect.At) {
				untold = w.settleOne(ctx, rec, effect)
			}
		case decide.MarkCancel, decide.ClearCancel:
			if err := w.do(ctx, &rec.run, effect); err != nil {
				return err
			}
		}
	}
	if len(jobs) > 0 {
		if err := w.repeatJobs(ctx, rec, jobs); err != nil {
			return errors.Join(untold, err)
		}
	}
	if untold != nil {
		return untold
	}
	rec.told = true
	w.forget(rec)
	return nil
}

// repeatJobs queues again what is lost of the jobs, which are not in JOBS. It goes
// on looking in the order in which a job goes through the world: REPORTS, RUNS. A
// job that is nowhere there and still running was lost.
func (w *worker) repeatJobs(ctx context.Context, rec *record, jobs []decide.PublishJob) error {
	reports, err := w.reports.Pending(ctx, rec.run.Namespace, rec.run.UID)
	if err != nil {
		return err
	}
	run, _, err := w.runs.Get(ctx, rec.run.Namespace, rec.run.UID)
	if err != nil {
		return fmt.Errorf("look which jobs run: %w", err)
	}
	elsewhere := map[string]bool{}
	for i := range reports {
		if ends(reports[i].Kind) { // its delivery does the rest
			elsewhere[decide.PublishJob{Job: event.Job{Key: reports[i].Key}}.ID()] = true
		}
	}
	running := map[string]bool{}
	for _, effect := range decide.Implied(run) {
		running[effect.ID()] = true
	}
	for _, effect := range jobs {
		if elsewhere[effect.ID()] || !running[effect.ID()] {
			continue
		}
		w.logRun(run).Info().Str("job", effect.Job.Key.String()).Msg("a job was lost; it is queued again")
		if err := w.do(ctx, run, effect); err != nil {
			return err
		}
	}
	return nil
}

// ends reports whether a report of the kind ends its attempt.
func ends(kind event.ReportKind) bool {
	switch kind {
	case event.ReportSucceeded, event.ReportFailed, event.ReportCancelled:
		return true
	case event.ReportProgress, event.ReportCancel, event.ReportPause, event.ReportResume, event.ReportRetry:
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
		w.box.put(func(ctx context.Context) {
			if !w.adopting[r.uid] { // else it is tried again already, and each would go on by itself
				w.adopt(ctx, r.namespace, r.uid, still)
			}
		})
	}
}
