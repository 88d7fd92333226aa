package runner

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
)

func minutes(n int) metav1.Duration {
	return metav1.Duration{Duration: time.Duration(n) * time.Minute}
}

// limited gives the phase a deadline.
func (b *bench) limited(kind event.PhaseKind, at time.Time) {
	b.t.Helper()
	b.update(func(r *event.Run) {
		_, phase := find(r, b.key(kind, 0))
		phase.Deadline, phase.Policy = &at, &event.Policy{Attempts: 1, Timeout: minutes(5)}
	})
}

func TestAttemptIsStoppedAtItsDeadline(t *testing.T) {
	b := newBench(t, nil)
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	b.limited(event.KindCore, clock.Now().Add(5*time.Minute))
	b.start("r1", nil, func(d *Deps, o *Options) { d.Clock, o.ClaimTTL = clock, time.Hour })
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	b.pod()
	clock.Step(4 * time.Minute)
	b.noReport()
	clock.Step(time.Minute)
	r := b.report()
	assert.Equal(t, event.ReportFailed, r.Kind)
	assert.Equal(t, event.ReasonTimeout, r.Failure.Reason)
	assert.Contains(t, r.Failure.Message, "had not ended within 5m0s, the limit of one attempt (annotation salvor.io/timeout)")
	assert.Zero(t, b.pods(), "gone before it is reported")
	b.settled()
}

// What waits inside a function ends with the context, and says where it stood.
func TestFunctionThatSaysWhereItStood(t *testing.T) {
	b := newBench(t, nil)
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	b.limited(event.KindCore, clock.Now().Add(time.Minute))
	scale := newCall(func(ctx context.Context, _ *function.Call) (map[string]any, error) {
		<-ctx.Done()
		return nil, fmt.Errorf("Deployment shop/db has 1 of 3 replicas: %w", context.Cause(ctx))
	})
	b.start("r1", function.Registry{"KubeTask": scale.factory}, func(d *Deps, o *Options) { d.Clock, o.ClaimTTL = clock, time.Hour })
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	within(t, scale.began, "the call")
	clock.Step(time.Minute)
	r := b.report()
	assert.Equal(t, event.ReasonTimeout, r.Failure.Reason)
	assert.Contains(t, r.Failure.Message, "1 of 3 replicas: the attempt was stopped at")
}

func TestJobAfterItsDeadline(t *testing.T) {
	for name, tt := range map[string]struct {
		kind   event.PhaseKind
		action bool
		want   string
	}{
		"of the attempt":                {event.KindCore, false, "salvor.io/timeout"},
		"of the action":                 {event.KindCore, true, "within 7m0s, the limit of the whole action (annotation salvor.io/action-timeout)"},
		"a deferPhase has only its own": {event.KindDefer, true, "within 5m0s, the limit of one attempt (annotation salvor.io/timeout)"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			past := time.Now().Add(-time.Second)
			b.limited(tt.kind, past)
			if tt.action {
				b.update(func(r *event.Run) { r.Actions[0].Timeout, r.Actions[0].Deadline = minutes(7), &past })
			}
			task := returns(nil, nil)
			b.start("r1", function.Registry{"KubeTask": task.factory}, nil)
			b.publish(event.Job{Key: b.key(tt.kind, 0)})
			r := b.report()
			assert.Equal(t, event.ReasonTimeout, r.Failure.Reason)
			assert.Contains(t, r.Failure.Message, tt.want)
			assert.Empty(t, task.began, "nothing is started")
			b.settled()
		})
	}
}

func TestWorkThatIsDoneAtTheDeadlineCounts(t *testing.T) {
	b := newBench(t, nil)
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	b.limited(event.KindCore, clock.Now().Add(time.Minute))
	task := newCall(func(ctx context.Context, _ *function.Call) (map[string]any, error) {
		<-ctx.Done()
		return map[string]any{"k": "v"}, nil
	})
	b.start("r1", function.Registry{"KubeTask": task.factory}, func(d *Deps, o *Options) { d.Clock, o.ClaimTTL = clock, time.Hour })
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	within(t, task.began, "the call")
	clock.Step(time.Minute)
	assert.Equal(t, event.ReportSucceeded, b.report().Kind)
}

// A message holds less than a mebibyte; what a phase publishes may be more.
func TestOutputLargerThanAnyMessage(t *testing.T) {
	b := newBench(t, nil)
	value := make([]byte, 5<<20)
	for i := range value {
		value[i] = 'a' + byte(i%26)
	}
	b.start("r1", function.Registry{"KubeTask": returns(map[string]any{"big": string(value)}, nil).factory}, nil)
	b.publish(event.Job{Key: b.key(event.KindCore, 0), RenderArtifacts: true})
	r := b.report()
	require.Equal(t, event.ReportSucceeded, r.Kind)
	assert.Greater(t, r.Output.Size, 5<<20)
	b.settled()
	// The next phase reads it.
	b.update(func(run *event.Run) {
		p := &run.Actions[0].Phases[0]
		p.State, p.Output, p.Excerpt = event.StateComplete, r.Output, r.Excerpt
	})
	b.publish(event.Job{Key: b.key(event.KindDefer, 0)})
	assert.Equal(t, event.ReportSucceeded, b.report().Kind)
}
