package status

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)

func at(seconds int) *time.Time {
	t := t0.Add(time.Duration(seconds) * time.Second)
	return &t
}

// aRun is a run with one action of two phases, pending, then changed.
func aRun(change func(r *event.Run, a *event.Action)) *event.Run {
	r := &event.Run{
		Version: event.RunVersion, UID: "u", Namespace: "ns", Name: "as", CreatedAt: t0, UpdatedAt: *at(100), State: event.StatePending,
		Actions: []event.Action{{
			Spec:   kanister.ActionSpec{Name: "backup", Blueprint: "bp", Object: kanister.ObjectReference{Kind: "Namespace", Name: "ns"}},
			State:  event.StatePending,
			Phases: []event.Phase{{Name: "dump", Func: "KubeTask", State: event.StatePending}, {Name: "check", Func: "KubeExec", State: event.StatePending}},
		}},
	}
	if change != nil {
		change(r, &r.Actions[0])
	}
	return r
}

func running(r *event.Run, a *event.Action) {
	r.State, a.State, a.StartedAt = event.StateRunning, event.StateRunning, at(1)
	a.Phases[0].State, a.Phases[0].StartedAt, a.Phases[0].Attempt = event.StateRunning, at(2), 1
}

func complete(r *event.Run, a *event.Action) {
	running(r, a)
	for i := range a.Phases {
		a.Phases[i].State, a.Phases[i].StartedAt, a.Phases[i].EndedAt = event.StateComplete, at(2+i), at(3+i)
	}
	a.Phases[0].Output = &event.Payload{Inline: json.RawMessage(`{"n":3,"path":"a/b"}`), Digest: "sha256:x", Size: 20}
	a.Artifacts = map[string]kanister.Artifact{"dump": {KeyValue: map[string]string{"path": "a/b"}}}
	a.State, r.State, a.EndedAt = event.StateComplete, event.StateComplete, at(5)
}

