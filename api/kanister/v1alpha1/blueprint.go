package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Blueprint is a recipe: named actions, each a list of phases.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=blueprints,singular=blueprint,shortName=bp,categories=salvor
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
type Blueprint struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Actions map[string]*BlueprintAction `json:"actions,omitempty"`
}

// BlueprintList is a list of Blueprints.
//
// +kubebuilder:object:root=true
type BlueprintList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Blueprint `json:"items"`
}

// BlueprintAction is one action of a blueprint.
type BlueprintAction struct {
	// Name is informational; the key in actions is what counts.
	//
	// +optional
	Name string `json:"name,omitempty"`
	// Kind of object the action is made for. Informational.
	//
	// +optional
	Kind string `json:"kind,omitempty"`
	// +optional
	// +nullable
	ConfigMapNames []string `json:"configMapNames,omitempty"`
	// +optional
	// +nullable
	SecretNames []string `json:"secretNames,omitempty"`
	// +optional
	// +nullable
	InputArtifactNames []string `json:"inputArtifactNames,omitempty"`
	// OutputArtifacts are templates, rendered after the last phase.
	//
	// +optional
	// +nullable
	OutputArtifacts map[string]Artifact `json:"outputArtifacts,omitempty"`
	// Phases run in order.
	//
	// +optional
	// +nullable
	Phases []BlueprintPhase `json:"phases,omitempty"`
	// DeferPhase always runs after the others, however they ended. It may have
	// no name.
	//
	// +optional
	DeferPhase *BlueprintPhase `json:"deferPhase,omitempty"`
}

// BlueprintPhase is one call of a function.
type BlueprintPhase struct {
	// Func is the name of the function, for example KubeTask.
	//
	// +kubebuilder:validation:MinLength=1
	Func string `json:"func"`
	// +optional
	Name string `json:"name,omitempty"`
	// ObjectRefs are Secrets and ConfigMaps given to this phase; names may be
	// templates.
	//
	// +optional
	// +nullable
	ObjectRefs map[string]ObjectReference `json:"objects,omitempty"`
	// Args of the function; strings in them are templates.
	//
	// +optional
	// +nullable
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Args JSONMap `json:"args,omitempty"`
}
