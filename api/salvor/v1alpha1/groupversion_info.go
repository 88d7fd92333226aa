package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of the resources of this package.
const GroupName = "salvor.io"

var (
	// GroupVersion is the group and version of the resources of this package.
	GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

	// ActionTriggers names the ActionTrigger resource for dynamic clients.
	ActionTriggers = GroupVersion.WithResource("actiontriggers")
)

// AddToScheme registers the types of this package with s.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &ActionTrigger{}, &ActionTriggerList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
