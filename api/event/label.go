package event

import "strconv"

// Labels that every pod of a phase carries: its identity. No podLabels can change
// them.
const (
	// LabelRun is the UID of the run.
	LabelRun = "salvor.io/run"
	// LabelNamespace is the namespace of the ActionSet.
	LabelNamespace = "salvor.io/actionset-namespace"
	// LabelAction is the index of the action.
	LabelAction = "salvor.io/action"
	// LabelPhase is core-<index>, defer-0 or render-0.
	LabelPhase = "salvor.io/phase"
	// LabelAttempt counts from 1.
	LabelAttempt = "salvor.io/attempt"
)

// PhaseLabel is the value of LabelPhase.
func (k Key) PhaseLabel() string { return string(k.Kind) + "-" + strconv.Itoa(k.Phase) }
