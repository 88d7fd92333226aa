package runner

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/internal/again"
)

const (
	// trialTime is how long a suspect runs as the only one of its runner.
	trialTime = 30 * time.Second
	// excuseLimit is how long a runner that came back tries to say so.
	excuseLimit = 30 * time.Second
)

// verdict is what becomes of a job that runners may have been lost on.
type verdict int

const (
	// verdictRun: it is done as any other.
	verdictRun verdict = iota
	// verdictWait: it is a suspect, and so is another one that was begun a short
	// while ago.
	verdictWait
	// verdictPoison: it was there each time.
	verdictPoison
)

// trial counts the loss that the claim followed, if it did, and decides. end must
// be called when the job has ended.
func (t *task) trial(held context.Context) (v verdict, end func(), err error) {
	none, limit := func() {}, t.runner.options.PoisonAfter
	_, lost := t.claim.lease.Loss()
	// A job that was never delivered before has nothing to its account; asking
	// would cost each job a request.
	if limit == 0 || !lost && t.deliveries() <= 1 {
		return verdictRun, none, nil
	}
	if t.crashes, err = t.countLoss(held); err != nil {
		return verdictRun, none, err
	}
	n := t.crashes.Count()
	if n > 0 {
		t.log.Warn().Int("lost", n).Int("limit", limit).Msg("runners were lost while they worked on this job")
	}
	switch {
	case n >= limit:
		return verdictPoison, none, nil
	case n == 0 || n < limit-1:
		return verdictRun, none, nil
	}
	select {
	case t.runner.suspect <- struct{}{}:
		return verdictRun, t.watchTrial(held), nil
	default:
		return verdictWait, none, nil
	}
}

// countLoss returns the losses, with the one that this claim followed.
func (t *task) countLoss(held context.Context) (crashes *stream.Crashes, err error) {
	loss, lost := t.claim.lease.Loss()
	crash := event.Crash{Runner: loss.Runner, At: t.runner.clock.Now().UTC()}
	err = t.insist(held, "count the losses of runners", func(ctx context.Context) (err error) {
		if !lost {
			crashes, err = t.leases.Crashes(ctx, t.job.Key)
			return err
		}
		crashes, err = t.leases.ChangeCrashes(ctx, t.job.Key, func(c *stream.Crashes) {
			// The answer to an earlier call may have been lost.
			if !slices.ContainsFunc(c.Lost, func(o event.Crash) bool { return o.At.Equal(crash.At) }) {
				c.Lost = append(c.Lost, crash)
			}
		})
		return err
	})
	return crashes, err
}

// watchTrial lets the next suspect begin once this one has run for a while, which
// counts for it once: had it crashed its runner before, it would again.
func (t *task) watchTrial(held context.Context) (end func()) {
	ctx, cancel := context.WithCancel(held)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := again.Sleep(ctx, t.runner.clock, trialTime)
		<-t.runner.suspect
		if err != nil {
			return
		}
		_ = t.insist(ctx, "note that the job runs well", func(ctx context.Context) error { // it ends with ctx
			_, err := t.leases.ChangeCrashes(ctx, t.job.Key, func(c *stream.Crashes) { c.Proved = true })
			return err
		})
	}()
	return func() {
		cancel()
		<-ended
	}
}

// excuse says that this runner, whose claim ran out, was cut off or frozen and not
// lost: whoever takes the job over counts it as lost, now or already.
func (t *task) excuse(ctx context.Context) {
	if t.runner.options.PoisonAfter == 0 {
		return
	}
	id := rand.Text()
	err := again.Do(ctx, again.Policy{Clock: t.runner.clock, Limit: excuseLimit}, func(ctx context.Context) error {
		_, err := t.leases.ChangeCrashes(ctx, t.job.Key, func(c *stream.Crashes) {
			if !slices.Contains(c.Excused, id) {
				c.Excused = append(c.Excused, id)
			}
		})
		return err
	})
	if err != nil {
		t.log.Warn().Err(err).Msg("cannot tell that this runner was not lost")
	}
}

// park sets the job aside: a dead letter, then the end of the phase.
func (t *task) park(held context.Context) outcome {
	crashes := t.crashes
	what := fmt.Sprintf("%d runners were lost while they worked on this phase (%s)", crashes.Count(), losses(crashes.Lost))
	letter := &event.DeadLetter{
		Key: t.job.Key, ActionSet: t.job.ActionSet, PhaseName: t.job.PhaseName, Func: t.job.Func,
		At: t.runner.clock.Now().UTC(), Reason: what, Crashes: crashes.Lost,
	}
	if err := t.insist(held, "store the dead letter", func(ctx context.Context) error {
		return t.runner.letters.Publish(ctx, letter)
	}); err != nil {
		return t.leave()
	}
	t.log.Error().Str("reason", what).Msg("set the job aside")
	result := t.finish(held, ending{kind: endingFailed, failure: failureOf(function.Errorf(event.ReasonPoison,
		"%s, so it is not started again: it seems to crash them. Look at how these runners ended (their last log lines, OOMKilled?); "+
			"the record is kept as a dead letter (salvor dlq list), from where it can be replayed", what), nil)})
	if result == outcomeFailed {
		return outcomePoison
	}
	return result
}

func losses(crashes []event.Crash) string {
	words := make([]string, len(crashes))
	for i, c := range crashes {
		name := c.Runner
		if name == "" {
			name = "one whose claim ran out"
		}
		words[i] = name + ", found at " + c.At.UTC().Format(time.RFC3339)
	}
	return strings.Join(words, "; ")
}

// bury sets a message aside that is no job.
func (r *Runner) bury(ctx context.Context, msg jetstream.Msg, why error) {
	letter := &event.DeadLetter{
		At: r.clock.Now().UTC(), Reason: "a message on the queue of jobs cannot be read: " + why.Error(), Subject: msg.Subject(), Message: msg.Data(),
	}
	if err := r.letters.Publish(ctx, letter); err != nil {
		r.log.Warn().Err(err).Str("subject", msg.Subject()).Msg("cannot store the dead letter of a job that cannot be read; trying again later")
		r.settle(msg.NakWithDelay(heldDelay))
		return
	}
	r.log.Error().Err(why).Str("subject", msg.Subject()).Msg("set a job aside that cannot be read; is the dispatcher of another version?")
	r.settle(msg.TermWithReason("cannot be read"))
}
