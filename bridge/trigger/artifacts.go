package trigger

import (
	"context"
	"errors"
	"fmt"
	"maps"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// reasonNoArtifacts says that there is no run to take artifacts from.
const reasonNoArtifacts = "NoArtifacts"

// takeArtifacts gives the actions those of the run that the event tells of. What the
// template itself says about an artifact stays.
func (c *Controller) takeArtifacts(ctx context.Context, t *salvor.ActionTrigger, e *cloudevents.Event, as *kanister.ActionSet) error {
	from, err := c.toldOf(ctx, t, e)
	if err != nil {
		return err
	}
	for i := range as.Spec.Actions {
		action := &as.Spec.Actions[i]
		source, err := sourceOf(from, len(as.Spec.Actions), i, action)
		if err != nil {
			return &PermanentError{Reason: reasonNoArtifacts, Err: err}
		}
		artifacts := maps.Clone(source.Artifacts)
		if artifacts == nil {
			artifacts = map[string]kanister.Artifact{}
		}
		maps.Copy(artifacts, action.Artifacts)
		action.Artifacts = artifacts
	}
	return nil
}

// toldOf returns the ActionSet that a lifecycle event tells of, once its status is
// written.
func (c *Controller) toldOf(ctx context.Context, t *salvor.ActionTrigger, e *cloudevents.Event) (*kanister.ActionSet, error) {
	var told event.Lifecycle
	if !isRunEnd(e) {
		return nil, &PermanentError{Reason: reasonNoArtifacts, Err: fmt.Errorf(
			"template.artifactsFrom is Run, but event %s of type %s does not tell of the end of a run; let the filters match %s", e.ID(), e.Type(), event.TypeRunCompleted)}
	}
	if err := e.DataAs(&told); err != nil {
		return nil, &PermanentError{Reason: reasonNoArtifacts, Err: fmt.Errorf("event %s: %w", e.ID(), err)}
	}
	if told.Namespace != t.Namespace {
		return nil, &PermanentError{Reason: reasonNoArtifacts, Err: fmt.Errorf(
			"ActionSet %s is in namespace %s; artifacts are taken from runs of the trigger's namespace only", told.ActionSet, told.Namespace)}
	}
	found, err := c.Clients.ActionSets(t.Namespace).Get(ctx, told.ActionSet, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && string(found.UID) != told.UID:
		return nil, &PermanentError{Reason: reasonNoArtifacts, Err: fmt.Errorf("ActionSet %s, whose artifacts are wanted, is gone", told.ActionSet)}
	case err != nil:
		return nil, fmt.Errorf("read the artifacts of ActionSet %s: %w", told.ActionSet, err)
	case !ended(found):
		return nil, fmt.Errorf("the status of ActionSet %s does not say yet that it has ended", told.ActionSet)
	}
	return found, nil
}

// sourceOf is the action whose artifacts an action of the template takes: the only
// one, the one that was done to the same object, or the one in the same place.
func sourceOf(from *kanister.ActionSet, n, at int, action *kanister.ActionSpec) (*kanister.ActionStatus, error) {
	actions := from.Status.Actions
	if len(actions) == 1 {
		return &actions[0], nil
	}
	var same []*kanister.ActionStatus
	for i := range actions {
		if actions[i].Object == action.Object {
			same = append(same, &actions[i])
		}
	}
	switch {
	case len(same) == 1:
		return same[0], nil
	case len(actions) == n && n > 0:
		return &actions[at], nil
	case len(actions) == 0:
		return nil, errors.New("the run has no actions")
	}
	return nil, fmt.Errorf("ActionSet %s has %d actions and the template %d, and it cannot be told whose artifacts action %s is to have; "+
		"name the same object in both", from.Name, len(actions), n, action.Name)
}

// isRunEnd reports whether an event tells of the end of a run.
func isRunEnd(e *cloudevents.Event) bool {
	if !isOwn(e) {
		return false
	}
	switch e.Type() {
	case event.TypeRunCompleted, event.TypeRunFailed, event.TypeRunCancelled:
		return true
	}
	return false
}

// ended reports whether an ActionSet has.
func ended(as *kanister.ActionSet) bool {
	return as.Status != nil && (as.Status.State == kanister.StateComplete || as.Status.State == kanister.StateFailed)
}
