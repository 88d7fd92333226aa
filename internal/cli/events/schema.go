package events

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/salvor-io/salvor/api/event/schema"
	"github.com/salvor-io/salvor/internal/cli/app"
)

// schemaCommand is "events schema".
func schemaCommand(a *app.App) *cobra.Command {
	return &cobra.Command{
		Use:     "schema [TYPE]",
		Short:   "Print the JSON Schema of the data of a type of events",
		Long:    "Print the JSON Schema of the data of a type of events; without one, the types that have one.",
		Example: "  salvor events schema io.salvor.run.failed.v1",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				a.Printf("%s\n", strings.Join(schema.Types(), "\n"))
				return nil
			}
			content, ok := schema.For(args[0])
			if !ok {
				return fmt.Errorf("there is no type %q; there are %s", args[0], strings.Join(schema.Types(), ", "))
			}
			a.Printf("%s", content)
			return nil
		},
	}
}
