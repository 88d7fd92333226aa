package trigger

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
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

// creation is an ActionSet that is there.
type creation struct {
	// fresh says that it was not there before.
	fresh bool
	// ended says that it has ended already.
	ended bool
}

// create makes the ActionSet, or finds that it is there. A *PermanentError says
// that trying again is of no use.
func (c *Controller) create(ctx context.Context, t *salvor.ActionTrigger, o *order) (creation, error) {
	as, err := c.build(ctx, t, o)
	if err != nil {
		return creation{}, err
	}
	release, err := c.making.take(ctx, t.Namespace, o.patience)
	if err != nil {
		return creation{}, fmt.Errorf("make ActionSet %s: %w", o.name, err)
	}
	defer release()
	client := c.Clients.ActionSets(t.Namespace)
	_, err = client.Create(ctx, as, metav1.CreateOptions{FieldManager: fieldManager})
	switch {
	case err == nil:
		c.Metrics.actionSet("created")
		return creation{fresh: true}, nil
	case apierrors.IsAlreadyExists(err):
		found, err := client.Get(ctx, as.Name, metav1.GetOptions{})
		if err != nil {
			return creation{}, fmt.Errorf("look at ActionSet %s, which exists already: %w", as.Name, err)
		}
		if !madeFrom(found, t, o.event) {
			return creation{}, &PermanentError{Reason: "NameTaken", Err: fmt.Errorf(
				"ActionSet %s exists and was not made from event %s of %s; rename it or the trigger", as.Name, o.event.ID(), o.event.Source())}
		}
		c.Metrics.actionSet("exists")
		return creation{ended: ended(found)}, nil
	}
	if reason, permanent := permanentReason(err); permanent {
		return creation{}, &PermanentError{Reason: reason, Err: fmt.Errorf("make ActionSet %s from event %s: %w", as.Name, o.event.ID(), err)}
	}
	return creation{}, fmt.Errorf("make ActionSet %s from event %s: %w", as.Name, o.event.ID(), err)
}

// build renders the ActionSet.
func (c *Controller) build(ctx context.Context, t *salvor.ActionTrigger, o *order) (*kanister.ActionSet, error) {
	known := c.catalog.of(t)
	if known.fault != nil {
		return nil, known.fault
	}
	as, err := known.meaning.ActionSet(o.event)
	if err != nil {
		return nil, &PermanentError{Reason: "Template", Err: fmt.Errorf("make ActionSet %s from event %s: %w", o.name, o.event.ID(), err)}
	}
	if t.Spec.Template.ArtifactsFrom == salvor.ArtifactsFromRun {
		if err := c.takeArtifacts(ctx, t, o.event, as); err != nil {
			return nil, err
		}
	}
	o.identify(as, t)
	return as, nil
}

// permanentReason sorts the API server's refusals: those that hold until
// somebody changes something have a reason for the condition. A quota is exceeded until
// something else ends, and the API server says so with no other reason than Forbidden.
func permanentReason(err error) (string, bool) {
	switch {
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		return reasonInvalid, true
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return "", false
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
