package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// ActionTrigger creates an ActionSet in its own namespace for each event that
// its filters match. The same event (source and id) makes one ActionSet,
// however often it is delivered.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=actiontriggers,singular=actiontrigger,shortName=trigger,categories=salvor
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Suspended",type=boolean,JSONPath=`.spec.suspend`
// +kubebuilder:printcolumn:name="Actions",type=string,JSONPath=`.spec.template.spec.actions[*].name`
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

// ActionTriggerSpec says which events count and what they start.
type ActionTriggerSpec struct {
	// When says what starts it. (Not "on": YAML reads that word as true.)
	When TriggerSource `json:"when"`
	// Template of the ActionSet. Nothing in it is taken from the event.
	Template ActionSetTemplate `json:"template"`
	// Suspend stops the trigger: events are accepted and ignored. Default false.
	//
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// TriggerSource says what starts the trigger.
type TriggerSource struct {
	Event EventSource `json:"event"`
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
type EventFilter struct {
	// Exact maps context attributes (type, source, subject, or an extension) to
	// the value that each must have, to the letter.
	//
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^[a-z0-9]+$'))",message="attribute names are lower-case letters and digits, as in the CloudEvents specification"
	Exact map[string]string `json:"exact"`
}

// ActionSetTemplate is the ActionSet to be made.
type ActionSetTemplate struct {
	// +optional
	Metadata TemplateMetadata `json:"metadata,omitempty"`
	// Spec of the ActionSet.
	Spec kanister.ActionSetSpec `json:"spec"`
}

// TemplateMetadata is put on the ActionSet.
type TemplateMetadata struct {
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// ActionTriggerStatus records what the trigger did last.
type ActionTriggerStatus struct {
	// LastEvent that matched.
	//
	// +optional
	LastEvent *EventRecord `json:"lastEvent,omitempty"`
	// LastActionSet is the name of the ActionSet made from it.
	//
	// +optional
	LastActionSet string `json:"lastActionSet,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// EventRecord names an event.
type EventRecord struct {
	ID     string `json:"id"`
	Source string `json:"source"`
	Type   string `json:"type"`
	// +optional
	ReceivedAt *metav1.Time `json:"receivedAt,omitempty"`
}
