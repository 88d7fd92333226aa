package status

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// failedAttempt is a phase whose second of three attempts failed in round base.
func failedAttempt(p *event.Phase, base int) {
	p.State, p.Attempt, p.Base = event.StatePending, base+2, base
	p.Policy = &event.Policy{Attempts: 3, Backoff: metav1.Duration{Duration: time.Minute}}
	p.Attempts = []event.AttemptRecord{
		{Attempt: base + 1, EndedAt: *at(20), Failure: event.Failure{Reason: event.ReasonImagePull, Message: "image x cannot be pulled"}},
		{Attempt: base + 2, EndedAt: *at(30), Failure: event.Failure{Reason: event.ReasonPodFailed, Message: "exit code 1"}},
	}
	p.RetryAt = at(90)
}

// The wire form of each condition.
func TestConditionsGolden(t *testing.T) {
	poisoned := func(r *event.Run, a *event.Action) {
		running(r, a)
		f := &event.Failure{Reason: event.ReasonPoison, Message: "three runners were lost at it: r-0 at 10:00, r-1 at 10:01, r-0 at 10:02"}
		a.Phases[0].State, a.Phases[0].Failure, a.Phases[0].EndedAt = event.StateFailed, f, at(40)
		a.State, a.Failure, r.State, r.Failure = event.StateFailed, f, event.StateFailed, f
	}
	for name, c := range map[string]struct {
		change func(r *event.Run, a *event.Action)
		want   string
	}{
		"none": {running, `null`},
		"paused": {
			func(r *event.Run, _ *event.Action) { r.Pause = &event.Pause{Reason: "audit", At: *at(3)} },
			`[{"type":"Paused","status":"True","reason":"Asked","message":"audit","lastTransitionTime":"2026-01-02T03:04:08Z"}]`,
		},
		"ended while paused": {func(r *event.Run, a *event.Action) {
			complete(r, a)
			r.Pause = &event.Pause{Reason: "audit", At: *at(3)}
		}, `null`},
		"backing off": {
			func(r *event.Run, a *event.Action) { running(r, a); failedAttempt(&a.Phases[0], 0) },
			`[{"type":"Retrying","status":"True","reason":"BackOff","message":"action \"backup\", phase \"dump\": attempt 3 of 3 at 2026-01-02T03:05:35Z; attempt 2 failed (PodFailed): exit code 1","lastTransitionTime":"2026-01-02T03:04:35Z"}]`,
		},
		"due, in a later round": {func(r *event.Run, a *event.Action) {
			running(r, a)
			failedAttempt(&a.Phases[0], 4)
			a.Phases[0].RetryAt = nil
		}, `[{"type":"Retrying","status":"True","reason":"Attempt","message":"action \"backup\", phase \"dump\": attempt 3 of 3 waits for its turn; attempt 2 failed (PodFailed): exit code 1","lastTransitionTime":"2026-01-02T03:04:35Z"}]`},
		"running again": {func(r *event.Run, a *event.Action) {
			failedAttempt(&a.Phases[0], 0)
			running(r, a)
			a.Phases[0].Attempt, a.Phases[0].RetryAt = 3, nil
		}, `[{"type":"Retrying","status":"True","reason":"Attempt","message":"action \"backup\", phase \"dump\": attempt 3 of 3 is running; attempt 2 failed (PodFailed): exit code 1","lastTransitionTime":"2026-01-02T03:04:35Z"}]`},
		"attempts of an earlier round": {func(r *event.Run, a *event.Action) {
			running(r, a)
			failedAttempt(&a.Phases[0], 0)
			a.Phases[0].Base, a.Phases[0].RetryAt = 2, nil
		}, `null`},
		"succeeded in the end": {func(r *event.Run, a *event.Action) {
			failedAttempt(&a.Phases[0], 0)
			complete(r, a)
			a.State, r.State = event.StateRunning, event.StateRunning
		}, `null`},
		"timed out": {func(r *event.Run, a *event.Action) {
			running(r, a)
			f := &event.Failure{Reason: event.ReasonTimeout, Message: "not done after 1h"}
			a.Phases[0].State, a.Phases[0].Failure, a.Phases[0].EndedAt = event.StateFailed, f, at(40)
			a.State, a.Failure, r.State, r.Failure = event.StateFailed, f, event.StateFailed, f
		}, `[{"type":"TimedOut","status":"True","reason":"Timeout","message":"action \"backup\", phase \"dump\", function KubeTask, attempt 1: not done after 1h","lastTransitionTime":"2026-01-02T03:04:45Z"}]`},
		"the action timed out between phases": {func(r *event.Run, a *event.Action) {
			running(r, a)
			f := &event.Failure{Reason: event.ReasonTimeout, Message: "action-timeout of 1h passed"}
			a.State, a.Failure, a.EndedAt, r.State, r.Failure = event.StateFailed, f, at(41), event.StateFailed, f
		}, `[{"type":"TimedOut","status":"True","reason":"Timeout","message":"action \"backup\": action-timeout of 1h passed","lastTransitionTime":"2026-01-02T03:04:46Z"}]`},
		"dead letter": {poisoned, `[{"type":"DeadLettered","status":"True","reason":"Poison","message":"action \"backup\", phase \"dump\", function KubeTask, attempt 1: three runners were lost at it: r-0 at 10:00, r-1 at 10:01, r-0 at 10:02","lastTransitionTime":"2026-01-02T03:04:45Z"}]`},
		"retried": {func(r *event.Run, a *event.Action) {
			running(r, a)
			r.Retry = &event.Retry{Token: "x7", Round: 2, At: *at(50)}
		}, `[{"type":"Retried","status":"True","reason":"Granted","message":"token x7: the run goes on where it ended, round 2","lastTransitionTime":"2026-01-02T03:04:55Z"}]`},
		"recovered": {
			func(r *event.Run, a *event.Action) { running(r, a); a.Recovered = &kanister.ActionStatus{} },
			`[{"type":"Recovered","status":"True","reason":"RecordLost","message":"the record of the run had been lost; it was made anew from what this status said","lastTransitionTime":"2026-01-02T03:04:05Z"}]`,
		},
		"excerpted": {func(r *event.Run, a *event.Action) {
			complete(r, a)
			a.Phases[1].Output = &event.Payload{Digest: "sha256:x", Size: 1 << 20}
			a.Phases[1].Excerpt = map[string]any{"log": "beg… (5000 bytes)"}
		}, `[{"type":"Excerpted","status":"True","reason":"TooLarge","message":"the output is too large for the status, which shows an excerpt of it: action \"backup\", phase \"check\"","lastTransitionTime":"2026-01-02T03:04:09Z"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			status := Project(aRun(c.change))
			got, err := json.Marshal(status.Conditions)
			require.NoError(t, err)
			assert.JSONEq(t, c.want, string(got))
		})
	}
}

// However long its parts are, a status can be written.
func TestConditionsAreBounded(t *testing.T) {
	status := Project(aRun(func(r *event.Run, a *event.Action) {
		running(r, a)
		for i := range a.Phases {
			failedAttempt(&a.Phases[i], 0)
			a.Phases[i].Attempts[1].Failure.Message = strings.Repeat("ß", event.MessageLimit)
		}
	}))
	require.Len(t, status.Conditions, 1)
	assert.LessOrEqual(t, len(status.Conditions[0].Message), conditionLimit+len("…"))
}

func TestExcerpted(t *testing.T) {
	run := aRun(func(r *event.Run, a *event.Action) {
		complete(r, a)
		a.Phases[1].Output = &event.Payload{Digest: "sha256:x", Size: 1 << 20}
		a.DeferPhase = &event.Phase{Output: &event.Payload{Digest: "sha256:x", Size: 1 << 20}}
	})
	status := Project(run)
	action := &status.Actions[0]
	assert.False(t, Excerpted(status, action, &action.Phases[0]))
	assert.True(t, Excerpted(status, action, &action.Phases[1]))
	assert.True(t, Excerpted(status, action, action.DeferPhase), "one without a name")
	status.Conditions = nil
	assert.False(t, Excerpted(status, action, &action.Phases[1]))
}

func TestAnswered(t *testing.T) {
	status := Project(aRun(func(r *event.Run, _ *event.Action) { r.Retry = &event.Retry{Token: "x7", Round: 1, At: t0} }))
	for token, want := range map[string]bool{"x7": true, "x": false, "x77": false} {
		granted, answered := Answered(status, token)
		assert.Equal(t, want, granted, token)
		assert.Equal(t, want, answered, token)
	}
	status.Conditions[0].Status = metav1.ConditionFalse
	granted, answered := Answered(status, "x7")
	assert.False(t, granted)
	assert.True(t, answered)
	_, answered = Answered(nil, "x7")
	assert.False(t, answered)
}

// Each thing that asks for attention is told once.
func TestConditionNotices(t *testing.T) {
	reasons := func(was, is *event.Run) []string {
		var before *kanister.ActionSetStatus
		if was != nil {
			before = Project(was)
		}
		var out []string
		for _, n := range notices(before, Project(is)) {
			out = append(out, n.reason)
		}
		return out
	}
	pausedRun := aRun(func(r *event.Run, a *event.Action) {
		running(r, a)
		r.Pause = &event.Pause{Reason: "audit", At: *at(3)}
	})
	backing := aRun(func(r *event.Run, a *event.Action) { running(r, a); failedAttempt(&a.Phases[0], 0) })
	again := aRun(func(r *event.Run, a *event.Action) {
		failedAttempt(&a.Phases[0], 0)
		running(r, a)
		a.Phases[0].Attempt = 3
	})
	ended := aRun(func(r *event.Run, a *event.Action) { running(r, a); r.State = event.StateFailed })
	reopened := aRun(func(r *event.Run, a *event.Action) {
		running(r, a)
		r.Retry = &event.Retry{Token: "x", Round: 1, At: *at(9)}
	})
	endedAgain := aRun(func(r *event.Run, a *event.Action) {
		complete(r, a)
		r.Retry = &event.Retry{Token: "x", Round: 1, At: *at(9)}
	})
	assert.Equal(t, []string{ReasonPaused}, reasons(aRun(running), pausedRun))
	assert.Empty(t, reasons(pausedRun, pausedRun))
	assert.Equal(t, []string{ReasonResumed}, reasons(pausedRun, aRun(running)))
	assert.Equal(t, []string{ReasonActionSetFailed}, reasons(pausedRun, ended), "an end is no resumption")
	assert.Equal(t, []string{ReasonRetrying}, reasons(aRun(running), backing))
	assert.Empty(t, reasons(backing, again), "the attempt was announced")
	assert.Equal(t, []string{ReasonRetried}, reasons(ended, reopened))
	assert.Equal(t, []string{ReasonRetried}, reasons(nil, reopened), "an ended ActionSet is not watched, so what it said is not known")
	assert.Equal(t, []string{ReasonActionSetComplete}, reasons(reopened, endedAgain))
}

// A run that goes on after its end is projected again, whatever was known of it.
func TestReopenedRuns(t *testing.T) {
	goesOn := func(r *event.Run, a *event.Action) {
		running(r, a)
		r.Retry = &event.Retry{Token: "x", Round: 1, At: *at(9)}
	}
	endsAgain := func(r *event.Run, a *event.Action) {
		complete(r, a)
		r.Retry = &event.Retry{Token: "x", Round: 1, At: *at(9)}
	}
	t.Run("known", func(t *testing.T) {
		d := newDesk(t)
		d.update(aRun(running))
		d.update(aRun(complete))
		d.settled()
		d.update(aRun(goesOn))
		require.Eventually(t, func() bool { known, ok := d.projector.Known("u"); return ok && !known.State.Terminal() }, 3*time.Minute, time.Millisecond)
		assert.Len(t, d.projector.Open(), 1)
		d.update(aRun(endsAgain))
		d.pass(func() bool {
			known, _ := d.projector.Known("u")
			return known.State.Terminal() && !known.Settled.IsZero()
		})
	})
	t.Run("forgotten and not watched", func(t *testing.T) {
		d := newDesk(t)
		d.mu.Lock()
		delete(d.shown, "as")
		d.mu.Unlock()
		d.update(aRun(goesOn))
		assert.Equal(t, []kanister.State{kanister.StateRunning}, d.states(1))
	})
	t.Run("ended again unseen", func(t *testing.T) {
		d := newDesk(t)
		d.mu.Lock()
		delete(d.shown, "as")
		d.mu.Unlock()
		d.update(aRun(endsAgain))
		assert.Equal(t, []kanister.State{kanister.StateComplete}, d.states(1))
		d.settled()
		assert.Empty(t, d.told, "what an ActionSet may say already is not told again at a start")
	})
	t.Run("said already", func(t *testing.T) {
		d := newDesk(t)
		d.mu.Lock()
		as := d.shown["as"]
		as.Status = Project(aRun(endsAgain))
		delete(d.shown, "as")
		d.asking = map[string]*kanister.ActionSet{"as": as}
		d.mu.Unlock()
		d.update(aRun(endsAgain))
		_, ok := d.projector.Known("u")
		assert.False(t, ok)
	})
}

func TestRefuse(t *testing.T) {
	d := newDesk(t)
	require.NoError(t, d.projector.Refuse(t.Context(), Ref{"ns", "as", "u"}, "x7", "it is complete"))
	require.Len(t, d.answers, 1)
	assert.Equal(t, "token x7: it is complete", d.answers[0].Message)
	assert.Equal(t, metav1.ConditionFalse, d.answers[0].Status)
}
