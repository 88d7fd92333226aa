package dispatcher

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/rs/zerolog"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/dispatcher/decide"
	"github.com/salvor-io/salvor/internal/failpoint"
)

// outcome of an attempt to plan an action: one of plan, failure and err is set.
// err means that it may go better another time.
type outcome struct {
	plan    *decide.Plan
	failure *event.Failure
	err     error
}

// begin plans the action that has its turn, or lets it go on.
func (w *worker) begin(ctx context.Context, s slot) {
	rec, err := w.record(ctx, s.namespace, s.uid)
	if err == nil && rec.uncertain {
		err = w.reread(ctx, rec)
		rec.uncertain = true // so that apply sees to what was lost
	}
	switch {
	case gone(err):
		w.log.Warn().Err(err).Str("run", s.uid).Msg("a run that had its turn cannot be read; it is left alone")
		w.turns.leave(s)
		return
	case err != nil:
		w.again(ctx, "begin", err, func(ctx context.Context) { w.begin(ctx, s) })
		return
	case rec.run.State.Terminal():
		w.turns.leave(s)
		return
	case s.action >= len(rec.run.Actions):
		// A run without actions; any input ends it.
		w.startWith(ctx, rec, s, decide.Release{Action: s.action})
		return
	}
	switch rec.run.Actions[s.action].State {
	case event.StatePending:
		w.beginPlan(ctx, rec, s)
	case event.StateRunning:
		if occupied(&rec.run, s.action) {
			return // keeps its slot
		}
		w.startWith(ctx, rec, s, decide.Release{Action: s.action})
	case event.StateComplete, event.StateFailed, event.StateCancelled:
		w.turns.leave(s)
	}
}

// beginPlan plans the action in the background.
func (w *worker) beginPlan(ctx context.Context, rec *record, s slot) {
	a := rec.plans[s.action]
	if a == nil {
		a = &attempts{since: w.clock.Now()}
		rec.plans[s.action] = a
	}
	if a.busy {
		return
	}
	a.busy = true
	run := rec.run
	w.group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case w.planning <- struct{}{}:
		}
		o := w.plan(ctx, &run, s.action)
		<-w.planning
		w.box.put(func(ctx context.Context) { w.planned(ctx, s, o) })
		return nil
	})
}

// plan asks the planner. A panic there is a failure of this action only.
func (e *engine) plan(ctx context.Context, run *event.Run, action int) (o outcome) {
	defer func() {
		if r := recover(); r != nil {
			e.logRun(run).Error().Str("panic", fmt.Sprint(r)).Bytes("stack", debug.Stack()).Msg("planning panicked; please report this as a bug")
			o = outcome{failure: &event.Failure{Reason: event.ReasonInternal, Message: "planning the action panicked; the dispatcher's log has the trace"}}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, e.options.PlanTimeout)
	defer cancel()
	return makePlan(ctx, e.planner, e.blobs, PlanInput{Run: run, Action: action})
}

// planned takes the action on, or puts it back into the line.
func (w *worker) planned(ctx context.Context, s slot, o outcome) {
	failpoint.Here(failpoint.DispatcherAfterPlan)
	rec, err := w.record(ctx, s.namespace, s.uid)
	if err != nil {
		w.turns.leave(s)
		w.again(ctx, "begin", err, func(context.Context) { w.turns.wait(s) })
		return
	}
	a := rec.plans[s.action]
	if a == nil { // the record was dropped and read again
		a = &attempts{since: w.clock.Now()}
		rec.plans[s.action] = a
	}
	a.busy = false
	if o.err != nil {
		a.count++
		if w.clock.Since(a.since) < w.options.PlanRetryFor {
			w.logRun(&rec.run).Warn().Err(o.err).Int("action", s.action).Int("attempt", a.count).Msg("the action cannot be planned yet; trying again")
			w.metrics.retries.WithLabelValues("plan").Inc()
			w.turns.leave(s) // others need not wait for it
			w.later(ctx, backoff(a.count), func() { w.turns.wait(s) })
			return
		}
		o.failure = &event.Failure{
			Reason:  event.ReasonInternal,
			Message: fmt.Sprintf("could not be planned in %s, %d attempts; the last one: %v", w.options.PlanRetryFor, a.count, o.err),
		}
	}
	if o.failure != nil {
		w.startWith(ctx, rec, s, decide.Refuse{Action: s.action, Failure: *o.failure})
		return
	}
	w.startWith(ctx, rec, s, decide.Start{Action: s.action, Plan: *o.plan}, decide.Release{Action: s.action})
}

// startWith applies what became of the plan until it is stored.
func (w *worker) startWith(ctx context.Context, rec *record, s slot, inputs ...decide.Input) {
	first := rec.run.State == event.StatePending
	changed, err := w.apply(ctx, rec, inputs...)
	switch {
	case gone(err):
		w.logRun(&rec.run).Warn().Err(err).Msg("a run vanished while it was being started")
		w.turns.leave(s)
		return
	case err != nil && changed:
		w.logRun(&rec.run).Error().Err(err).Msg("the run is stored, but not all that follows could be told; trying again")
		w.settle(ctx, rec, 1)
	case err != nil:
		w.again(ctx, "start", err, func(ctx context.Context) { w.startWith(ctx, rec, s, inputs...) })
		return
	}
	if changed && first && rec.run.Retry == nil {
		w.metrics.start.Observe(w.clock.Since(rec.run.CreatedAt).Seconds())
	}
	delete(rec.plans, s.action)
	if !occupied(&rec.run, s.action) {
		w.turns.leave(s) // it ended, or was paused meanwhile
	}
}

// again does f once more after a pause.
func (w *worker) again(ctx context.Context, step string, err error, f func(context.Context)) {
	if ctx.Err() != nil {
		return
	}
	w.log.Error().Err(err).Str("step", step).Msg("a step of a run failed; trying again")
	w.metrics.retries.WithLabelValues(step).Inc()
	w.later(ctx, pause, func() { w.box.put(f) })
}

func (e *engine) logRun(run *event.Run) *zerolog.Logger {
	log := e.log.With().Str("run", run.UID).Str("namespace", run.Namespace).Str("actionset", run.Name).Logger()
	return &log
}
