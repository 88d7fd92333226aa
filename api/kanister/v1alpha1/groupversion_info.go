package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of the resources of this package.
const GroupName = "cr.kanister.io"

var (
	// GroupVersion is the group and version of the resources of this package.
	GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

	// ActionSets names the ActionSet resource for dynamic clients.
	ActionSets = GroupVersion.WithResource("actionsets")
	// Blueprints names the Blueprint resource.
	Blueprints = GroupVersion.WithResource("blueprints")
	// Profiles names the Profile resource.
	Profiles = GroupVersion.WithResource("profiles")
)

// AddToScheme registers the types of this package with s.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&ActionSet{}, &ActionSetList{}, &Blueprint{}, &BlueprintList{}, &Profile{}, &ProfileList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
