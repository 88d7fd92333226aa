package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/failpoint"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/internal/again"
	"github.com/salvor-io/salvor/runner/pods"
)

const (
	// heldDelay is after how long a job that another runner holds is looked at
	// again: it keeps the job in circulation in case that runner is lost.
	heldDelay = 3 * time.Second
	// aheadDelay and aheadLimit: a job that the run does not know of yet.
	aheadDelay = time.Second
	aheadLimit = 10
	// readLimit is after how long a job whose run cannot be read is given back:
	// another runner may know the version that the run is written in.
	readLimit = 30 * time.Second
)

// outcome is what became of a job, for the metric.
type outcome string

const (
	outcomeSucceeded outcome = "succeeded"
	outcomeFailed    outcome = "failed"
	outcomeCancelled outcome = "cancelled"
	outcomeStale     outcome = "stale"
	outcomeHeld      outcome = "held"
	outcomeLost      outcome = "lost"
	outcomeReturned  outcome = "returned"
	outcomeMalformed outcome = "malformed"
	outcomePoison    outcome = "poison"
	outcomeSuspect   outcome = "suspect"
)

// task is one job that this runner holds.
type task struct {
	runner *Runner
	msg    jetstream.Msg
	job    *event.Job
	trace  string
	log    zerolog.Logger
	leases *stream.Leases
	claim  *claim
	active *activeCall
	// timedOut is the cause of the end at the deadline, if there is one.
	timedOut *function.Error
	// crashes are the runners that were lost on it; nil if none was.
	crashes *stream.Crashes
	// marks are those of pods that there are, or may be.
	marks markedParts
}

// handle works on one job; ctx outlives the runner's own by the time of a
// shutdown.
func (r *Runner) handle(ctx context.Context, msg jetstream.Msg) {
	began := r.clock.Now()
	job, trace, err := stream.DecodeJob(msg)
	if err != nil {
		r.bury(ctx, msg, err)
		r.metrics.jobs.WithLabelValues("", string(outcomeMalformed)).Inc()
		return
	}
	t := &task{runner: r, msg: msg, job: job, trace: trace, log: r.logFor(job, trace)}
	label := r.functionLabel(job)
	result := t.handle(ctx)
	r.metrics.jobs.WithLabelValues(label, string(result)).Inc()
	switch result {
	case outcomeSucceeded, outcomeFailed, outcomeCancelled, outcomePoison:
		took := r.clock.Since(began)
		r.metrics.duration.WithLabelValues(label).Observe(took.Seconds())
		t.log.Info().Str("outcome", string(result)).Dur("took", took).Msg("phase ended")
	case outcomeStale, outcomeHeld, outcomeLost, outcomeReturned, outcomeSuspect, outcomeMalformed:
		t.log.Debug().Str("outcome", string(result)).Msg("job not done here")
	}
}

func (t *task) handle(ctx context.Context) outcome {
	r := t.runner
	stop := r.keepAlive(t.msg, t.log)
	defer stop()
	var err error
	held, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	if t.leases, err = stream.NewLeases(ctx, r.js); err == nil {
		t.claim, err = r.claim(held, lose, t)
	}
	if err != nil {
		if !errors.Is(err, stream.ErrHeld) {
			t.log.Warn().Err(err).Msg("cannot claim the job; giving it back")
		}
		r.settle(t.msg.NakWithDelay(heldDelay))
		return outcomeHeld
	}
	failpoint.Here(failpoint.RunnerAfterClaim)
	result := t.work(held)
	t.claim.end()
	switch result {
	case outcomeSucceeded, outcomeFailed, outcomeCancelled, outcomePoison, outcomeStale:
		r.settle(t.msg.Ack())
		failpoint.Here(failpoint.RunnerAfterAck)
		t.forget(ctx)
		t.release(ctx)
		failpoint.Here(failpoint.RunnerAfterRelease)
	case outcomeReturned: // the next runner must find the claim free
		t.release(ctx)
		r.settle(t.msg.Nak())
	case outcomeSuspect:
		t.release(ctx)
		r.settle(t.msg.NakWithDelay(heldDelay))
	case outcomeLost, outcomeHeld, outcomeMalformed:
		t.excuse(ctx)
		r.settle(t.msg.NakWithDelay(heldDelay))
	}
	return result
}

