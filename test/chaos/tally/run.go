package tally

import "strings"

// Plan says what a run has to do, and how it is to end.
type Plan struct {
	// Kind names it, in messages.
	Kind string
	// Steps are the phases, in order.
	Steps []Step
	// Defer is the deferPhase; nil if there is none.
	Defer *Step
	// Fails names the step that is made to fail; empty if all are to end well.
	Fails string
	// Cancelled says that the run is cancelled on its way: it may end at any step.
	Cancelled bool
	// Unsteady says that programs of the cluster are killed too, so that steps may
	// fail on a connection that broke or a container that was not started.
	Unsteady bool
	// Artifact names the step that publishes who it was, in the artifact; empty if
	// the run leaves no artifact.
	Artifact string
}

// Step is one phase.
type Step struct {
	Name string
	// Lines is how many lines the step leaves behind when it ends as planned: one
	// for each attempt. 0 is for a step whose effect is counted elsewhere.
	Lines int
	// Once says that the step may end as interrupted.
	Once bool
}

// Line is one effect, as it was found outside.
type Line struct {
	// Run and Step say whose effect it is.
	Run, Step string
	// By is unique for each time the effect happened: a pod's UID, or a number
	// drawn by the command.
	By string
}

// ParseLines reads a file of effects. The last line is left out if it is not
// whole; it is an error if another is not.
func ParseLines(text string) (lines []Line, bad []string) {
	for raw := range strings.Lines(text) {
		line, whole := strings.CutSuffix(raw, "\n")
		fields := strings.Fields(line)
		switch {
		case !whole:
		case len(fields) == 3:
			lines = append(lines, Line{Run: fields[0], Step: fields[1], By: fields[2]})
		default:
			bad = append(bad, line)
		}
	}
	return lines, bad
}

// State is where a run or a step stands, in the words of package event.
type State string

// The states.
const (
	Pending   State = "pending"
	Running   State = "running"
	Complete  State = "complete"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// Ended reports whether nothing follows.
func (s State) Ended() bool { return s == Complete || s == Failed || s == Cancelled }

// End is how a run stands when the count is made.
type End struct {
	State State
	// Steps by name, as the run's own record says.
	Steps map[string]State
	// Message is the failure, in words.
	Message string
	// By is what the artifact holds: who did the step Plan.Artifact.
	By string
}

// Run is all that is known of a run.
type Run struct {
	// ID is the name of the ActionSet, UID its uid once it is known.
	ID, UID string
	Plan    Plan
	// Accepted is set once the API server had the ActionSet.
	Accepted bool
	// End is what its record says; nil if there is no record.
	End *End
	// Wiped is how the run stood in its ActionSet when the whole store was lost; nil
	// if that did not happen to it.
	Wiped *End
	// Lines are its effects.
	Lines []Line
	// Missed are effects counted elsewhere that are not there, in words.
	Missed []string
	// Left are things of the run that are still there, in words.
	Left []string
	// Boundaries at which something was killed while the run was under way.
	Boundaries []string
}

// Terminal reports whether the run has ended.
func (r *Run) Terminal() bool { return r.End != nil && r.End.State.Ended() }
