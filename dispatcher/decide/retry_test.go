package decide_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/dispatcher/decide"
)

func seconds(n int) metav1.Duration { return metav1.Duration{Duration: time.Duration(n) * time.Second} }

// at lets the story's next step happen at a time after its start.
func (s *story) at(after time.Duration) { s.run.UpdatedAt = t0.Add(after - time.Second) }

func attempt(k event.Key, n int) event.Key {
	k.Attempt = n
	return k
}

func because(reason event.Reason) func(*event.Report) {
	return func(r *event.Report) { r.Failure = &event.Failure{Reason: reason, Message: "no"} }
}

func (s *story) timer() time.Duration {
	s.t.Helper()
	at, ok := timer(&s.run)
	if !ok {
		return 0
	}
	return at.Sub(t0)
}

func TestBackoffDoublesWithinItsLimit(t *testing.T) {
	t.Parallel()
	s := newStory(t, "backup")
	s.begin(withPolicy(plan("dump"), event.Policy{Attempts: 6, Backoff: seconds(10), BackoffLimit: seconds(50)}))
	shares := map[float64]bool{}
	for n, want := range []float64{10, 20, 40, 50, 50} {
		require.True(t, s.report(event.ReportFailed, attempt(core(0), n+1), failure("exit code 1")))
		p := &s.run.Actions[0].Phases[0]
		require.Equal(t, event.StatePending, p.State)
		share := p.RetryAt.Sub(s.run.UpdatedAt).Seconds() / want
		assert.InDelta(t, 1, share, 0.2)
		shares[share] = true
		assert.Empty(t, decide.Ready(&s.run), "not yet")
		early := p.RetryAt.Add(-time.Millisecond).Sub(t0)
		s.at(early)
		assert.False(t, s.tell(decide.Wake{}), "early")
		s.at(early + time.Millisecond)
		require.True(t, s.tell(decide.Wake{}))
		assert.Len(t, decide.Ready(&s.run), 1)
		assert.False(t, s.tell(decide.Wake{}), "twice")
		require.True(t, s.tell(decide.Release{}))
	}
	assert.Greater(t, len(shares), 3, "it varies")
	require.True(t, s.report(event.ReportFailed, attempt(core(0), 6), failure("exit code 1")))
	assert.Equal(t, event.StateFailed, s.run.State)
	assert.Equal(t, `action "backup" (actions[0]): phase "dump" (KubeTask): exit code 1 (attempt 6 of 6)`, s.run.Failure.Message)
	assert.Len(t, s.run.Actions[0].Phases[0].Attempts, event.AttemptsKept)
}

func TestWhatIsTriedAgain(t *testing.T) {
	t.Parallel()
	for reason, want := range map[event.Reason]bool{
		event.ReasonInvalid: false, event.ReasonRender: false, event.ReasonCancelled: false, event.ReasonPoison: false,
		event.ReasonInterrupted: false, event.ReasonNotFound: true, event.ReasonForbidden: true, event.ReasonImagePull: true,
		event.ReasonPodFailed: true, event.ReasonOutput: true, event.ReasonTimeout: true, event.ReasonInternal: true, event.ReasonFailed: true,
	} {
		s := newStory(t, "a")
		s.begin(withPolicy(plan("p"), event.Policy{Attempts: 2}))
		s.report(event.ReportFailed, core(0), because(reason))
		assert.Equal(t, want, !s.run.State.Terminal(), reason)
		if !want {
			assert.Contains(t, s.run.Failure.Message, "(attempt 1 of 2; not tried again after "+string(reason)+")")
		}
	}
	s := newStory(t, "a")
	s.begin(withPolicy(plan("p"), event.Policy{Attempts: 2, OnInterrupt: event.InterruptRetries}))
	s.report(event.ReportFailed, core(0), because(event.ReasonInterrupted))
	assert.False(t, s.run.State.Terminal())
}

func TestAnAttemptOfWhichNobodyReports(t *testing.T) {
	t.Parallel()
	s := newStory(t, "a")
	s.begin(withPolicy(plan("p"), event.Policy{Attempts: 2, Timeout: seconds(60), Backoff: seconds(10), BackoffLimit: seconds(10)}))
	released := *s.run.Actions[0].Phases[0].StartedAt
	deadline := released.Add(time.Minute)
	assert.Equal(t, deadline, *s.run.Actions[0].Phases[0].Deadline)
	assert.Equal(t, deadline.Add(decide.ReportGrace).Sub(t0), s.timer())
	s.at(deadline.Sub(t0))
	assert.False(t, s.tell(decide.Wake{}), "its runner may still report")
	s.at(s.timer())
	require.True(t, s.tell(decide.Wake{}))
	assert.Equal(t, event.ReasonTimeout, s.run.Actions[0].Phases[0].Attempts[0].Failure.Reason)
	assert.False(t, s.report(event.ReportSucceeded, core(0)), "too late")
	s.at(s.timer())
	require.True(t, s.tell(decide.Wake{}))
	require.True(t, s.tell(decide.Release{}))
	require.True(t, s.report(event.ReportSucceeded, attempt(core(0), 2)))
	assert.Equal(t, event.StateComplete, s.run.State)
	assert.Zero(t, s.timer())
}

