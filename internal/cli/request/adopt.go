package request

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/status"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/cli/wait"
)

// errForeign is the answer to a request for a run that is not Salvor's.
var errForeign = errors.New("was begun by another engine (Kanister), which may still be at work on it; when that engine is gone, hand it over with: salvor adopt")

// Adopt is "adopt".
func Adopt(a *app.App) *cobra.Command {
	var (
		fail bool
		w    waiting
	)
	cmd := &cobra.Command{
		Use:   "adopt NAME...",
		Short: "Hand ActionSets to Salvor that a Kanister controller left running",
		Long: `Hand ActionSets to Salvor that another engine began and left pending or running:
Kanister does so when its controller is restarted. Make sure that it is gone first;
two engines at work on one ActionSet do its work twice.

Phases that are complete keep their outputs. The phase that was running is run again
if its function may be; one that may not, such as KubeExec, fails with the reason
Interrupted, the deferPhase runs, and salvor retry runs the phase again once you have
looked. A pod that the other engine left is not known to Salvor: look for it with
kubectl get pods -A -l createdBy=kanister, and delete it. Template parameters are
resolved anew, so .Time is the time of the adoption.

With --fail they end as failed, and nothing is run.`,
		Example: `  salvor adopt backup-x7k2p -n db --wait
  salvor adopt $(salvor get -n db -o json | jq -r '.items[] | select(.status.state=="running") | .metadata.name') -n db --fail`,
		Args: names,
		RunE: func(cmd *cobra.Command, args []string) error {
			if w.wait && len(args) > 1 {
				return errors.New("--wait follows one ActionSet; name only one")
			}
			t, err := newTarget(a)
			if err != nil {
				return err
			}
			if err := t.each(cmd.Context(), args, adopt(fail)); err != nil || !w.wait {
				return err
			}
			return t.follow(cmd.Context(), args[0], w, func(*wait.Waiter) {})
		},
	}
	cmd.Flags().BoolVar(&fail, "fail", false, "end them as failed instead of going on")
	w.bind(cmd.Flags())
	return cmd
}

func adopt(fail bool) asker {
	return func(as *kanister.ActionSet) (*change, error) {
		how, done := salvor.AdoptContinue, "is handed to Salvor, which goes on with it"
		if fail {
			how, done = salvor.AdoptFail, "is handed to Salvor, which ends it"
		}
		switch {
		case wait.Ended(state(as)):
			return nil, fmt.Errorf("has already ended: %s; create a new one to do it again", wait.Outcome(as))
		case state(as) == "":
			return nil, errors.New("was not begun by anybody; Salvor begins it by itself when it watches the namespace")
		case !foreign(as):
			return nil, errors.New("is Salvor's already")
		}
		return &change{annotations: map[string]*string{salvor.AnnotationAdopt: &how}, done: done}, nil
	}
}

// foreign reports whether another engine than Salvor wrote the status.
func foreign(as *kanister.ActionSet) bool {
	return state(as) != "" && !slices.ContainsFunc(as.ManagedFields, func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager == status.FieldManager
	})
}