// The whole wire form of the statuses that a two-phase run goes through.
func TestProjectGolden(t *testing.T) {
	for name, c := range map[string]struct {
		run  *event.Run
		want string
	}{
		"pending": {aRun(nil), `{"state":"pending","error":{},
			"progress":{"percentCompleted":"0","lastTransitionTime":"2026-01-02T03:04:05Z"},
			"actions":[{"name":"backup","blueprint":"bp","object":{"kind":"Namespace","name":"ns"},
				"phases":[{"name":"dump","state":"pending","progress":{}},{"name":"check","state":"pending","progress":{}}]}]}`},
		"running": {aRun(running), `{"state":"running","error":{},
			"progress":{"runningPhase":"dump","percentCompleted":"0","lastTransitionTime":"2026-01-02T03:04:07Z"},
			"actions":[{"name":"backup","blueprint":"bp","object":{"kind":"Namespace","name":"ns"},
				"phases":[{"name":"dump","state":"running","progress":{"lastTransitionTime":"2026-01-02T03:04:07Z"}},{"name":"check","state":"pending","progress":{}}]}]}`},
		"complete": {aRun(complete), `{"state":"complete","error":{},
			"progress":{"percentCompleted":"100","lastTransitionTime":"2026-01-02T03:04:10Z"},
			"actions":[{"name":"backup","blueprint":"bp","object":{"kind":"Namespace","name":"ns"},
				"artifacts":{"dump":{"keyValue":{"path":"a/b"}}},
				"phases":[
					{"name":"dump","state":"complete","output":{"n":3,"path":"a/b"},"progress":{"percentCompleted":"100","progressPercent":"100","lastTransitionTime":"2026-01-02T03:04:08Z"}},
					{"name":"check","state":"complete","progress":{"percentCompleted":"100","progressPercent":"100","lastTransitionTime":"2026-01-02T03:04:09Z"}}]}]}`},
		"cancelled": {aRun(func(r *event.Run, a *event.Action) {
			running(r, a)
			r.State, a.State, a.Phases[0].State, a.Phases[0].EndedAt = event.StateCancelled, event.StateCancelled, event.StateCancelled, at(7)
			r.Cancel = &event.Cancel{Reason: "ActionSet deleted", At: *at(6)}
		}), `{"state":"failed","error":{"message":"cancelled: ActionSet deleted"},
			"progress":{"percentCompleted":"0","lastTransitionTime":"2026-01-02T03:04:12Z"},
			"conditions":[{"type":"Cancelled","status":"True","reason":"Cancelled","message":"ActionSet deleted","lastTransitionTime":"2026-01-02T03:04:11Z"}],
			"actions":[{"name":"backup","blueprint":"bp","object":{"kind":"Namespace","name":"ns"},
				"phases":[{"name":"dump","state":"failed","progress":{"lastTransitionTime":"2026-01-02T03:04:12Z"}},{"name":"check","state":"pending","progress":{}}]}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(Project(c.run))
			require.NoError(t, err)
			assert.JSONEq(t, c.want, string(got))
			assert.Empty(t, cmp.Diff(Project(c.run), Project(c.run)), "the projection is not a function of the run")
		})
	}
}

// Between the making anew of a lost record and its planning the status keeps what it
// records.
func TestProjectOfARecoveredRunBeforeItIsPlanned(t *testing.T) {
	recorded := &kanister.ActionStatus{
		Phases:     []kanister.Phase{{Name: "dump", State: kanister.StateComplete, Output: kanister.JSONMap{"path": "a/b"}}},
		DeferPhase: &kanister.Phase{Name: "tidy", State: kanister.StatePending},
	}
	run := aRun(func(_ *event.Run, a *event.Action) { a.Phases, a.DeferPhase, a.Recovered = nil, nil, recorded })
	action := Project(run).Actions[0]
	assert.Equal(t, recorded.Phases, action.Phases)
	assert.Equal(t, recorded.DeferPhase, action.DeferPhase)

	planned := aRun(func(_ *event.Run, a *event.Action) { a.Recovered = recorded })
	assert.Len(t, Project(planned).Actions[0].Phases, len(planned.Actions[0].Phases))
}

func TestProjectOutput(t *testing.T) {
	big := event.Phase{
		State: event.StateComplete, Output: &event.Payload{Digest: "sha256:x", Size: 1 << 20},
		Excerpt: map[string]any{"log": "abc…"},
	}
	assert.Equal(t, kanister.JSONMap{"log": "abc…"}, projectPhase(&big).Output, "what is not inline shows its excerpt")
	assert.Nil(t, projectPhase(&event.Phase{State: event.StateComplete}).Output)
}

func TestProjectProgress(t *testing.T) {
	three := func(ended int, deferred *event.Phase) *event.Run {
		return aRun(func(r *event.Run, a *event.Action) {
			r.State = event.StateRunning
			a.Phases = append(a.Phases, event.Phase{Name: "third"})
			for i := range ended {
				a.Phases[i].State = event.StateComplete
			}
			a.DeferPhase = deferred
		})
	}
	assert.Equal(t, "33", Project(three(1, nil)).Progress.PercentCompleted)
	assert.Equal(t, "66", Project(three(2, nil)).Progress.PercentCompleted)
	last := &event.Phase{State: event.StateRunning, StartedAt: at(9)}
	got := Project(three(3, last))
	assert.Equal(t, "75", got.Progress.PercentCompleted)
	assert.Equal(t, "deferPhase", got.Progress.RunningPhase, "a deferPhase may have no name")
	require.NotNil(t, got.Actions[0].DeferPhase)
	assert.Equal(t, kanister.StateRunning, got.Actions[0].DeferPhase.State)

	sizes := Project(aRun(func(r *event.Run, a *event.Action) {
		running(r, a)
		a.Phases[0].Progress = &kanister.PhaseProgress{PercentCompleted: "40", SizeUploadedB: 7}
		a.Phases[1].Progress = &kanister.PhaseProgress{SizeUploadedB: 5}
		a.Phases[1].State, a.Phases[1].StartedAt = event.StateRunning, at(4)
	}))
	assert.EqualValues(t, 12, sizes.Progress.SizeUploadedB)
	assert.Equal(t, "40", sizes.Actions[0].Phases[0].Progress.PercentCompleted)
	assert.Equal(t, "40", sizes.Actions[0].Phases[0].Progress.ProgressPercent, "as Kanister calls it on a phase")
	assert.Empty(t, sizes.Progress.ProgressPercent, "and not on the whole")
	assert.Equal(t, "20", sizes.Progress.PercentCompleted, "the mean of the phases")
	for said, want := range map[string]string{"100": "49", "-3": "0", "half": "0", "": "0"} {
		odd := Project(aRun(func(r *event.Run, a *event.Action) {
			running(r, a)
			a.Phases[0].Progress = &kanister.PhaseProgress{PercentCompleted: said}
		}))
		assert.Equal(t, want, odd.Progress.PercentCompleted, said)
	}
	assert.Equal(t, "check", sizes.Progress.RunningPhase, "the phase that started last")

	failedOnly := Project(aRun(func(r *event.Run, a *event.Action) {
		a.Phases = a.Phases[:1]
		a.Phases[0].State, r.State = event.StateFailed, event.StateFailed
	}))
	assert.Equal(t, "0", failedOnly.Progress.PercentCompleted)
}

func TestFailureMessage(t *testing.T) {
	failed := func(run, action, phase *event.Failure) *event.Run {
		return aRun(func(r *event.Run, a *event.Action) {
			r.State, a.State = event.StateFailed, event.StateFailed
			r.Failure, a.Failure = run, action
			if phase != nil {
				a.Phases[0].State, a.Phases[0].Failure = event.StateFailed, phase
			}
		})
	}
	pull := &event.Failure{Reason: event.ReasonImagePull, Message: "image x cannot be pulled"}
	missing := &event.Failure{Reason: event.ReasonNotFound, Message: "blueprint bp does not exist"}
	named := &event.Failure{Reason: event.ReasonPodFailed, Message: `phase "dump" ended with exit code 1`}
	for name, c := range map[string]struct {
		run  *event.Run
		want string
	}{
		"phase":               {failed(pull, pull, pull), `action "backup", phase "dump" (KubeTask): image x cannot be pulled`},
		"phase only":          {failed(nil, nil, pull), `action "backup", phase "dump" (KubeTask): image x cannot be pulled`},
		"named already":       {failed(named, named, named), named.Message},
		"before any phase":    {failed(missing, missing, nil), `action "backup": blueprint bp does not exist`},
		"run only":            {failed(missing, nil, nil), missing.Message},
		"run and other phase": {failed(missing, nil, pull), missing.Message},
		"nothing recorded":    {failed(nil, nil, nil), "failed; no reason was recorded"},
		"complete":            {aRun(complete), ""},
		"cancelled, no words": {aRun(func(r *event.Run, _ *event.Action) { r.State = event.StateCancelled }), "cancelled: no reason was given"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, Project(c.run).Error.Message) })
	}
}

// Kanister runs core phases without a name too: they are not to be taken for the
// deferPhase.
func TestPhasesWithoutAName(t *testing.T) {
	unnamed := func(change func(a *event.Action)) *kanister.ActionSetStatus {
		return Project(aRun(func(r *event.Run, a *event.Action) {
			running(r, a)
			a.Phases[0].Name, a.Phases[1].Name = "", ""
			a.DeferPhase = &event.Phase{Func: "ScaleWorkload", State: event.StatePending}
			change(a)
			r.Failure = a.Failure
		}))
	}
	fail := func(a *event.Action, p *event.Phase, message string) {
		p.State, p.Failure = event.StateFailed, &event.Failure{Reason: event.ReasonPodFailed, Message: "exit code 3"}
		a.Failure = &event.Failure{Reason: event.ReasonPodFailed, Message: message}
	}
	assert.Equal(t, "phases[0]", unnamed(func(*event.Action) {}).Progress.RunningPhase)
	// As package decide words them.
	const ofCore, ofDefer = `action "backup" (actions[0]): phase (KubeTask): exit code 3`, `action "backup" (actions[0]): deferPhase (ScaleWorkload): exit code 3`
	assert.Equal(t, ofCore, unnamed(func(a *event.Action) { fail(a, &a.Phases[0], ofCore) }).Error.Message)
	assert.Equal(t, ofDefer, unnamed(func(a *event.Action) { fail(a, a.DeferPhase, ofDefer) }).Error.Message)
	assert.Equal(t, `action "backup", phase "phases[0]" (KubeTask): exit code 3`, unnamed(func(a *event.Action) { fail(a, &a.Phases[0], "exit code 3") }).Error.Message)
}

func TestConditions(t *testing.T) {
	stopping := Project(aRun(func(r *event.Run, a *event.Action) {
		running(r, a)
		r.Cancel = &event.Cancel{Reason: "asked by hand", At: *at(3)}
	}))
	require.Len(t, stopping.Conditions, 1)
	assert.Equal(t, "Stopping", stopping.Conditions[0].Reason)
	assert.Equal(t, kanister.StateRunning, stopping.State)

	tooLate := Project(aRun(func(r *event.Run, a *event.Action) {
		complete(r, a)
		r.Cancel = &event.Cancel{Reason: "asked by hand", At: *at(3)}
	}))
	assert.Empty(t, tooLate.Conditions)
	assert.Equal(t, kanister.StateComplete, tooLate.State)
}

func TestNotices(t *testing.T) {
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
	failure := &event.Failure{Message: "broken"}
	phaseFailed := aRun(func(r *event.Run, a *event.Action) {
		running(r, a)
		a.Phases[0].State, a.Phases[0].Failure = event.StateFailed, failure
		a.DeferPhase = &event.Phase{State: event.StateRunning, StartedAt: at(4)}
	})
	ended := aRun(func(r *event.Run, a *event.Action) {
		running(r, a)
		a.Phases[0].State, a.Phases[0].Failure, r.State = event.StateFailed, failure, event.StateFailed
	})
	cancelled := aRun(func(r *event.Run, a *event.Action) { running(r, a); r.State = event.StateCancelled })
	assert.Empty(t, reasons(nil, aRun(nil)))
	assert.Equal(t, []string{ReasonActionStarted}, reasons(aRun(nil), aRun(running)))
	assert.Empty(t, reasons(aRun(running), aRun(running)))
	assert.Equal(t, []string{ReasonActionSetComplete}, reasons(aRun(running), aRun(complete)))
	assert.Equal(t, []string{ReasonActionStarted, ReasonActionSetComplete}, reasons(aRun(nil), aRun(complete)), "states in between were skipped")
	assert.Equal(t, []string{ReasonPhaseFailed}, reasons(aRun(running), phaseFailed))
	assert.Empty(t, reasons(phaseFailed, phaseFailed))
	assert.Equal(t, []string{ReasonActionSetFailed}, reasons(aRun(running), ended), "one event tells a failure that ends the run")
	assert.Equal(t, []string{ReasonActionSetCancelled}, reasons(aRun(running), cancelled))
	assert.Empty(t, reasons(aRun(complete), aRun(complete)), "nothing follows the end")
}
