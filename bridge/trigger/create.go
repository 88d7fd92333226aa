package trigger

import (
	"context"
	"errors"
	"fmt"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// PermanentError is a fault that repeating does not mend.
type PermanentError struct {
	// Reason for the trigger's condition.
	Reason string
	// Err in words.
	Err error
}

// Error is the fault in words.
func (e *PermanentError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *PermanentError) Unwrap() error { return e.Err }

// create makes the ActionSet, or finds that it is there. A *PermanentError says
// that trying again is of no use.
func (c *Controller) create(ctx context.Context, t *salvor.ActionTrigger, e *cloudevents.Event) (name string, fresh bool, err error) {
	as := newActionSet(t, e)
	client := c.Clients.ActionSets(t.Namespace)
	_, err = client.Create(ctx, as, metav1.CreateOptions{FieldManager: fieldManager})
	switch {
	case err == nil:
		return as.Name, true, nil
	case apierrors.IsAlreadyExists(err):
		found, err := client.Get(ctx, as.Name, metav1.GetOptions{})
		if err != nil {
			return "", false, fmt.Errorf("look at ActionSet %s, which exists already: %w", as.Name, err)
		}
		if !madeFrom(found, t, e) {
			return "", false, &PermanentError{Reason: "NameTaken", Err: fmt.Errorf(
				"ActionSet %s exists and was not made from event %s of %s; rename it or the trigger", as.Name, e.ID(), e.Source())}
		}
		return as.Name, false, nil
	}
	if reason, permanent := permanentReason(err); permanent {
		return "", false, &PermanentError{Reason: reason, Err: fmt.Errorf("make ActionSet %s from event %s: %w", as.Name, e.ID(), err)}
	}
	return "", false, fmt.Errorf("make ActionSet %s from event %s: %w", as.Name, e.ID(), err)
}

// permanentReason sorts the API server's refusals: those that hold until
// somebody changes something have a reason for the condition.
func permanentReason(err error) (string, bool) {
	switch {
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		return "Invalid", true
	case apierrors.IsForbidden(err):
		return "Forbidden", true
	case apierrors.IsNotFound(err):
		return "NotFound", true
	}
	return "", false
}

// asPermanent returns the permanent fault in err, or nil.
func asPermanent(err error) *PermanentError {
	permanent, _ := errors.AsType[*PermanentError](err)
	return permanent
}