// release gives the claim up, also while the runner shuts down.
func (t *task) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := t.claim.lease.Release(ctx); err != nil {
		t.log.Warn().Err(err).Msg("cannot release the claim; it will run out")
	}
}

// work does the phase, if it is still to be done, reports, and cleans up.
func (t *task) work(held context.Context) outcome {
	r := t.runner
	call, stop := context.WithCancelCause(held)
	defer stop(nil)
	// Registered before the run is read: a cancel is written to the run first,
	// so it is seen in one of the two places.
	t.active = r.active.add(t.job.Key, stop)
	defer r.active.remove(t.active)

	run, standing, err := t.standing(call)
	switch {
	case err != nil:
		return t.leave()
	case standing == standingAhead && t.deliveries() < aheadLimit:
		return t.later(held)
	case run == nil && !t.nobodyWaits(held):
		return outcomeStale
	case standing != standingCurrent:
		t.cleanUp(held)
		return outcomeStale
	}
	if run.Cancel != nil && t.job.Key.Kind == event.KindCore {
		stop(errCancelled)
	}
	defer t.watchDeadline(call, stop, run)()
	if call.Err() == nil { // else nothing is started
		v, end, err := t.trial(call)
		defer end()
		switch {
		case err != nil && context.Cause(call) == nil:
			return t.leave()
		case v == verdictPoison:
			return t.park(held)
		case v == verdictWait:
			return outcomeSuspect
		}
	}
	return t.finish(held, t.perform(call, run))
}

// nobodyWaits tells whether the pods of a run without a record may go. While its
// ActionSet goes on, the record was lost: the run is made anew, with the same
// identity, and adopts them.
func (t *task) nobodyWaits(ctx context.Context) bool {
	over, err := t.runner.podOver(ctx, pods.Identity{Key: t.job.Key, ActionSet: t.job.ActionSet})
	if err != nil || !over {
		t.log.Warn().Err(err).Msg("the run of this job has no record; its pods are left to the sweep")
	}
	return err == nil && over
}

// finish makes sure that what was found is told, then takes the pods away.
func (t *task) finish(held context.Context, e ending) outcome {
	if t.claim.held() != nil {
		t.runner.pods.Leave(t.job.Key)
		return outcomeLost
	}
	if e.kind == endingLeft {
		return t.leave()
	}
	report, err := t.reportOf(held, e)
	if err == nil {
		failpoint.Here(failpoint.RunnerBeforeReport)
		err = t.publish(held, report)
		failpoint.Here(failpoint.RunnerAfterReport)
	}
	if err != nil {
		return t.leave()
	}
	t.cleanUp(held)
	failpoint.Here(failpoint.RunnerAfterCleanup)
	switch e.kind {
	case endingSucceeded:
		return outcomeSucceeded
	case endingCancelled:
		return outcomeCancelled
	case endingFailed, endingTimedOut, endingLeft:
	}
	return outcomeFailed
}

// leave stops without a report and leaves the pods to whoever claims next.
func (t *task) leave() outcome {
	t.runner.pods.Leave(t.job.Key)
	if t.claim.lost.Load() {
		return outcomeLost
	}
	return outcomeReturned
}

// later gives the job back for a moment: its state is not written yet.
func (t *task) later(held context.Context) outcome {
	t.log.Debug().Msg("the run does not know of this attempt yet")
	_ = again.Sleep(held, t.runner.clock, aheadDelay) // given back either way
	return outcomeReturned
}

