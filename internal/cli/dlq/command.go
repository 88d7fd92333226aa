package dlq

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/pager"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/cli/request"
	"github.com/salvor-io/salvor/internal/cli/wait"
	"github.com/salvor-io/salvor/internal/kube"
)

// condition marks an ActionSet with a phase that was parked.
const condition = "DeadLettered"

// Command is "dlq"; group is the body of a command that only holds others.
func Command(a *app.App, group func(*cobra.Command, []string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "Phases that were parked because they took their runners down",
		Long: `A job that crashes its runner several times (--poison-after of the server) is parked
as a dead letter, and its run fails with that reason, so that it does no more harm.`,
		Args: cobra.NoArgs,
		RunE: group,
	}
	cmd.AddCommand(list(a), show(a), replay(a))
	return cmd
}

func list(a *app.App) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the ActionSets with a dead letter",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, where, err := find(cmd.Context(), a, all)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				_, _ = fmt.Fprintf(a.Err, "No dead letters in %s.\n", where) // nobody is left to tell
				return nil
			}
			return table(a, found, all)
		},
	}
	cmd.Flags().BoolVarP(&all, "all-namespaces", "A", false, "list all namespaces")
	return cmd
}

// find reads all ActionSets in pieces: a condition cannot be selected by.
func find(ctx context.Context, a *app.App, all bool) (found []kanister.ActionSet, where string, err error) {
	namespace, err := a.Kube.CurrentNamespace()
	if err != nil {
		return nil, "", err
	}
	where = "namespace " + namespace
	if all {
		namespace, where = "", "any namespace"
	}
	clients, err := a.Kube.Clients()
	if err != nil {
		return nil, "", err
	}
	pages := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return clients.ActionSets(namespace).List(ctx, o)
	})
	err = pages.EachListItem(ctx, metav1.ListOptions{}, func(obj runtime.Object) error {
		if as, ok := obj.(*kanister.ActionSet); ok && wait.Condition(as, condition) != nil {
			found = append(found, *as)
		}
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("list ActionSets: %w", err)
	}
	return found, where, nil
}

func show(a *app.App) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Tell the story of one dead letter",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			namespace, err := a.Kube.CurrentNamespace()
			if err != nil {
				return err
			}
			clients, err := a.Kube.Clients()
			if err != nil {
				return err
			}
			as, err := clients.ActionSets(namespace).Get(cmd.Context(), args[0], metav1.GetOptions{})
			if apierrors.IsNotFound(err) && !kube.NotServed(err) {
				return app.WithCode(app.ExitNotFound, fmt.Errorf("there is no ActionSet %s in namespace %s", args[0], namespace))
			}
			if err != nil {
				return fmt.Errorf("read ActionSet %s/%s: %w", namespace, args[0], err)
			}
			if err := parked(as); err != nil {
				return fmt.Errorf("ActionSet %s/%s %w", namespace, args[0], err)
			}
			story(a, as)
			return nil
		},
	}
}

func replay(a *app.App) *cobra.Command {
	r := &request.Retrier{Accept: parked}
	return r.Command(a, &cobra.Command{
		Use:   "replay NAME",
		Short: "Make a run with a dead letter go on with the phase that was parked",
		Long: `Make a run go on with the phase that was parked: salvor retry, for an ActionSet
that has a dead letter. Mend first what took the runners down (the memory limit of
the runner is the usual suspect), or it will be parked again.`,
		Example: `  salvor dlq replay backup-x7k2p -n db --wait`,
	})
}

func parked(as *kanister.ActionSet) error {
	if wait.Condition(as, condition) == nil {
		return errors.New("has no dead letter; salvor retry makes a failed run go on")
	}
	return nil
}
