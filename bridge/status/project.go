package status

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// deferName stands for a deferPhase without a name.
const deferName = "deferPhase"

// Project says in Kanister's words where a run stands. It is pure: the same run
// always gives the same status.
func Project(run *event.Run) *kanister.ActionSetStatus {
	status := &kanister.ActionSetStatus{
		State:      projectState(run.State),
		Error:      kanister.Error{Message: failureMessage(run)},
		Progress:   projectProgress(run),
		Conditions: projectConditions(run),
	}
	for i := range run.Actions {
		status.Actions = append(status.Actions, projectAction(&run.Actions[i]))
	}
	return status
}

// projectState maps to the four words of Kanister's schema, which has none for
// cancelled.
func projectState(s event.State) kanister.State {
	switch s {
	case event.StatePending:
		return kanister.StatePending
	case event.StateRunning:
		return kanister.StateRunning
	case event.StateComplete:
		return kanister.StateComplete
	case event.StateFailed, event.StateCancelled:
		return kanister.StateFailed
	}
	return kanister.StatePending
}

func projectAction(a *event.Action) kanister.ActionStatus {
	out := kanister.ActionStatus{
		Name:      a.Spec.Name,
		Object:    a.Spec.Object,
		Blueprint: a.Spec.Blueprint,
		Artifacts: a.Artifacts,
	}
	for i := range a.Phases {
		out.Phases = append(out.Phases, projectPhase(&a.Phases[i]))
	}
	if a.DeferPhase != nil {
		phase := projectPhase(a.DeferPhase)
		out.DeferPhase = &phase
	}
	if a.Phases == nil && a.Recovered != nil {
		// Not planned yet. What the status records is all that is known of what was
		// done: without it the next loss of the store would do it again.
		recorded := a.Recovered.DeepCopy()
		out.Phases, out.DeferPhase = recorded.Phases, recorded.DeferPhase
	}
	return out
}

func projectPhase(p *event.Phase) kanister.Phase {
	out := kanister.Phase{Name: p.Name, State: projectState(p.State), Output: projectOutput(p)}
	if p.Progress != nil {
		out.Progress = *p.Progress.DeepCopy()
	}
	if p.State == event.StateComplete {
		out.Progress.PercentCompleted = "100"
	}
	out.Progress.ProgressPercent = out.Progress.PercentCompleted // Kanister's name for it
	switch {
	case p.EndedAt != nil:
		out.Progress.LastTransitionTime = seconds(*p.EndedAt)
	case p.StartedAt != nil:
		out.Progress.LastTransitionTime = seconds(*p.StartedAt)
	}
	return out
}

// projectOutput gives the whole output when it travels inline, else the excerpt.
func projectOutput(p *event.Phase) kanister.JSONMap {
	if p.Output != nil && len(p.Output.Inline) > 0 {
		var out kanister.JSONMap
		if err := json.Unmarshal(p.Output.Inline, &out); err == nil {
			return out
		}
	}
	return kanister.JSONMap(p.Excerpt)
}

func projectProgress(run *event.Run) kanister.ActionProgress {
	var (
		out          kanister.ActionProgress
		sum, all     int
		runningSince time.Time
		last         = run.CreatedAt
	)
	eachPhase(run, func(a *event.Action, p *event.Phase) {
		all++
		sum += percentOf(p)
		if p.State == event.StateRunning && (out.RunningPhase == "" || after(p.StartedAt, runningSince)) {
			out.RunningPhase = nameIn(a, p)
			if p.StartedAt != nil {
				runningSince = *p.StartedAt
			}
		}
		if p.Progress != nil {
			out.SizeDownloadedB += p.Progress.SizeDownloadedB
			out.SizeUploadedB += p.Progress.SizeUploadedB
			out.EstimatedDownloadSizeB += p.Progress.EstimatedDownloadSizeB
			out.EstimatedUploadSizeB += p.Progress.EstimatedUploadSizeB
		}
		last = latest(last, p.StartedAt, p.EndedAt)
	})
	for i := range run.Actions {
		last = latest(last, run.Actions[i].StartedAt, run.Actions[i].EndedAt)
	}
	if run.Cancel != nil {
		last = latest(last, &run.Cancel.At)
	}
	out.PercentCompleted = percent(run.State, sum, all)
	out.LastTransitionTime = seconds(last)
	return out
}