func TestActionTimeout(t *testing.T) {
	t.Parallel()
	limited := func(p decide.Plan) decide.Plan { p.Timeout = time.Minute; return p }
	t.Run("while a phase runs", func(t *testing.T) {
		t.Parallel()
		s := newStory(t, "a")
		s.begin(limited(withPolicy(withDefer(plan("p", "q"), "d"), event.Policy{Attempts: 3, Timeout: seconds(3600)})))
		a := &s.run.Actions[0]
		assert.Equal(t, *a.Deadline, *a.Phases[0].Deadline, "not later than the action's")
		s.at(a.Deadline.Sub(t0))
		require.True(t, s.report(event.ReportFailed, core(0), because(event.ReasonTimeout)))
		assert.Contains(t, s.run.Failure.Message, "not tried again, because the action's time limit comes first")
		assert.Equal(t, []string{"0.p0.1", "0.defer.1"}, s.jobs(), "the deferPhase has its own time")
		assert.Equal(t, time.Hour, s.run.Actions[0].DeferPhase.Deadline.Sub(s.run.UpdatedAt))
	})
	t.Run("while it waits to be tried again", func(t *testing.T) {
		t.Parallel()
		s := newStory(t, "a")
		s.begin(limited(withDefer(withPolicy(plan("p"), event.Policy{Attempts: 3, Backoff: seconds(10), BackoffLimit: seconds(10)}), "d")))
		require.True(t, s.report(event.ReportFailed, core(0), failure("exit code 1")))
		s.at(s.run.Actions[0].Deadline.Sub(t0)) // the timer was late
		require.True(t, s.tell(decide.Wake{}))
		assert.Equal(t, event.ReasonTimeout, s.run.Failure.Reason)
		assert.Equal(t, `action "a" (actions[0]): the action's time limit of 1m0s passed before phase "p" (KubeTask) could be tried again; attempt 1 had failed: exit code 1`,
			s.run.Failure.Message)
		assert.Equal(t, []string{"0.p0.1", "0.defer.1"}, s.jobs())
		assert.Equal(t, event.StateFailed, s.run.Actions[0].Phases[0].State)
	})
	t.Run("the last phase ends well, late", func(t *testing.T) {
		t.Parallel()
		s := newStory(t, "a")
		s.begin(limited(plan("p")))
		s.at(time.Hour)
		require.True(t, s.report(event.ReportSucceeded, core(0)))
		assert.Equal(t, event.StateComplete, s.run.State)
	})
	t.Run("a pause does not count", func(t *testing.T) {
		t.Parallel()
		s := newStory(t, "a")
		s.begin(limited(plan("p", "q")))
		deadline := *s.run.Actions[0].Deadline
		require.True(t, s.tell(request(event.ReportPause, "")))
		s.at(30 * time.Second)
		require.True(t, s.report(event.ReportSucceeded, core(0)))
		assert.Zero(t, s.timer(), "nothing can be late in a pause")
		s.at(time.Hour)
		assert.False(t, s.tell(decide.Wake{}))
		s.at(time.Hour)
		require.True(t, s.tell(request(event.ReportResume, "")))
		assert.Equal(t, deadline.Add(time.Hour-30*time.Second), *s.run.Actions[0].Deadline, "from the end of what ran")
		require.True(t, s.tell(decide.Release{}))
		assert.Equal(t, []string{"0.p0.1", "0.p1.1"}, s.jobs())
	})
}

func TestPause(t *testing.T) {
	t.Parallel()
	s := newStory(t, "a", "b")
	s.begin(withDefer(plan("p", "q"), "d"))
	require.True(t, s.tell(request(event.ReportPause, "")))
	assert.False(t, s.tell(request(event.ReportPause, "")), "paused already")
	assert.False(t, s.tell(decide.Start{Action: 1, Plan: plan("p")}), "what has not started stays so")
	require.True(t, s.report(event.ReportFailed, core(0), failure("no")))
	assert.Equal(t, []string{"0.p0.1", "0.defer.1"}, s.jobs(), "a deferPhase is not held")
	require.True(t, s.tell(request(event.ReportResume, "")))
	assert.False(t, s.tell(request(event.ReportResume, "")))
	assert.True(t, s.tell(decide.Start{Action: 1, Plan: plan("p")}))
}

func TestCancelEndsWhatWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wait func(*story)
		jobs []string
	}{
		"a backoff": {func(s *story) { s.report(event.ReportFailed, core(0), failure("no")) }, []string{"0.p0.1", "0.defer.1"}},
		"a pause": {func(s *story) {
			s.tell(request(event.ReportPause, ""))
			s.report(event.ReportSucceeded, core(0))
		}, []string{"0.p0.1", "0.defer.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStory(t, "a")
			s.begin(withDefer(withPolicy(plan("p", "q"), event.Policy{Attempts: 2, Backoff: seconds(60), BackoffLimit: seconds(60)}), "d"))
			c.wait(s)
			assert.Equal(t, []string{"0.p0.1"}, s.jobs())
			require.True(t, s.tell(request(event.ReportCancel, "")))
			assert.Equal(t, c.jobs, s.jobs())
			require.True(t, s.report(event.ReportSucceeded, last()))
			assert.Equal(t, event.StateCancelled, s.run.State)
		})
	}
}

func TestRetryOfARun(t *testing.T) {
	t.Parallel()
	t.Run("goes on at the failed phase", func(t *testing.T) {
		t.Parallel()
		s := newStory(t, "a", "b", "c")
		s.begin(withArtifacts(withDefer(withPolicy(plan("p", "q"), event.Policy{Attempts: 1}), "d")))
		s.tell(decide.Refuse{Action: 1, Failure: event.Failure{Reason: event.ReasonNotFound, Message: "no"}})
		s.tell(decide.Start{Action: 2, Plan: plan()})
		s.report(event.ReportSucceeded, core(0), func(r *event.Report) { r.Output = &event.Payload{Digest: "kept"} })
		s.report(event.ReportFailed, core(1), failure("no"))
		s.report(event.ReportSucceeded, last())
		require.Equal(t, event.StateFailed, s.run.State)
		assert.False(t, s.tell(request(event.ReportRetry, "")), "without a token it could not be told from a repetition")
		require.True(t, s.tell(request(event.ReportRetry, "t1")))
		assert.Equal(t, event.StateRunning, s.run.State)
		assert.Nil(t, s.run.Failure)
		assert.Equal(t, event.StatePending, s.run.Actions[1].State, "planned anew")
		assert.Equal(t, event.StateComplete, s.run.Actions[2].State)
		assert.Equal(t, "kept", s.run.Actions[0].Phases[0].Output.Digest)
		assert.Equal(t, []event.Key{attempt(core(1), 2)}, decide.Ready(&s.run), "it waits for a slot")
		s.tell(decide.Release{})
		s.report(event.ReportSucceeded, attempt(core(1), 2))
		s.report(event.ReportSucceeded, attempt(last(), 2))
		s.tell(decide.Start{Action: 1, Plan: plan()})
		assert.Equal(t, event.StateComplete, s.run.State)
		assert.Equal(t, []string{"0.p0.1", "0.p1.1", "0.defer.1", "0.p1.2", "0.defer.2+artifacts"}, s.jobs())
		assert.False(t, s.tell(request(event.ReportRetry, "t2")), "it is complete")
	})
	t.Run("the same request again", func(t *testing.T) {
		t.Parallel()
		s := newStory(t, "a")
		s.begin(plan("p"))
		s.report(event.ReportFailed, core(0), failure("no"))
		require.True(t, s.tell(request(event.ReportRetry, "t1")))
		s.tell(decide.Release{})
		s.report(event.ReportFailed, attempt(core(0), 2), failure("again"))
		require.Equal(t, event.StateFailed, s.run.State)
		assert.False(t, s.tell(request(event.ReportRetry, "t1")))
		require.True(t, s.tell(request(event.ReportRetry, "t2")))
		assert.Equal(t, 2, s.run.Retry.Round)
		assert.Equal(t, []string{"no", "again"}, []string{
			s.run.Actions[0].Phases[0].Attempts[0].Failure.Message, s.run.Actions[0].Phases[0].Attempts[1].Failure.Message,
		})
	})
	t.Run("only the artifacts", func(t *testing.T) {
		t.Parallel()
		s := newStory(t, "a")
		s.begin(withArtifacts(plan("p")))
		s.report(event.ReportSucceeded, core(0), func(r *event.Report) { r.ArtifactsFailure = &event.Failure{Reason: event.ReasonRender} })
		require.True(t, s.tell(request(event.ReportRetry, "t1")))
		s.tell(decide.Release{})
		assert.Equal(t, []string{"0.p0.1+artifacts", "0.render.1+artifacts"}, s.jobs())
	})
	t.Run("after a cancel", func(t *testing.T) {
		t.Parallel()
		s := newStory(t, "a")
		s.begin(withDefer(plan("p"), "d"))
		s.tell(request(event.ReportCancel, ""))
		s.report(event.ReportCancelled, core(0))
		s.report(event.ReportSucceeded, last())
		require.Equal(t, event.StateCancelled, s.run.State)
		require.True(t, s.tell(request(event.ReportRetry, "t1")))
		assert.Nil(t, s.run.Cancel)
		assert.Contains(t, s.effects, decide.ClearCancel{UID: "u1", Round: 1})
		require.True(t, s.tell(request(event.ReportCancel, "")))
		assert.Equal(t, event.StateCancelled, s.run.State, "nothing ran in this round: no deferPhase")
		assert.Equal(t, []string{"0.p0.1", "0.defer.1"}, s.jobs())
	})
	t.Run("requests of the round before come again", func(t *testing.T) {
		t.Parallel()
		s := newStory(t, "a")
		s.begin(plan("p"))
		asked := func(kind event.ReportKind, token string) decide.Report {
			r := request(kind, token)
			r.At = s.run.UpdatedAt
			return r
		}
		cancel := asked(event.ReportCancel, "")
		require.True(t, s.tell(cancel))
		pause := asked(event.ReportPause, "")
		s.report(event.ReportCancelled, core(0))
		require.Equal(t, event.StateCancelled, s.run.State)
		first := asked(event.ReportRetry, "t1")
		require.True(t, s.tell(first))
		s.tell(decide.Release{})
		assert.False(t, s.tell(cancel), "its acknowledgement was lost")
		assert.False(t, s.tell(pause))
		assert.Nil(t, s.run.Cancel)
		s.report(event.ReportFailed, attempt(core(0), 2), failure("no"))
		require.True(t, s.tell(asked(event.ReportRetry, "t2")))
		s.tell(decide.Release{})
		s.report(event.ReportFailed, attempt(core(0), 3), failure("no"))
		require.Equal(t, event.StateFailed, s.run.State)
		assert.False(t, s.tell(first))
		assert.True(t, s.tell(asked(event.ReportRetry, "t3")))
		assert.True(t, s.tell(asked(event.ReportCancel, "")), "one of now counts")
	})
}

