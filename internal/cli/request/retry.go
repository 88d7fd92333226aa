package request

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/rand"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/cli/wait"
)

// tokenLength of a request for a retry. It tells one request from another of the
// same ActionSet.
const tokenLength = 10

// Retry is "retry".
func Retry(a *app.App) *cobra.Command {
	r := &Retrier{}
	return r.Command(a, &cobra.Command{
		Use:   "retry NAME",
		Short: "Make a failed or cancelled run go on where it ended",
		Long: `Make the run of an ActionSet go on that failed or was cancelled: the phase that
ended badly runs again with all its attempts, phases that are complete keep their
outputs, and the deferPhase runs once more. The blueprint and the template
parameters stay those of the run's beginning.

Records of runs are kept for a week (--run-retention of the server). After that a
run cannot go on; create the ActionSet anew.

Exit codes with --wait: those of salvor wait.`,
		Example: `  salvor retry backup-x7k2p -n db --wait`,
	})
}

// Retrier asks for a retry; "dlq replay" is one with a condition.
type Retrier struct {
	// Accept returns an error for an ActionSet that is not to go on; may be nil.
	Accept func(as *kanister.ActionSet) error

	w waiting
}

// Command gives a command the flags and the body of a retry.
func (r *Retrier) Command(a *app.App, cmd *cobra.Command) *cobra.Command {
	cmd.Args = oneName
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return r.Run(cmd.Context(), a, args[0]) }
	r.w.bind(cmd.Flags())
	return cmd
}

// Run asks for the retry of one ActionSet, and waits if that is wanted.
func (r *Retrier) Run(ctx context.Context, a *app.App, name string) error {
	t, err := newTarget(a)
	if err != nil {
		return err
	}
	token := rand.String(tokenLength)
	paused := false
	err = t.ask(ctx, name, func(as *kanister.ActionSet) (*change, error) {
		if r.Accept != nil {
			if err := r.Accept(as); err != nil {
				return nil, err // ask names the ActionSet
			}
		}
		_, paused = as.Annotations[salvor.AnnotationPause]
		return again(as, token)
	})
	if err != nil {
		return err
	}
	if paused {
		a.Warnf("actionset %s is paused; nothing starts before: salvor resume %s", name, name)
	}
	if !r.w.wait {
		return nil
	}
	return t.follow(ctx, name, r.w, func(waiter *wait.Waiter) { waiter.Retry = token })
}

// again asks for a retry. The request to cancel that ended the run is taken back,
// else it would end it again.
func again(as *kanister.ActionSet, token string) (*change, error) {
	switch state(as) {
	case kanister.StateComplete:
		return nil, errors.New("is complete; create a new one to do it again")
	case kanister.StateFailed:
	case kanister.StatePending, kanister.StateRunning:
		if foreign(as) {
			return nil, errForeign
		}
		return nil, fmt.Errorf("has not ended: it is %s", state(as))
	default:
		return nil, errors.New("has not ended: it has not started yet")
	}
	out := &change{labels: map[string]*string{salvor.LabelRetry: new(token)}, done: "is asked to go on"}
	if _, cancelled := as.Annotations[salvor.AnnotationCancel]; cancelled {
		out.annotations = map[string]*string{salvor.AnnotationCancel: nil}
	}
	return out, nil
}
