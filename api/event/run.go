package event

import (
	"encoding/json"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// RunVersion is the version of Run's wire form.
const RunVersion = 1

// State is where a run, an action or a phase stands.
type State string

// The states. The last three are terminal.
const (
	StatePending   State = "pending"
	StateRunning   State = "running"
	StateComplete  State = "complete"
	StateFailed    State = "failed"
	StateCancelled State = "cancelled"
)

// Terminal reports whether nothing follows the state.
func (s State) Terminal() bool {
	switch s {
	case StateComplete, StateFailed, StateCancelled:
		return true
	case StatePending, StateRunning:
		return false
	}
	return false
}

// Run is the whole state of one ActionSet's run: the last message of its subject
// on RUNS. The bridge creates it, pending; from then on only the dispatcher
// writes it, each time on the condition that it saw the last version.
type Run struct {
	// Version is RunVersion.
	Version int `json:"version"`
	// UID of the ActionSet.
	UID string `json:"uid"`
	// Namespace of the ActionSet.
	Namespace string `json:"namespace"`
	// Name of the ActionSet.
	Name string `json:"name"`
	// Labels of the ActionSet, for log fields and pods.
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations of the ActionSet that start with salvor.io/, as they were when
	// the run was created: its retry and timeout policy.
	Annotations map[string]string `json:"annotations,omitempty"`
	// Traceparent is the W3C trace context that the run continues.
	Traceparent string `json:"traceparent,omitempty"`
	// CreatedAt is when the bridge accepted the ActionSet.
	CreatedAt time.Time `json:"createdAt"`
	// UpdatedAt is when the state last changed.
	UpdatedAt time.Time `json:"updatedAt"`
	State     State     `json:"state"`
	// Cancel is set once somebody asked for the end; the run is then on its way
	// to cancelled.
	Cancel *Cancel `json:"cancel,omitempty"`
	// Pause is set while no further core phase is to start.
	Pause *Pause `json:"pause,omitempty"`
	// Retry is the last request to go on after the run had ended.
	Retry *Retry `json:"retry,omitempty"`
	// Failure is the first failure of the run.
	Failure *Failure `json:"failure,omitempty"`
	Actions []Action `json:"actions"`
}

// Cancel says who asked for the end of a run, in words.
type Cancel struct {
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Pause says who asked that nothing further starts, in words.
type Pause struct {
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Retry says that a run which had ended goes on.
type Retry struct {
	// Token tells one request from a repetition of it.
	Token string `json:"token"`
	// Round counts the requests that were granted, from 1.
	Round int       `json:"round"`
	At    time.Time `json:"at"`
}

// Action is one action of a run.
type Action struct {
	// Spec as the user wrote it.
	Spec  kanister.ActionSpec `json:"spec"`
	State State               `json:"state"`
	// Blueprint is pinned when the action starts.
	Blueprint *BlueprintRef `json:"blueprint,omitempty"`
	// Recovered is what the ActionSet's status said of the action when the record
	// of the run had been lost and was made anew. The dispatcher takes over from
	// it what had ended, when the action starts.
	Recovered *kanister.ActionStatus `json:"recovered,omitempty"`
	// Timeout of the action's core phases together; 0 is none.
	Timeout metav1.Duration `json:"timeout,omitzero"`
	// Deadline is when Timeout will have passed; set when the action starts.
	Deadline *time.Time `json:"deadline,omitempty"`
	// Params are the resolved template parameters (blueprint.Params as JSON),
	// set when the action starts and never changed.
	Params *Payload `json:"params,omitempty"`
	// Phases in order.
	Phases []Phase `json:"phases,omitempty"`
	// DeferPhase runs after Phases, however they ended.
	DeferPhase *Phase `json:"deferPhase,omitempty"`
	// RenderArtifacts says that the blueprint names output artifacts.
	RenderArtifacts bool `json:"renderArtifacts,omitempty"`
	// Render is the pseudo phase that renders the artifacts of an action
	// without phases.
	Render *Phase `json:"render,omitempty"`
	// Artifacts as rendered after the last phase.
	Artifacts map[string]kanister.Artifact `json:"artifacts,omitempty"`
	Failure   *Failure                     `json:"failure,omitempty"`
	StartedAt *time.Time                   `json:"startedAt,omitempty"`
	EndedAt   *time.Time                   `json:"endedAt,omitempty"`
}

// BlueprintRef pins a blueprint by content.
type BlueprintRef struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Content is the whole Blueprint as JSON, by digest.
	Content Payload `json:"content"`
}

// Phase is one phase of an action.
type Phase struct {
	// Name is the user's; a deferPhase may have none.
	Name  string `json:"name"`
	Func  string `json:"func"`
	State State  `json:"state"`
	// Attempt is 0 before the first start. It never goes back, so that no two
	// attempts share a name.
	Attempt int `json:"attempt,omitempty"`
	// Base is how many attempts had been made when the run was last asked to go
	// on after its end; Attempt-Base of the policy's attempts are used up.
	Base int `json:"base,omitempty"`
	// Policy is set when the action starts; nil means one attempt, no time limit.
	Policy *Policy `json:"policy,omitempty"`
	// Deadline is when the running attempt's time is up. The runner stops it
	// then, and the dispatcher ends it some time later if no runner has.
	Deadline *time.Time `json:"deadline,omitempty"`
	// RetryAt is when a pending phase that failed before may be released again.
	RetryAt *time.Time `json:"retryAt,omitempty"`
	// Attempts are the failed attempts before this one, the last AttemptsKept.
	Attempts []AttemptRecord `json:"attempts,omitempty"`
	// Output is a JSON object.
	Output *Payload `json:"output,omitempty"`
	// Excerpt stands for Output in the status when Output is not inline: the
	// same keys, values cut.
	Excerpt map[string]any `json:"excerpt,omitempty"`
	Failure *Failure       `json:"failure,omitempty"`
	// Progress as last reported.
	Progress  *kanister.PhaseProgress `json:"progress,omitempty"`
	StartedAt *time.Time              `json:"startedAt,omitempty"`
	EndedAt   *time.Time              `json:"endedAt,omitempty"`
}

// AttemptsKept bounds Phase.Attempts.
const AttemptsKept = 5

// AttemptRecord is how an earlier attempt ended.
type AttemptRecord struct {
	Attempt int       `json:"attempt"`
	EndedAt time.Time `json:"endedAt"`
	Failure Failure   `json:"failure"`
}

// OnInterrupt says what becomes of a phase whose runner was lost and whose
// function may not be run again by itself.
type OnInterrupt string

// The choices.
const (
	// InterruptFails: the phase fails with ReasonInterrupted. The default.
	InterruptFails OnInterrupt = "fail"
	// InterruptRetries: it is run again, using up one of the attempts.
	InterruptRetries OnInterrupt = "retry"
)

// Policy is how a phase is retried and how long it may take.
type Policy struct {
	// Attempts in all, at least 1.
	Attempts int `json:"attempts"`
	// Backoff before the second attempt; doubled before each further one.
	Backoff metav1.Duration `json:"backoff,omitzero"`
	// BackoffLimit bounds the doubling.
	BackoffLimit metav1.Duration `json:"backoffLimit,omitzero"`
	// Timeout of one attempt, counted from its release; 0 is none.
	Timeout metav1.Duration `json:"timeout,omitzero"`
	// OnInterrupt is InterruptFails when empty.
	OnInterrupt OnInterrupt `json:"onInterrupt,omitempty"`
}

// InlineLimit is the size in bytes up to which a Payload travels inline.
const InlineLimit = 8 << 10

// Payload is a piece of JSON that travels inline when it is small and lies in
// the object store, under its digest, when it is not.
type Payload struct {
	Inline json.RawMessage `json:"inline,omitempty"`
	// Digest is "sha256:" and 64 hexadecimal digits of the content; always set.
	Digest string `json:"digest"`
	// Size of the content in bytes.
	Size int `json:"size"`
}

// Reason is a word for a program; a person reads Failure.Message.
type Reason string

// The reasons for which a phase or a run fails.
const (
	// ReasonInvalid: the blueprint or the ActionSet can never run as written.
	ReasonInvalid Reason = "Invalid"
	// ReasonNotFound: something that is named does not exist.
	ReasonNotFound Reason = "NotFound"
	// ReasonForbidden: the API server refused.
	ReasonForbidden Reason = "Forbidden"
	// ReasonRender: a template could not be rendered.
	ReasonRender Reason = "Render"
	// ReasonImagePull: the kubelet could not pull the image.
	ReasonImagePull Reason = "ImagePull"
	// ReasonPodFailed: the command ended with an error, or the pod was lost.
	ReasonPodFailed Reason = "PodFailed"
	// ReasonOutput: what the phase published could not be read.
	ReasonOutput Reason = "Output"
	// ReasonTimeout: a time limit passed.
	ReasonTimeout Reason = "Timeout"
	// ReasonInterrupted: the runner was lost and the function may not be run
	// twice.
	ReasonInterrupted Reason = "Interrupted"
	// ReasonPoison: the job crashed its runner several times and was parked on
	// StreamDLQ.
	ReasonPoison Reason = "Poison"
	// ReasonCancelled: somebody asked for the end.
	ReasonCancelled Reason = "Cancelled"
	// ReasonInternal: Salvor's own fault.
	ReasonInternal Reason = "Internal"
	// ReasonFailed: anything else that a function reports.
	ReasonFailed Reason = "Failed"
)

// Failure says why, for a program and for a person.
type Failure struct {
	Reason Reason `json:"reason"`
	// Message names what failed and what to do; never a secret value. Bounded
	// to MessageLimit bytes.
	Message string `json:"message"`
}

// MessageLimit bounds a Failure's message, in bytes.
const MessageLimit = 4 << 10