func TestRecovered(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T, state kanister.State, once bool, p event.Policy) *story {
		t.Helper()
		s := newStory(t, "a")
		s.run.Actions[0].Recovered = &kanister.ActionStatus{Phases: []kanister.Phase{
			{Name: "p", State: kanister.StateComplete, Output: kanister.JSONMap{"k": "v"}}, {Name: "q", State: state},
		}}
		plan := withDefer(withPolicy(plan("p", "q"), p), "d")
		plan.Phases[1].Once, plan.Phases[1].Attempt = once, 3
		s.begin(plan)
		return s
	}
	t.Run("adopts the attempt whose pod is there", func(t *testing.T) {
		t.Parallel()
		s := begin(t, kanister.StateRunning, false, event.Policy{Attempts: 1})
		assert.Equal(t, []string{"0.p1.3"}, s.jobs())
		assert.JSONEq(t, `{"k":"v"}`, string(s.run.Actions[0].Phases[0].Output.Inline))
	})
	t.Run("does not repeat what may not be", func(t *testing.T) {
		t.Parallel()
		s := begin(t, kanister.StateRunning, true, event.Policy{Attempts: 5})
		assert.Equal(t, event.ReasonInterrupted, s.run.Failure.Reason)
		assert.Equal(t, []string{"0.defer.1"}, s.jobs())
	})
	t.Run("unless it was asked to", func(t *testing.T) {
		t.Parallel()
		s := begin(t, kanister.StateRunning, true, event.Policy{Attempts: 5, OnInterrupt: event.InterruptRetries})
		assert.Nil(t, s.run.Failure)
		require.True(t, s.tell(decide.Wake{}))
		require.True(t, s.tell(decide.Release{}))
		assert.Equal(t, []string{"0.p1.4"}, s.jobs())
	})
	t.Run("does not repeat what had failed", func(t *testing.T) {
		t.Parallel()
		s := begin(t, kanister.StateFailed, false, event.Policy{Attempts: 5})
		assert.Contains(t, s.run.Failure.Message, "it had failed before the record of the run was lost")
		assert.Equal(t, []string{"0.defer.1"}, s.jobs())
	})
	t.Run("cancelled before it was planned", func(t *testing.T) {
		t.Parallel()
		s := newStory(t, "a")
		s.run.Actions[0].Recovered = &kanister.ActionStatus{Phases: []kanister.Phase{{Name: "p", State: kanister.StateRunning}}}
		require.True(t, s.tell(request(event.ReportCancel, "")))
		s.begin(withDefer(plan("p"), "d"))
		assert.Equal(t, []string{"0.defer.1"}, s.jobs(), "what ran before is put right")
	})
}
