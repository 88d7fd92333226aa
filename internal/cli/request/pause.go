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

// Pause is "pause".
func Pause(a *app.App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "pause NAME...",
		Short: "Let no further phase of ActionSets start",
		Long: `Let no further phase of an ActionSet start until salvor resume. A phase that runs
goes on to its end, and a deferPhase whose phases have all ended is not held back.`,
		Example: `  salvor pause backup-x7k2p -n db --reason "maintenance until 6"`,
		Args:    names,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := newTarget(a)
			if err != nil {
				return err
			}
			return t.each(cmd.Context(), args, func(as *kanister.ActionSet) (*change, error) {
				if wait.Ended(state(as)) {
					return nil, fmt.Errorf("has already ended: %s", wait.Outcome(as))
				}
				if before, asked := as.Annotations[salvor.AnnotationPause]; asked {
					return &change{done: fmt.Sprintf("is paused already (%s)", before)}, nil
				}
				return &change{annotations: map[string]*string{salvor.AnnotationPause: &reason}, done: "paused"}, nil
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "paused by hand", "why; shown in the status")
	return cmd
}

// Resume is "resume".
func Resume(a *app.App) *cobra.Command {
	return &cobra.Command{
		Use:     "resume NAME...",
		Short:   "Take a pause back",
		Example: `  salvor resume backup-x7k2p -n db`,
		Args:    names,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := newTarget(a)
			if err != nil {
				return err
			}
			return t.each(cmd.Context(), args, func(as *kanister.ActionSet) (*change, error) {
				if _, asked := as.Annotations[salvor.AnnotationPause]; !asked {
					return nil, errors.New("is not paused; there is nothing to resume")
				}
				return &change{annotations: map[string]*string{salvor.AnnotationPause: nil}, done: "resumed"}, nil
			})
		},
	}
}