// standing reads the run until it is known how the attempt stands. An attempt
// whose end was reported is over, although the run may not say so yet: its runner
// died before it could acknowledge the job, and its pod may be gone. REPORTS is
// read first, because a report leaves it only after the run was written.
func (t *task) standing(ctx context.Context) (*event.Run, standing, error) {
	var run *event.Run
	var reported bool
	err := again.Do(ctx, again.Policy{
		Clock: t.runner.clock, Limit: readLimit,
		If:     func(err error) bool { return !errors.Is(err, stream.ErrNotFound) },
		Failed: func(err error) { t.log.Warn().Err(err).Msg("cannot read the run; trying again") },
	}, func(ctx context.Context) (err error) {
		waiting, err := t.runner.reports.Pending(ctx, t.job.Key.Namespace, t.job.Key.UID)
		if err != nil {
			return err
		}
		reported = slices.ContainsFunc(waiting, t.ends)
		run, _, err = t.runner.runs.Get(ctx, t.job.Key.Namespace, t.job.Key.UID)
		return err
	})
	if errors.Is(err, stream.ErrNotFound) {
		return nil, standingOver, nil
	}
	if err != nil {
		return nil, standingAhead, err
	}
	if reported {
		return run, standingOver, nil
	}
	return run, standingOf(run, t.job.Key), nil
}

// ends tells whether a report is the end of this attempt.
func (t *task) ends(r event.Report) bool {
	switch r.Kind {
	case event.ReportSucceeded, event.ReportFailed, event.ReportCancelled:
		return r.Key == t.job.Key
	case event.ReportProgress, event.ReportCancel, event.ReportPause, event.ReportResume, event.ReportRetry:
	}
	return false
}

// cleanUp deletes the attempt's pods. What fails here is swept later.
func (t *task) cleanUp(ctx context.Context) {
	if err := t.runner.pods.Cleanup(ctx, t.job.Key); err != nil {
		t.log.Warn().Err(err).Msg("cannot delete the phase's pods now; they will be swept")
		t.runner.pods.Leave(t.job.Key)
	}
}

// insist repeats something that must not fail while ctx lives.
func (t *task) insist(ctx context.Context, what string, f func(context.Context) error) error {
	return t.insistUnless(ctx, what, nil, f)
}

// insistUnless is insist where one error, if not nil, is an answer.
func (t *task) insistUnless(ctx context.Context, what string, answer error, f func(context.Context) error) error {
	return again.Do(ctx, again.Policy{
		Clock:  t.runner.clock,
		If:     func(err error) bool { return answer == nil || !errors.Is(err, answer) },
		Failed: func(err error) { t.log.Warn().Err(err).Msg("cannot " + what + "; trying again") },
	}, f)
}

func (t *task) deliveries() uint64 {
	meta, err := t.msg.Metadata()
	if err != nil {
		return aheadLimit
	}
	return meta.NumDelivered
}

// settle logs what became of an acknowledgement. One that is lost leads to a
// redelivery, which finds the attempt ended.
func (r *Runner) settle(err error) {
	if err != nil {
		r.log.Debug().Err(err).Msg("acknowledge a job")
	}
}

func (r *Runner) logFor(job *event.Job, trace string) zerolog.Logger {
	with := r.log.With().
		Str("actionSet", job.Key.Namespace+"/"+job.ActionSet).Str("uid", job.Key.UID).
		Int("action", job.Key.Action).Str("phase", phaseLabel(job)).Str("func", job.Func).Int("attempt", job.Key.Attempt)
	if trace != "" {
		with = with.Str("traceparent", trace)
	}
	return with.Logger()
}

func phaseLabel(job *event.Job) string {
	if job.PhaseName != "" {
		return job.PhaseName
	}
	return fmt.Sprintf("%s-%d", job.Key.Kind, job.Key.Phase)
}

func (r *Runner) functionLabel(job *event.Job) string {
	if _, known := blueprint.Lookup(job.Func); known {
		return job.Func
	}
	if job.Key.Kind == event.KindRender {
		return string(event.KindRender)
	}
	return "unknown"
}

// logLabels are the labels of the ActionSet that go to every line, whole, as in
// Kanister.
func logLabels(log zerolog.Logger, labels map[string]string) zerolog.Logger {
	with := log.With()
	for name, value := range labels {
		if strings.HasPrefix(name, "kanister.io/") {
			with = with.Str(name, value)
		}
	}
	return with.Logger()
}
