package decide_test

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/dispatcher/decide"
)

var t0 = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// story drives one run and keeps what it was told to do.
type story struct {
	t       *testing.T
	run     event.Run
	effects []decide.Effect
}

func newStory(t *testing.T, actions ...string) *story {
	t.Helper()
	run := event.Run{Version: event.RunVersion, UID: "u1", Namespace: "ns", Name: "as", State: event.StatePending, CreatedAt: t0, UpdatedAt: t0}
	for _, name := range actions {
		run.Actions = append(run.Actions, event.Action{Spec: kanister.ActionSpec{Name: name}, State: event.StatePending})
	}
	return &story{t: t, run: run}
}

func (s *story) tell(in decide.Input) bool {
	s.t.Helper()
	d := decide.Decide(s.run, in, s.run.UpdatedAt.Add(time.Second))
	s.run = d.Run
	s.effects = append(s.effects, d.Effects...)
	return d.Changed
}

func (s *story) begin(p decide.Plan) {
	s.t.Helper()
	require.True(s.t, s.tell(decide.Start{Plan: p}))
	s.tell(decide.Release{})
}

func (s *story) report(kind event.ReportKind, k event.Key, change ...func(*event.Report)) bool {
	s.t.Helper()
	r := event.Report{Kind: kind, Key: k}
	for _, c := range change {
		c(&r)
	}
	return s.tell(decide.Report{Report: r})
}

func (s *story) jobs() []string {
	var keys []string
	for _, e := range s.effects {
		if j, ok := e.(decide.PublishJob); ok {
			k := strings.TrimPrefix(j.Job.Key.String(), "u1.")
			if j.Job.RenderArtifacts {
				k += "+artifacts"
			}
			keys = append(keys, k)
		}
	}
	return keys
}

func (s *story) events() []string {
	var types []string
	for _, e := range s.effects {
		if e, ok := e.(decide.Emit); ok {
			types = append(types, strings.TrimSuffix(strings.TrimPrefix(e.Type, "io.salvor."), ".v1"))
		}
	}
	return types
}

func core(phase int) event.Key {
	return event.Key{UID: "u1", Namespace: "ns", Kind: event.KindCore, Phase: phase, Attempt: 1}
}

func last() event.Key {
	return event.Key{UID: "u1", Namespace: "ns", Kind: event.KindDefer, Attempt: 1}
}

func failure(message string) func(*event.Report) {
	return func(r *event.Report) {
		r.Failure = &event.Failure{Reason: event.ReasonPodFailed, Message: message}
	}
}

func plan(phases ...string) decide.Plan {
	var p decide.Plan
	for _, name := range phases {
		p.Phases = append(p.Phases, decide.PhasePlan{Name: name, Func: "KubeTask"})
	}
	return p
}

func withDefer(p decide.Plan, name string) decide.Plan {
	p.Defer = &decide.PhasePlan{Name: name, Func: "KubeExec"}
	return p
}

func withPolicy(p decide.Plan, policy event.Policy) decide.Plan {
	p.Phases = slices.Clone(p.Phases)
	for i := range p.Phases {
		p.Phases[i].Policy = &policy
	}
	if p.Defer != nil {
		d := *p.Defer
		d.Policy = &policy
		p.Defer = &d
	}
	return p
}

func withArtifacts(p decide.Plan) decide.Plan {
	p.Artifacts = true
	return p
}

func TestOnePhase(t *testing.T) {
	t.Parallel()
	s := newStory(t, "backup")
	s.begin(withArtifacts(plan("dump")))
	assert.Equal(t, event.StateRunning, s.run.State)
	require.True(t, s.report(event.ReportSucceeded, core(0), func(r *event.Report) {
		r.Output = &event.Payload{Digest: "sha256:x"}
		r.Artifacts = map[string]kanister.Artifact{"dump": {KeyValue: map[string]string{"path": "p"}}}
	}))
	assert.Equal(t, event.StateComplete, s.run.State)
	assert.Equal(t, []string{"0.p0.1+artifacts"}, s.jobs())
	assert.Equal(t, []string{"run.completed"}, s.events(), "one phase, one event")
	assert.Equal(t, "p", s.run.Actions[0].Artifacts["dump"].KeyValue["path"])
	assert.Equal(t, "sha256:x", s.run.Actions[0].Phases[0].Output.Digest)
	assert.False(t, s.report(event.ReportFailed, core(0), failure("late")), "a terminal run never changes")
}

