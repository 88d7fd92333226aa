package retention

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
)

// fieldManager of the ActionSets that prune.
const fieldManager = "salvor-retention"

// problemError is a fault that is told in the trigger's condition: repeating does not
// mend it at once.
type problemError struct {
	reason string
	err    error
}

func (e *problemError) Error() string { return e.err.Error() }
func (e *problemError) Unwrap() error { return e.err }

// errChanged says that what was seen is not so any more; the next look sees it.
var errChanged = errors.New("it was changed meanwhile")

// act does one step. A *problemError is for the condition, errChanged for the next
// look; others are tried again.
func (c *Controller) act(ctx context.Context, t *salvor.ActionTrigger, namespace string, s *step) error {
	switch s.kind {
	case begin:
		return c.begin(ctx, t, namespace, s)
	case again:
		return c.again(ctx, t, namespace, s)
	case remove:
		c.log(namespace, s.backup.name).Info().Msg("ActionSet removed, which spec.keep of its trigger does not keep; no data hang on it alone")
		return c.delete(ctx, namespace, &s.backup, resultRemoved)
	case finish:
		return c.finish(ctx, namespace, s)
	case discard:
		return c.delete(ctx, namespace, &s.prune, resultDiscarded)
	}
	return nil
}

func (c *Controller) begin(ctx context.Context, t *salvor.ActionTrigger, namespace string, s *step) error {
	backup, err := c.get(ctx, namespace, &s.backup)
	if err != nil {
		return err
	}
	if backup.ResourceVersion != s.backup.version {
		return errChanged
	}
	prune, err := c.firstPrune(ctx, t, backup)
	if err != nil {
		return err
	}
	return c.create(ctx, prune)
}

// firstPrune is what removes the data of a backup, if the blueprint can.
func (c *Controller) firstPrune(ctx context.Context, t *salvor.ActionTrigger, backup *kanister.ActionSet) (*kanister.ActionSet, error) {
	prune, err := newPrune(t, backup)
	if err != nil {
		return nil, &problemError{reasonRefused, err}
	}
	for i := range prune.Spec.Actions {
		a := &prune.Spec.Actions[i]
		action, err := c.action(ctx, backup.Namespace, a)
		if err != nil {
			return nil, fmt.Errorf("remove the data of ActionSet %s: %w", backup.Name, err)
		}
		adapt(a, action, backup.Namespace)
	}
	return prune, nil
}

// action is that of the blueprint which removes data.
func (c *Controller) action(ctx context.Context, namespace string, a *kanister.ActionSpec) (*kanister.BlueprintAction, error) {
	bp, err := c.Blueprint(ctx, a.Blueprint, namespace)
	var known *blueprint.Error
	switch {
	case errors.As(err, &known) && known.Reason == event.ReasonNotFound:
		return nil, &problemError{reasonNoBlueprint, err}
	case err != nil:
		return nil, err // it says what was asked for
	}
	action := bp.Actions[a.Name]
	if action == nil {
		return nil, &problemError{reasonNoAction, fmt.Errorf(
			"blueprint %s has no action %q; add it, or name in spec.keep.action the one that removes a backup's data", bp.Name, a.Name)}
	}
	return action, nil
}

func (c *Controller) again(ctx context.Context, t *salvor.ActionTrigger, namespace string, s *step) error {
	failed, err := c.get(ctx, namespace, &s.prune)
	if err != nil {
		return err
	}
	if failed.Spec == nil || failed.ResourceVersion != s.prune.version {
		return errChanged
	}
	next := nextPrune(failed)
	if s.backup.uid != "" && doesOther(failed, t) {
		backup, err := c.get(ctx, namespace, &s.backup)
		if err != nil {
			return err
		}
		anew, err := c.firstPrune(ctx, t, backup)
		if err != nil {
			return err
		}
		next.Spec = anew.Spec
	}
	if err := c.create(ctx, next); err != nil {
		return err
	}
	return c.delete(ctx, namespace, &s.prune, resultDiscarded)
}

// create makes an ActionSet that prunes, or finds that it was made before.
func (c *Controller) create(ctx context.Context, prune *kanister.ActionSet) error {
	client := c.ActionSets(prune.Namespace)
	_, err := client.Create(ctx, prune, metav1.CreateOptions{FieldManager: fieldManager})
	if apierrors.IsAlreadyExists(err) {
		found, err := client.Get(ctx, prune.Name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("look at ActionSet %s, which exists already: %w", prune.Name, err)
		}
		if !same(found, prune) {
			return &problemError{reasonRefused, fmt.Errorf("ActionSet %s exists and does not remove the data of %s; rename it", prune.Name, prune.Annotations[salvor.AnnotationPrunes])}
		}
		return nil
	}
	switch {
	case err == nil:
		c.Metrics.count(resultBegun)
		c.log(prune.Namespace, prune.Name).Info().Str("backup", prune.Labels[salvor.LabelPrunes]).Msg("ActionSet created, which removes the data of a backup that spec.keep of its trigger does not keep")
		return nil
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsForbidden(err), apierrors.IsRequestEntityTooLargeError(err), apierrors.IsNotFound(err):
		return &problemError{reasonRefused, fmt.Errorf("make ActionSet %s: %w", prune.Name, err)}
	}
	return fmt.Errorf("make ActionSet %s: %w", prune.Name, err)
}

// finish deletes the ActionSet of a backup whose data are gone, and then the one that
// removed them. In between, the second says what became of the first.
func (c *Controller) finish(ctx context.Context, namespace string, s *step) error {
	backup, err := c.get(ctx, namespace, &s.backup)
	if err != nil {
		return err
	}
	prune, err := c.get(ctx, namespace, &s.prune)
	if err != nil {
		return err
	}
	if !removed(prune, backup) {
		return &problemError{reasonRefused, fmt.Errorf("ActionSet %s is complete but is not what removes the data of %s; delete it", prune.Name, backup.Name)}
	}
	s.backup.version = backup.ResourceVersion
	if err := c.delete(ctx, namespace, &s.backup, resultPruned); err != nil {
		return err
	}
	c.log(namespace, s.backup.name).Info().Msg("backup pruned: its data and its ActionSet are gone")
	return c.delete(ctx, namespace, &s.prune, resultDiscarded)
}

// get reads an ActionSet again; errChanged says that it is gone.
func (c *Controller) get(ctx context.Context, namespace string, s *seen) (*kanister.ActionSet, error) {
	as, err := c.ActionSets(namespace).Get(ctx, s.name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && string(as.UID) != s.uid:
		return nil, errChanged
	case err != nil:
		return nil, fmt.Errorf("look at ActionSet %s/%s: %w", namespace, s.name, err)
	}
	return as, nil
}

// delete removes an ActionSet as it was seen.
func (c *Controller) delete(ctx context.Context, namespace string, s *seen, result string) error {
	err := c.ActionSets(namespace).Delete(ctx, s.name, s.preconditions())
	switch {
	case err == nil:
		c.Metrics.count(result)
		return nil
	case apierrors.IsNotFound(err):
		return nil
	case apierrors.IsConflict(err):
		return errChanged
	case apierrors.IsForbidden(err):
		return &problemError{reasonRefused, fmt.Errorf(
			"delete ActionSet %s: give Salvor's service account the verb delete on actionsets.cr.kanister.io in namespace %s: %w", s.name, namespace, err)}
	}
	return fmt.Errorf("delete ActionSet %s/%s: %w", namespace, s.name, err)
}
