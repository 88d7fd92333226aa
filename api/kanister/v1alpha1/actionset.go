package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// State is where an ActionSet or a phase stands.
//
// +kubebuilder:validation:Enum=pending;running;complete;failed
type State string

// The states, in Kanister's words.
const (
	// StatePending means accepted, not yet started.
	StatePending State = "pending"
	// StateRunning means at least one phase has started and not all have ended.
	StateRunning State = "running"
	// StateComplete means everything ended well.
	StateComplete State = "complete"
	// StateFailed means ended, and not well; status.error.message says why.
	StateFailed State = "failed"
)

// ActionSet asks for one run of one or more blueprint actions and records what
// happened.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=actionsets,singular=actionset,shortName=as,categories=salvor
// +kubebuilder:subresource:status
// +kubebuilder:selectablefield:JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Progress",type=string,JSONPath=`.status.progress.percentCompleted`
// +kubebuilder:printcolumn:name="Running Phase",type=string,JSONPath=`.status.progress.runningPhase`
// +kubebuilder:printcolumn:name="Actions",type=string,JSONPath=`.spec.actions[*].name`
// +kubebuilder:printcolumn:name="Object",type=string,JSONPath=`.spec.actions[*].object.name`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Error",type=string,priority=1,JSONPath=`.status.error.message`
// +kubebuilder:printcolumn:name="Blueprint",type=string,priority=1,JSONPath=`.spec.actions[*].blueprint`
// +kubebuilder:printcolumn:name="Last Transition Time",type=string,format=date-time,priority=1,JSONPath=`.status.progress.lastTransitionTime`
// +kubebuilder:printcolumn:name="SizeUploadedB",type=integer,priority=1,JSONPath=`.status.progress.sizeUploadedB`
// +kubebuilder:printcolumn:name="SizeDownloadedB",type=integer,priority=1,JSONPath=`.status.progress.sizeDownloadedB`
// +kubebuilder:printcolumn:name="EstimatedDownloadSizeB",type=integer,priority=1,JSONPath=`.status.progress.estimatedDownloadSizeB`
// +kubebuilder:printcolumn:name="EstimatedUploadSizeB",type=integer,priority=1,JSONPath=`.status.progress.estimatedUploadSizeB`
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
type ActionSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	Spec *ActionSetSpec `json:"spec"`
	// +optional
	Status *ActionSetStatus `json:"status,omitempty"`
}

// ActionSetList is a list of ActionSets.
//
// +kubebuilder:object:root=true
type ActionSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ActionSet `json:"items"`
}

// ActionSetSpec says what is to be run.
type ActionSetSpec struct {
	// Actions run in parallel; the phases of one action run in order.
	//
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Actions []ActionSpec `json:"actions"`
}

// ActionSpec asks for one action of one blueprint on one object.
type ActionSpec struct {
	// Name of the action in the blueprint, for example backup or restore.
	//
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// Object that the action works on.
	Object ObjectReference `json:"object"`
	// Blueprint by name. It is looked up in the ActionSet's namespace, then in
	// the library namespace.
	//
	// +optional
	Blueprint string `json:"blueprint,omitempty"`
	// Artifacts given to the phases, as .ArtifactsIn.
	//
	// +optional
	// +nullable
	Artifacts map[string]Artifact `json:"artifacts,omitempty"`
	// ConfigMaps given to the phases, as .ConfigMaps.
	//
	// +optional
	// +nullable
	ConfigMaps map[string]ObjectReference `json:"configMaps,omitempty"`
	// Secrets given to the phases, as .Secrets.
	//
	// +optional
	// +nullable
	Secrets map[string]ObjectReference `json:"secrets,omitempty"`
	// Profile says where data goes and with which credentials.
	//
	// +optional
	// +nullable
	Profile *ObjectReference `json:"profile,omitempty"`
	// PodOverride is merged (strategic merge) over the pod specs of this action.
	//
	// +optional
	// +nullable
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	PodOverride JSONMap `json:"podOverride,omitempty"`
	// Options given to the phases, as .Options.
	//
	// +optional
	// +nullable
	Options map[string]string `json:"options,omitempty"`
	// PreferredVersion of the functions, semantic version; empty means v0.0.0.
	//
	// +optional
	PreferredVersion string `json:"preferredVersion,omitempty"`
	// PodLabels are put on the pods of this action; the blueprint's win.
	//
	// +optional
	// +nullable
	PodLabels map[string]string `json:"podLabels,omitempty"`
	// PodAnnotations are put on the pods of this action; the blueprint's win.
	//
	// +optional
	// +nullable
	PodAnnotations map[string]string `json:"podAnnotations,omitempty"`
}

