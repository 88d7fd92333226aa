// Package v1alpha1 holds Salvor's own resources, group salvor.io: the
// ActionTrigger, which turns an event into an ActionSet.
//
// +kubebuilder:object:generate=true
// +groupName=salvor.io
package v1alpha1