func TestPhasesInOrderAndDeferLast(t *testing.T) {
	t.Parallel()
	s := newStory(t, "backup")
	s.begin(withArtifacts(withDefer(plan("quiesce", "dump"), "unquiesce")))
	assert.False(t, s.report(event.ReportSucceeded, core(1)), "not its turn")
	assert.False(t, s.report(event.ReportSucceeded, last()), "not its turn")
	stale := core(0)
	stale.Attempt = 2
	assert.False(t, s.report(event.ReportSucceeded, stale), "an attempt that never was")
	require.True(t, s.report(event.ReportSucceeded, core(0)))
	assert.False(t, s.report(event.ReportFailed, core(0), failure("late")), "ended")
	require.True(t, s.report(event.ReportSucceeded, core(1)))
	require.True(t, s.report(event.ReportSucceeded, last()))
	assert.Equal(t, []string{"0.p0.1", "0.p1.1", "0.defer.1+artifacts"}, s.jobs())
	assert.Equal(t, event.StateComplete, s.run.State)
	assert.Equal(t, []string{"phase.completed", "phase.completed", "phase.completed", "run.completed"}, s.events())
}

func TestFailureNamesActionPhaseAndReason(t *testing.T) {
	t.Parallel()
	s := newStory(t, "backup")
	s.begin(withArtifacts(withDefer(plan("pgDump", "push"), "")))
	require.True(t, s.report(event.ReportFailed, core(0), failure("exit code 3")))
	assert.Equal(t, []string{"0.p0.1", "0.defer.1"}, s.jobs(), "the deferPhase runs; no artifacts after a failure")
	require.True(t, s.report(event.ReportFailed, last(), failure("cannot reach pod")))
	assert.Equal(t, event.StateFailed, s.run.State)
	want := `action "backup" (actions[0]): phase "pgDump" (KubeTask): exit code 3; then deferPhase (KubeExec): cannot reach pod`
	assert.Equal(t, want, s.run.Failure.Message)
	assert.Equal(t, want, s.run.Actions[0].Failure.Message)
	assert.Equal(t, event.ReasonPodFailed, s.run.Failure.Reason)
	assert.Equal(t, event.StatePending, s.run.Actions[0].Phases[1].State, "never started")
}

func TestDeferFailureAlone(t *testing.T) {
	t.Parallel()
	s := newStory(t, "backup")
	s.begin(withDefer(plan("dump"), "clean"))
	s.report(event.ReportSucceeded, core(0))
	s.report(event.ReportFailed, last(), failure("boom"))
	assert.Equal(t, event.StateFailed, s.run.State)
	assert.Equal(t, `action "backup" (actions[0]): deferPhase "clean" (KubeExec): boom`, s.run.Failure.Message)
}

func TestArtifactsFailure(t *testing.T) {
	t.Parallel()
	s := newStory(t, "backup")
	s.begin(withArtifacts(plan("dump")))
	s.report(event.ReportSucceeded, core(0), func(r *event.Report) {
		r.ArtifactsFailure = &event.Failure{Reason: event.ReasonRender, Message: "no key .x"}
	})
	assert.Equal(t, event.StateFailed, s.run.State)
	assert.Equal(t, event.StateComplete, s.run.Actions[0].Phases[0].State)
	assert.Equal(t, `action "backup" (actions[0]): output artifacts could not be rendered after phase "dump" (KubeTask) ended well: no key .x`,
		s.run.Failure.Message)
}

func TestArtifactsAreBounded(t *testing.T) {
	t.Parallel()
	s := newStory(t, "backup")
	s.begin(withArtifacts(plan("dump")))
	s.report(event.ReportSucceeded, core(0), func(r *event.Report) {
		r.Artifacts = map[string]kanister.Artifact{"big": {KopiaSnapshot: strings.Repeat("x", decide.ArtifactsLimit)}}
	})
	assert.Equal(t, event.StateFailed, s.run.State)
	assert.Nil(t, s.run.Actions[0].Artifacts)
	assert.Contains(t, s.run.Failure.Message, "the limit is 262144")
}

func TestWithoutPhases(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plan decide.Plan
		jobs []string
	}{
		"nothing":   {plan: plan()},
		"artifacts": {plan: withArtifacts(plan()), jobs: []string{"0.render.1+artifacts"}},
		"defer":     {plan: withArtifacts(withDefer(plan(), "d")), jobs: []string{"0.defer.1+artifacts"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStory(t, "a")
			s.begin(c.plan)
			assert.Equal(t, c.jobs, s.jobs())
			for _, e := range s.effects {
				if j, ok := e.(decide.PublishJob); ok {
					require.True(t, s.report(event.ReportSucceeded, j.Job.Key))
				}
			}
			assert.Equal(t, event.StateComplete, s.run.State)
		})
	}
}

func TestNoActions(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.tell(decide.Release{})
	assert.Equal(t, event.StateFailed, s.run.State)
	assert.Contains(t, s.run.Failure.Message, "spec.actions")
}

