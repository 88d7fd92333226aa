package request

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/cli/wait"
)

// Cancel is "cancel".
func Cancel(a *app.App) *cobra.Command {
	var (
		reason string
		w      waiting
	)
	cmd := &cobra.Command{
		Use:   "cancel NAME...",
		Short: "End the runs of ActionSets and keep their record",
		Long: `End the run of an ActionSet: the phases that run are stopped, no other starts, and
the deferPhase runs if anything had started. Its state is then failed, with the
condition Cancelled. Deleting the ActionSet ends the run too, and keeps no record.

A cancel cannot be taken back; salvor retry makes the run go on where it ended.

Exit codes with --wait: 0 cancelled, 2 it failed otherwise, 4 not ended within
--timeout; 1 if it completed before.`,
		Example: `  salvor cancel backup-x7k2p -n db --reason "wrong database" --wait`,
		Args:    names,
		RunE: func(cmd *cobra.Command, args []string) error {
			if w.wait && len(args) > 1 {
				return errors.New("--wait follows one ActionSet; name only one")
			}
			t, err := newTarget(a)
			if err != nil {
				return err
			}
			if err := t.each(cmd.Context(), args, cancel(reason)); err != nil || !w.wait {
				return err
			}
			return t.follow(cmd.Context(), args[0], w, func(waiter *wait.Waiter) { waiter.Cancelled = true })
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "cancelled by hand", "why; kept in the status")
	w.bind(cmd.Flags())
	return cmd
}

func cancel(reason string) asker {
	return func(as *kanister.ActionSet) (*change, error) {
		if wait.Ended(state(as)) {
			return nil, fmt.Errorf("has already ended: %s", wait.Outcome(as))
		}
		if foreign(as) {
			return nil, errForeign
		}
		if before, asked := as.Annotations[salvor.AnnotationCancel]; asked {
			return &change{done: fmt.Sprintf("is being cancelled already (%s)", before)}, nil
		}
		return &change{annotations: map[string]*string{salvor.AnnotationCancel: &reason}, done: "is being cancelled"}, nil
	}
}
