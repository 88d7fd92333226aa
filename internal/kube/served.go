package kube

import (
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NotServed reports whether a NotFound means that the API server does not know
// the resource at all (its CRD is missing, or not served yet after a start), which
// says nothing about the object that was asked for.
func NotServed(err error) bool {
	if !apierrors.IsNotFound(err) {
		return false
	}
	return apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}