func TestRefusedActionDoesNotDefer(t *testing.T) {
	t.Parallel()
	s := newStory(t, "a", "b")
	s.tell(decide.Refuse{Action: 1, Failure: event.Failure{Reason: event.ReasonNotFound, Message: `blueprint "x" not found`}})
	assert.Equal(t, event.StateRunning, s.run.State, "action a is still to come")
	s.begin(plan("p"))
	s.report(event.ReportSucceeded, core(0))
	assert.Equal(t, event.StateFailed, s.run.State)
	assert.Equal(t, `action "b" (actions[1]): blueprint "x" not found`, s.run.Failure.Message)
	assert.Equal(t, event.StateComplete, s.run.Actions[0].State)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	cancel := func(s *story) bool {
		return s.report(event.ReportCancel, event.Key{UID: "u1", Namespace: "ns"}, func(r *event.Report) { r.Reason = "deleted" })
	}
	t.Run("before the start", func(t *testing.T) {
		t.Parallel()
		s := newStory(t, "a", "b")
		require.True(t, cancel(s))
		assert.Equal(t, event.StateCancelled, s.run.State)
		assert.Equal(t, []string{"run.cancelled"}, s.events())
		assert.False(t, s.tell(decide.Start{Action: 0, Plan: plan("p")}))
	})
	t.Run("planned, not released", func(t *testing.T) {
		t.Parallel()
		s := newStory(t, "a")
		s.tell(decide.Start{Action: 0, Plan: withDefer(plan("p"), "d")})
		require.True(t, cancel(s))
		assert.Equal(t, event.StateCancelled, s.run.State)
		assert.Empty(t, s.jobs(), "nothing ran, so nothing is to be cleaned up")
	})
	t.Run("running", func(t *testing.T) {
		t.Parallel()
		s := newStory(t, "a", "b")
		s.begin(withDefer(plan("p", "q"), "d"))
		require.True(t, cancel(s))
		assert.False(t, cancel(s), "asked for already")
		assert.Contains(t, s.effects, decide.MarkCancel{UID: "u1"})
		assert.Equal(t, event.StateCancelled, s.run.Actions[1].State, "not started: cancelled at once")
		require.True(t, s.report(event.ReportCancelled, core(0)))
		assert.Equal(t, []string{"0.p0.1", "0.defer.1"}, s.jobs())
		assert.Equal(t, event.StateRunning, s.run.State)
		require.True(t, s.report(event.ReportSucceeded, last()))
		assert.Equal(t, event.StateCancelled, s.run.State)
		assert.Equal(t, event.StateCancelled, s.run.Actions[0].State)
		assert.Nil(t, s.run.Failure)
	})
	t.Run("too late for the last phase", func(t *testing.T) {
		t.Parallel()
		s := newStory(t, "a")
		s.begin(plan("p"))
		cancel(s)
		s.report(event.ReportSucceeded, core(0))
		assert.Equal(t, event.StateComplete, s.run.Actions[0].State)
		assert.Equal(t, event.StateCancelled, s.run.State)
	})
	t.Run("stopped though nobody asked", func(t *testing.T) {
		t.Parallel()
		s := newStory(t, "a")
		s.begin(plan("p"))
		s.report(event.ReportCancelled, core(0))
		assert.Equal(t, event.StateFailed, s.run.State)
		assert.Equal(t, event.ReasonCancelled, s.run.Failure.Reason)
	})
}

func TestMessagesAreBoundedAndKeepBothEnds(t *testing.T) {
	t.Parallel()
	s := newStory(t, "backup")
	s.begin(withDefer(plan("p"), "d"))
	long := "first words " + strings.Repeat("ü", event.MessageLimit) + " last words"
	s.report(event.ReportFailed, core(0), failure(long))
	s.report(event.ReportFailed, last(), failure(long))
	a := s.run.Actions[0]
	for _, message := range []string{a.Failure.Message, s.run.Failure.Message, a.Phases[0].Failure.Message, a.DeferPhase.Failure.Message} {
		assert.LessOrEqual(t, len(message), event.MessageLimit)
		assert.True(t, utf8.ValidString(message))
		assert.Contains(t, message, "first words")
		assert.True(t, strings.HasSuffix(message, "last words"))
	}
	assert.Equal(t, 2, strings.Count(a.Failure.Message, "last words"), "both failures are said to their end")
}

func TestProgress(t *testing.T) {
	t.Parallel()
	s := newStory(t, "a")
	s.begin(plan("p"))
	half := func(r *event.Report) { r.Progress = &kanister.PhaseProgress{PercentCompleted: "50"} }
	require.True(t, s.report(event.ReportProgress, core(0), half))
	assert.False(t, s.report(event.ReportProgress, core(0), half), "nothing new")
	assert.False(t, s.report("news", core(0)), "a kind of a newer program")
	assert.Equal(t, "50", s.run.Actions[0].Phases[0].Progress.PercentCompleted)
}
