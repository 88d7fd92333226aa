package schema

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/schema"
)

// Command is "schema".
func Command(a *app.App) *cobra.Command {
	return &cobra.Command{
		Use:   "schema [blueprint|actionset|profile|trigger]",
		Short: "Print a JSON Schema of Blueprints, ActionSets, Profiles and ActionTriggers",
		Long: `Print a JSON Schema (draft 7) for editors: of one kind, or of all of them, told apart
by kind. It knows what each function takes. An editor with the YAML language server
uses it for a file that begins with

  # yaml-language-server: $schema=salvor.schema.json

It cannot look into templates; salvor validate does.`,
		Example: `  salvor schema > salvor.schema.json
  salvor schema blueprint > blueprint.schema.json`,
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: []string{"blueprint", "actionset", "profile", "trigger"},
		RunE: func(_ *cobra.Command, args []string) error {
			kind := ""
			if len(args) > 0 {
				kind = named(args[0])
			}
			text, err := schema.Of(kind)
			if err != nil {
				return err // it names the kinds
			}
			if _, err := a.Out.Write(text); err != nil { // half a schema must not look like one
				return fmt.Errorf("write the schema: %w", err)
			}
			return nil
		},
	}
}

func named(arg string) string {
	if strings.EqualFold(arg, "trigger") {
		return "ActionTrigger"
	}
	for _, kind := range schema.Kinds() {
		if strings.EqualFold(kind, arg) {
			return kind
		}
	}
	return arg
}