// ObjectReference names an object of the cluster. Either kind, or group (or
// apiVersion) and resource say what it is.
type ObjectReference struct {
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	// +optional
	Group string `json:"group,omitempty"`
	// +optional
	Resource string `json:"resource,omitempty"`
	// +optional
	Kind string `json:"kind,omitempty"`
	// +optional
	Name string `json:"name,omitempty"`
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// Artifact is what an action leaves behind and another takes up.
type Artifact struct {
	// +optional
	// +nullable
	KeyValue map[string]string `json:"keyValue,omitempty"`
	// KopiaSnapshot is the JSON that a Kopia upload printed.
	//
	// +optional
	KopiaSnapshot string `json:"kopiaSnapshot,omitempty"`
}

// ActionSetStatus records what happened. Written by the bridge only.
type ActionSetStatus struct {
	// +optional
	State State `json:"state,omitempty"`
	// +optional
	Actions []ActionStatus `json:"actions,omitempty"`
	// +optional
	Error Error `json:"error,omitempty"`
	// +optional
	Progress ActionProgress `json:"progress,omitempty"`
	// Conditions hold what the state word cannot, such as Cancelled.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Error says why something failed.
type Error struct {
	// +optional
	Message string `json:"message,omitempty"`
}

// ActionStatus is one action's record.
type ActionStatus struct {
	Name string `json:"name"`
	// +optional
	Object ObjectReference `json:"object,omitempty"`
	// +optional
	Blueprint string `json:"blueprint,omitempty"`
	// +optional
	// +nullable
	Phases []Phase `json:"phases,omitempty"`
	// +optional
	// +nullable
	Artifacts map[string]Artifact `json:"artifacts,omitempty"`
	// +optional
	DeferPhase *Phase `json:"deferPhase,omitempty"`
}

// ActionProgress sums up a whole ActionSet.
type ActionProgress struct {
	// RunningPhase is the name of the phase that started last and still runs.
	//
	// +optional
	RunningPhase string `json:"runningPhase,omitempty"`
	// +optional
	PhaseProgress `json:",inline"`
}

// PhaseProgress is how far one phase is. Sizes are bytes.
type PhaseProgress struct {
	// PercentCompleted is an integer from 0 to 100 as text.
	//
	// +optional
	PercentCompleted string `json:"percentCompleted,omitempty"`
	// ProgressPercent is the same under the name that Kanister has for it on a
	// phase; it is not set on the ActionSet as a whole.
	//
	// +optional
	ProgressPercent string `json:"progressPercent,omitempty"`
	// +optional
	SizeDownloadedB int64 `json:"sizeDownloadedB,omitempty"`
	// +optional
	SizeUploadedB int64 `json:"sizeUploadedB,omitempty"`
	// +optional
	EstimatedDownloadSizeB int64 `json:"estimatedDownloadSizeB,omitempty"`
	// +optional
	EstimatedUploadSizeB int64 `json:"estimatedUploadSizeB,omitempty"`
	// +optional
	EstimatedTimeSeconds int64 `json:"estimatedTimeSeconds,omitempty"`
	// +optional
	LastTransitionTime *metav1.Time `json:"lastTransitionTime,omitempty"`
}

// Phase is one phase's record.
type Phase struct {
	// +optional
	Name string `json:"name"`
	// +optional
	State State `json:"state,omitempty"`
	// Output holds what the phase published, key by key.
	//
	// +optional
	// +nullable
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Output JSONMap `json:"output,omitempty"`
	// +optional
	Progress PhaseProgress `json:"progress,omitempty"`
}
