package event

import (
	"time"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// PhaseKind tells the ordered phases of an action from the others.
type PhaseKind string

// The kinds of phase.
const (
	// KindCore is one of Action.Phases.
	KindCore PhaseKind = "core"
	// KindDefer is Action.DeferPhase.
	KindDefer PhaseKind = "defer"
	// KindRender is Action.Render: no function, only the output artifacts.
	KindRender PhaseKind = "render"
)

// Key names one attempt of one phase of one action of one run. It is the
// identity of the job, its claim, its pod and its reports.
type Key struct {
	// UID of the run.
	UID string `json:"uid"`
	// Namespace of the ActionSet.
	Namespace string `json:"namespace"`
	// Action is an index into Run.Actions.
	Action int       `json:"action"`
	Kind   PhaseKind `json:"kind"`
	// Phase is an index into Action.Phases; 0 for the other kinds.
	Phase int `json:"phase"`
	// Attempt counts from 1.
	Attempt int `json:"attempt"`
}

// Job asks a runner for one attempt of one phase. It carries references only:
// the runner reads the run, renders and executes.
type Job struct {
	Key Key `json:"key"`
	// ActionSet is the name of the ActionSet, for logs.
	ActionSet string `json:"actionSet"`
	// PhaseName and Func are for logs and metrics.
	PhaseName string `json:"phaseName,omitempty"`
	Func      string `json:"func,omitempty"`
	// RenderArtifacts asks for the action's output artifacts after the phase:
	// it is the last one and all before it ended well.
	RenderArtifacts bool `json:"renderArtifacts,omitempty"`
}

// ReportKind says what a report tells.
type ReportKind string

// The kinds of report. Runners send the first four, the bridge the others, which
// are requests: of their keys only UID and Namespace count.
const (
	// ReportProgress: the phase still runs.
	ReportProgress ReportKind = "progress"
	// ReportSucceeded: the phase ended well; Output and Artifacts are set.
	ReportSucceeded ReportKind = "succeeded"
	// ReportFailed: the phase ended with Failure.
	ReportFailed ReportKind = "failed"
	// ReportCancelled: the phase was stopped because the run is cancelled.
	ReportCancelled ReportKind = "cancelled"
	// ReportCancel asks for the end of the run. Only UID, Namespace and Reason
	// count.
	ReportCancel ReportKind = "cancel"
	// ReportPause asks that no further core phase starts. Reason says why.
	ReportPause ReportKind = "pause"
	// ReportResume takes a pause back.
	ReportResume ReportKind = "resume"
	// ReportRetry asks a run that failed or was cancelled to go on where it
	// ended. Token tells one request from a repetition of it.
	ReportRetry ReportKind = "retry"
)

// Report tells the dispatcher what became of a job, or asks for a cancel.
type Report struct {
	Kind ReportKind `json:"kind"`
	Key  Key        `json:"key"`
	At   time.Time  `json:"at"`
	// Output is a JSON object; nil when the phase published nothing.
	Output *Payload `json:"output,omitempty"`
	// Excerpt is set when Output is not inline.
	Excerpt map[string]any `json:"excerpt,omitempty"`
	// Artifacts, when the job asked for them.
	Artifacts map[string]kanister.Artifact `json:"artifacts,omitempty"`
	// ArtifactsFailure: the phase ended well, but its artifacts could not be
	// rendered.
	ArtifactsFailure *Failure                `json:"artifactsFailure,omitempty"`
	Failure          *Failure                `json:"failure,omitempty"`
	Progress         *kanister.PhaseProgress `json:"progress,omitempty"`
	// Pod as namespace/name, for logs.
	Pod string `json:"pod,omitempty"`
	// Runner that reports, for logs.
	Runner string `json:"runner,omitempty"`
	// Reason of a ReportCancel or ReportPause, in words.
	Reason string `json:"reason,omitempty"`
	// Token of a ReportRetry.
	Token string `json:"token,omitempty"`
}

// DeadLetter is the record of something that was set aside because handling it
// failed again and again, or could not even begin.
type DeadLetter struct {
	// Key is zero when the message could not be read.
	Key Key `json:"key,omitzero"`
	// ActionSet, PhaseName and Func are as in the job.
	ActionSet string    `json:"actionSet,omitempty"`
	PhaseName string    `json:"phaseName,omitempty"`
	Func      string    `json:"func,omitempty"`
	At        time.Time `json:"at"`
	// Reason, in words.
	Reason string `json:"reason"`
	// Crashes are the losses of runners that led to it.
	Crashes []Crash `json:"crashes,omitempty"`
	// Sink that an event could not be delivered to.
	Sink string `json:"sink,omitempty"`
	// Subject and Message are of a message that could not be read, or of an event that
	// could not be delivered, as JSON; Message is cut to 64 KiB.
	Subject string `json:"subject,omitempty"`
	Message []byte `json:"message,omitempty"`
}

// Crash is one loss of a runner while it worked on a job.
type Crash struct {
	// Runner that was lost.
	Runner string    `json:"runner"`
	At     time.Time `json:"at"`
}
