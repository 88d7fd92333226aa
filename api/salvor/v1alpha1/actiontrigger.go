package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// ActionTrigger creates an ActionSet in its own namespace when something happens:
// an event that its filters match, a time of a schedule, a change to an object. The
// same event (source and id) makes one ActionSet, however often it is delivered.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=actiontriggers,singular=actiontrigger,shortName=trigger,categories=salvor
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Suspended",type=boolean,JSONPath=`.spec.suspend`
// +kubebuilder:printcolumn:name="Actions",type=string,JSONPath=`.spec.template.spec.actions[*].name`
// +kubebuilder:printcolumn:name="Next Tick",type=string,format=date-time,JSONPath=`.status.nextTick`
// +kubebuilder:printcolumn:name="Last Event",type=string,JSONPath=`.status.lastEvent.id`
// +kubebuilder:printcolumn:name="Last ActionSet",type=string,JSONPath=`.status.lastActionSet`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
type ActionTrigger struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ActionTriggerSpec `json:"spec"`
	// +optional
	Status ActionTriggerStatus `json:"status,omitempty"`
}

// ActionTriggerList is a list of ActionTriggers.
//
// +kubebuilder:object:root=true
type ActionTriggerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ActionTrigger `json:"items"`
}

// ActionTriggerSpec says what starts an ActionSet, what it is, and how many of
// them there may be.
type ActionTriggerSpec struct {
	// When says what starts it. (Not "on": YAML reads that word as true.)
	When TriggerSource `json:"when"`
	// Key sorts events: concurrency, coalesce, rateLimit and keep count those with
	// the same key together. A Go template over .Event, for example
	// "{{ .Event.subject }}". Default: all events have the same key.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Key string `json:"key,omitempty"`
	// Concurrency says what an event does while an ActionSet that the trigger made
	// for the same key has not ended. Allow: it starts another one. Forbid: it is
	// rejected; with coalesce it waits for the end. Replace: it cancels that one and
	// starts its own after the end. Default Allow.
	//
	// +optional
	Concurrency ConcurrencyPolicy `json:"concurrency,omitempty"`
	// Coalesce makes one ActionSet of all events of one key that come within this
	// time after the first of them, when it has passed. The last of them is the one
	// that the ActionSet is made from. Default: each event makes its own, at once.
	//
	// +optional
	Coalesce Duration `json:"coalesce,omitempty"`
	// RateLimit bounds the ActionSets of one key. An event above it is rejected;
	// with coalesce it waits until there is room. Default: no limit.
	//
	// +optional
	RateLimit *RateLimit `json:"rateLimit,omitempty"`
	// Keep says which of the ActionSets that the trigger made stay once they are
	// complete. Others are removed after the data they stand for. Default: all stay.
	//
	// +optional
	Keep *Retention `json:"keep,omitempty"`
	// Template of the ActionSet.
	Template ActionSetTemplate `json:"template"`
	// Suspend stops the trigger: events are accepted and ignored, ticks pass.
	// Default false.
	//
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// Duration is a length of time as Go writes it: 90s, 15m, 36h.
//
// +kubebuilder:validation:MaxLength=16
// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
type Duration string

// ConcurrencyPolicy says what becomes of an event while another one's ActionSet runs.
//
// +kubebuilder:validation:Enum=Allow;Forbid;Replace
type ConcurrencyPolicy string

// The policies.
const (
	ConcurrencyAllow   ConcurrencyPolicy = "Allow"
	ConcurrencyForbid  ConcurrencyPolicy = "Forbid"
	ConcurrencyReplace ConcurrencyPolicy = "Replace"
)

// RateLimit bounds how often something starts.
type RateLimit struct {
	// Starts that are allowed within Per.
	//
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Starts int32 `json:"starts"`
	// Per is the length of the window, which slides.
	Per Duration `json:"per"`
}

// TriggerSource says what starts the trigger: any of them does.
//
// +kubebuilder:validation:MinProperties=1
type TriggerSource struct {
	// Event selects CloudEvents.
	//
	// +optional
	Event *EventSource `json:"event,omitempty"`
	// Schedule is a time of day.
	//
	// +optional
	Schedule *ScheduleSource `json:"schedule,omitempty"`
	// Kubernetes is something that happens to an object of the trigger's namespace.
	//
	// +optional
	Kubernetes *KubernetesSource `json:"kubernetes,omitempty"`
}

// EventSource selects CloudEvents.
type EventSource struct {
	// Filters must all match.
	//
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Filters []EventFilter `json:"filters"`
}

// EventFilter is one filter, in the words of the CloudEvents Subscriptions API.
// Exactly one of its fields is set.
//
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:MaxProperties=1
type EventFilter struct {
	// Exact maps context attributes (type, source, subject, or an extension) to
	// the value that each must have, to the letter.
	//
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^[a-z0-9]+$'))",message="attribute names are lower-case letters and digits, as in the CloudEvents specification"
	Exact map[string]string `json:"exact,omitempty"`
	// Prefix maps attributes to what each value begins with.
	//
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^[a-z0-9]+$'))",message="attribute names are lower-case letters and digits, as in the CloudEvents specification"
	Prefix map[string]string `json:"prefix,omitempty"`
	// Suffix maps attributes to what each value ends with.
	//
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^[a-z0-9]+$'))",message="attribute names are lower-case letters and digits, as in the CloudEvents specification"
	Suffix map[string]string `json:"suffix,omitempty"`
	// All holds filters that must all match. Each is an EventFilter. (A schema
	// cannot contain itself; the trigger's condition says what is wrong inside.)
	//
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	All []apiextensionsv1.JSON `json:"all,omitempty"`
	// Any holds filters of which one must match. Each is an EventFilter.
	//
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Any []apiextensionsv1.JSON `json:"any,omitempty"`
	// Not holds an EventFilter that must not match.
	//
	// +optional
	Not *apiextensionsv1.JSON `json:"not,omitempty"`
	// CESQL is an expression of the CloudEvents SQL, version 1.0; the event matches
	// when it is true. One that cannot be evaluated for an event does not match.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	CESQL string `json:"cesql,omitempty"`
}

// ScheduleSource is a time of day.
type ScheduleSource struct {
	// Cron is an expression of five fields (minute, hour, day of the month, its month, day
	// of week) or one of @hourly, @daily, @weekly, @monthly, @yearly. A fixed time
	// that a change to summer time skips counts at the first instant after the gap; one
	// that occurs twice counts the first time.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Cron string `json:"cron"`
	// TimeZone is a name of the IANA database, such as Europe/Berlin. Default UTC.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`
	// Jitter spreads the starts of many triggers with the same time: each starts
	// later by a part of it that depends on its namespace and name only. Default 0s.
	//
	// +optional
	Jitter Duration `json:"jitter,omitempty"`
	// Missed says what becomes of times that passed while Salvor was down. Once: the
	// last of them counts, late. Skip: none does. Default Once.
	//
	// +optional
	Missed MissedPolicy `json:"missed,omitempty"`
}

// MissedPolicy says what becomes of a time that was missed.
//
// +kubebuilder:validation:Enum=Once;Skip
type MissedPolicy string

// The policies.
const (
	MissedOnce MissedPolicy = "Once"
	MissedSkip MissedPolicy = "Skip"
)

// KubernetesSource is something that happens to an object of the trigger's
// namespace.
//
// +kubebuilder:validation:MinProperties=1
type KubernetesSource struct {
	// Annotation fires when an annotation gets another value. A value that was
	// there before the trigger does not count, nor does its removal.
	//
	// +optional
	Annotation *AnnotationSource `json:"annotation,omitempty"`
	// Event fires for Kubernetes Events.
	//
	// +optional
	Event *ObjectEventSource `json:"event,omitempty"`
}

// AnnotationSource selects an annotation of objects.
type AnnotationSource struct {
	// APIVersion of the objects, for example apps/v1. Salvor needs the right to
	// list and watch them.
	//
	// +kubebuilder:validation:MinLength=1
	APIVersion string `json:"apiVersion"`
	// Kind of the objects, for example StatefulSet.
	//
	// +kubebuilder:validation:MinLength=1
	Kind string `json:"kind"`
	// Key of the annotation.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	Key string `json:"key"`
	// Name of the object. Default: any.
	//
	// +optional
	Name string `json:"name,omitempty"`
	// Selector of the objects by their labels. Default: all.
	//
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// ObjectEventSource selects Kubernetes Events. What is not set matches all.
type ObjectEventSource struct {
	// Reasons, one of which the Event has.
	//
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Reasons []string `json:"reasons"`
	// Type of the Event.
	//
	// +optional
	// +kubebuilder:validation:Enum=Normal;Warning
	Type string `json:"type,omitempty"`
	// Kind of the object that it is about.
	//
	// +optional
	Kind string `json:"kind,omitempty"`
	// Name of the object that it is about.
	//
	// +optional
	Name string `json:"name,omitempty"`
}

// Retention says which complete ActionSets stay. One stays if any of the rules
// keeps it; the newest always does.
//
// +kubebuilder:validation:MinProperties=1
type Retention struct {
	// Count keeps the newest, so many.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	Count *int32 `json:"count,omitempty"`
	// Within keeps what is younger.
	//
	// +optional
	Within Duration `json:"within,omitempty"`
	// Hourly keeps the newest of each of the last so many hours that have one.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	Hourly *int32 `json:"hourly,omitempty"`
	// Daily keeps the newest of each of the last so many days that have one.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	Daily *int32 `json:"daily,omitempty"`
	// Weekly keeps the newest of each of the last so many ISO weeks that have one.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	Weekly *int32 `json:"weekly,omitempty"`
	// Monthly keeps the newest of each of the last so many months that have one.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	Monthly *int32 `json:"monthly,omitempty"`
	// Yearly keeps the newest of each of the last so many years that have one.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	Yearly *int32 `json:"yearly,omitempty"`
	// TimeZone in which days, weeks, months and years begin. Default: the
	// schedule's, else UTC.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`
	// Failed keeps the newest ActionSets that did not end well, so many, as far as
	// they left no artifacts. Default: all.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	Failed *int32 `json:"failed,omitempty"`
	// Action of the blueprint that removes the data, run with the ActionSet's
	// artifacts before it goes. If its templates speak of .Namespace and of no other
	// object, its object is the namespace of the ActionSet's. Default delete.
	//
	// +optional
	Action string `json:"action,omitempty"`
}

// ActionSetTemplate is the ActionSet to be made. The values of labels,
// annotations and options are Go templates over .Event (its attributes, and .data);
// everything else, names above all, is what is written here.
type ActionSetTemplate struct {
	// +optional
	Metadata TemplateMetadata `json:"metadata,omitempty"`
	// Spec of the ActionSet.
	Spec kanister.ActionSetSpec `json:"spec"`
	// ArtifactsFrom gives the actions artifacts. Run: those of the ActionSet that
	// the event tells of, which is one of Salvor's own of the same namespace; it is
	// what a verify or a delete after a backup wants. Default: those in spec.
	//
	// +optional
	ArtifactsFrom ArtifactsFrom `json:"artifactsFrom,omitempty"`
}

// ArtifactsFrom says where the artifacts of an ActionSet come from.
//
// +kubebuilder:validation:Enum=Spec;Run
type ArtifactsFrom string

// Where artifacts come from.
const (
	ArtifactsFromSpec ArtifactsFrom = "Spec"
	ArtifactsFromRun  ArtifactsFrom = "Run"
)

// TemplateMetadata is put on the ActionSet.
type TemplateMetadata struct {
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// ActionTriggerStatus records what the trigger did.
type ActionTriggerStatus struct {
	// LastEvent that matched.
	//
	// +optional
	LastEvent *EventRecord `json:"lastEvent,omitempty"`
	// LastActionSet is the name of the ActionSet made last.
	//
	// +optional
	LastActionSet string `json:"lastActionSet,omitempty"`
	// LastTick is the last time of the schedule that was seen to, jitter not added.
	//
	// +optional
	LastTick *metav1.Time `json:"lastTick,omitempty"`
	// NextTick is when the schedule fires next, jitter added.
	//
	// +optional
	NextTick *metav1.Time `json:"nextTick,omitempty"`
	// Counts since the trigger was made.
	//
	// +optional
	Counts *TriggerCounts `json:"counts,omitempty"`
	// History of what the trigger did, newest first, at most ten entries.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=10
	History []TriggerRecord `json:"history,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TriggerCounts are numbers of events. After a crash they may lack the last
// second.
type TriggerCounts struct {
	// Matched events, each counted once.
	Matched int64 `json:"matched"`
	// Started ActionSets.
	Started int64 `json:"started"`
	// Coalesced events: those that joined one that waited already.
	Coalesced int64 `json:"coalesced"`
	// Rejected events: by concurrency, rate limit, authorization, loop detection, or
	// because the ActionSet was refused.
	Rejected int64 `json:"rejected"`
}

// TriggerRecord is one thing that the trigger did.
type TriggerRecord struct {
	At metav1.Time `json:"at"`
	// Result in the words of the outcome: started, rejected, refused, forbidden.
	Result string `json:"result"`
	// Event that it was done for; of several, the last.
	Event EventRecord `json:"event"`
	// Events is how many events it was done for. Default 1.
	//
	// +optional
	Events int64 `json:"events,omitempty"`
	// ActionSet that was made.
	//
	// +optional
	ActionSet string `json:"actionSet,omitempty"`
	// Reason in words when nothing was made.
	//
	// +optional
	Reason string `json:"reason,omitempty"`
}

// EventRecord names an event.
type EventRecord struct {
	ID     string `json:"id"`
	Source string `json:"source"`
	Type   string `json:"type"`
	// +optional
	ReceivedAt *metav1.Time `json:"receivedAt,omitempty"`
}
