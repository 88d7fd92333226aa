package runner

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/runner/internal/again"
	"github.com/salvor-io/salvor/runner/pods"
)

// sweep looks for leftover pods at the start and from time to time, until ctx
// ends.
func (r *Runner) sweep(ctx context.Context) {
	for ctx.Err() == nil {
		if n, err := r.pods.Sweep(ctx, r.podOver); err != nil && ctx.Err() == nil {
			r.log.Warn().Err(err).Int("deleted", n).Msg("some leftover pods could not be looked at or deleted")
		}
		_ = again.Sleep(ctx, r.clock, r.options.SweepEvery) //nolint:errcheck // the loop looks at ctx
	}
}

// podOver tells whether nobody waits for a pod any more. A run that is not known
// is no proof: the store may have been lost, and the bridge is about to create
// the run again from its ActionSet. So the ActionSet has to be gone or ended too.
func (r *Runner) podOver(ctx context.Context, id pods.Identity) (bool, error) {
	run, _, err := r.runs.Get(ctx, id.Key.Namespace, id.Key.UID)
	if err == nil {
		return standingOf(run, id.Key) == standingOver, nil
	}
	if !errors.Is(err, stream.ErrNotFound) {
		return false, err //nolint:wrapcheck // says what it is
	}
	actionSet, err := r.clients.ActionSets(id.Key.Namespace).Get(ctx, id.ActionSet, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("read ActionSet %s/%s: %w", id.Key.Namespace, id.ActionSet, err)
	case string(actionSet.UID) != id.Key.UID:
		return true, nil
	case actionSet.Status == nil:
		return false, nil
	}
	return actionSet.Status.State == kanister.StateComplete || actionSet.Status.State == kanister.StateFailed, nil
}