// percentOf is how much of a phase is done. One that failed counts nothing, so that a
// run whose only phase failed does not show 100.
func percentOf(p *event.Phase) int {
	switch {
	case p.State == event.StateComplete:
		return 100
	case p.State != event.StateRunning || p.Progress == nil:
		return 0
	}
	n, err := strconv.Atoi(p.Progress.PercentCompleted)
	if err != nil {
		return 0 // a function that says how far it is in other words
	}
	return min(max(n, 0), 99) // until it has ended well
}

// percent is the mean of the phases', as in Kanister; the deferPhase is one of them.
func percent(s event.State, sum, all int) string {
	switch {
	case s == event.StateComplete:
		return "100"
	case all == 0:
		return "0"
	}
	return strconv.Itoa(sum / all)
}

// failureMessage says why a run failed, naming the phase. It is empty unless the
// run, or something in it, has failed.
func failureMessage(run *event.Run) string {
	if run.State == event.StateCancelled {
		return "cancelled: " + cancelReason(run)
	}
	action, phase, failure := firstFailure(run)
	switch {
	case failure == nil && run.State == event.StateFailed:
		return "failed; no reason was recorded"
	case failure == nil:
		return ""
	case phase != nil && !names(failure.Message, phase):
		return fmt.Sprintf("action %q, phase %q (%s): %s", action.Spec.Name, nameIn(action, phase), phase.Func, failure.Message)
	case phase == nil && action != nil && !strings.Contains(failure.Message, action.Spec.Name):
		return fmt.Sprintf("action %q: %s", action.Spec.Name, failure.Message)
	}
	return failure.Message
}

// firstFailure is the run's failure together with where it happened, as far as
// that can be told.
func firstFailure(run *event.Run) (action *event.Action, phase *event.Phase, failure *event.Failure) {
	failure = run.Failure
	eachPhase(run, func(a *event.Action, p *event.Phase) {
		if phase != nil || p.Failure == nil || p.State != event.StateFailed {
			return
		}
		if failure == nil || *failure == *p.Failure || strings.Contains(failure.Message, p.Failure.Message) {
			action, phase = a, p
		}
	})
	if phase == nil {
		for i := range run.Actions {
			a := &run.Actions[i]
			if a.Failure != nil && (failure == nil || *failure == *a.Failure) {
				action = a
				break
			}
		}
	}
	switch {
	case failure != nil:
	case phase != nil:
		failure = phase.Failure
	case action != nil:
		failure = action.Failure
	}
	return action, phase, failure
}

// names reports whether a message names the phase already; of one that has no name it
// says the function.
func names(message string, phase *event.Phase) bool {
	name := phase.Name
	if name == "" {
		name = "(" + phase.Func + ")"
	}
	return strings.Contains(strings.ToLower(message), "phase") && strings.Contains(message, name)
}

func cancelReason(run *event.Run) string {
	if run.Cancel == nil || run.Cancel.Reason == "" {
		return "no reason was given"
	}
	return run.Cancel.Reason
}

// eachPhase visits the phases of all actions, each action's deferPhase last. The
// render pseudo phase is no phase of the user's and is left out.
func eachPhase(run *event.Run, visit func(*event.Action, *event.Phase)) {
	for i := range run.Actions {
		a := &run.Actions[i]
		for j := range a.Phases {
			visit(a, &a.Phases[j])
		}
		if a.DeferPhase != nil {
			visit(a, a.DeferPhase)
		}
	}
}

func phaseName(p *event.Phase) string {
	if p.Name == "" {
		return deferName
	}
	return p.Name
}

// nameIn is phaseName, but a core phase without a name, which Kanister runs as well, is
// told by its place.
func nameIn(a *event.Action, p *event.Phase) string {
	for i := range a.Phases {
		if p.Name == "" && &a.Phases[i] == p {
			return fmt.Sprintf("phases[%d]", i)
		}
	}
	return phaseName(p)
}

func latest(t time.Time, others ...*time.Time) time.Time {
	for _, o := range others {
		if after(o, t) {
			t = *o
		}
	}
	return t
}

func after(t *time.Time, than time.Time) bool { return t != nil && t.After(than) }

// seconds cuts to what the API server keeps, so that what was read back compares
// equal.
func seconds(t time.Time) *metav1.Time {
	out := metav1.NewTime(t.UTC().Truncate(time.Second))
	return &out
}
