package wait

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/salvor-io/salvor/internal/cli/app"
)

// Command is "wait".
func Command(a *app.App) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait NAME",
		Short: "Wait until an ActionSet has ended, showing its phases as they run",
		Long: `Wait until an ActionSet has ended. A line is printed for each change.

Exit codes: 0 complete, 2 failed, 3 no such ActionSet or deleted meanwhile,
4 not ended within --timeout, 1 any other error.`,
		Example: `  salvor wait backup-x7k2p -n db --timeout 1h

  # In a script: restore only what was saved
  name=$(salvor create actionset -q -a backup -b postgres -t db/postgres) && salvor wait "$name"`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("wait takes the name of one ActionSet; see: %s --help", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			namespace, err := a.Kube.CurrentNamespace()
			if err != nil {
				return err
			}
			clients, err := a.Kube.Clients()
			if err != nil {
				return err
			}
			w := &Waiter{ActionSets: clients.ActionSets(namespace), Clock: a.Clock, Out: a.Out}
			return w.Wait(cmd.Context(), namespace, args[0], timeout)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 15*time.Minute, "how long to wait, 0 for ever")
	return cmd
}
