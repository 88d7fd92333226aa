// Package v1alpha1 holds the resources that Kanister users already have:
// Blueprint, ActionSet and Profile of the group cr.kanister.io. Field names are
// Kanister's, so that every existing manifest is accepted as it is.
//
// What differs from Kanister's own CRDs: required fields and enumerations are
// checked by the API server, with messages; ActionSet has a status subresource
// and a selectable field, status.state, so that finished ActionSets need not be
// watched.
//
// +kubebuilder:object:generate=true
// +groupName=cr.kanister.io
package v1alpha1
