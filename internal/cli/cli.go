package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/salvor-io/salvor/internal/cli/actionset"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/cli/dlq"
	"github.com/salvor-io/salvor/internal/cli/emit"
	"github.com/salvor-io/salvor/internal/cli/events"
	"github.com/salvor-io/salvor/internal/cli/get"
	"github.com/salvor-io/salvor/internal/cli/profile"
	"github.com/salvor-io/salvor/internal/cli/render"
	"github.com/salvor-io/salvor/internal/cli/request"
	"github.com/salvor-io/salvor/internal/cli/schema"
	"github.com/salvor-io/salvor/internal/cli/serve"
	"github.com/salvor-io/salvor/internal/cli/validate"
	"github.com/salvor-io/salvor/internal/cli/wait"
	"github.com/salvor-io/salvor/internal/nearest"
)

// Kanctl is the other name that the program may be called by.
const Kanctl = "kanctl"

// Program says what the command line is part of.
type Program struct {
	// Name that it was called by.
	Name string
	// Version in full, one line.
	Version string
	// Roles that serve can run.
	Roles []serve.Constructor
	// Logging is told of the logger of serve; may be nil.
	Logging func(zerolog.Logger)
}

// Run runs one command line and returns the exit code. An error is one sentence
// on a.Err.
func Run(ctx context.Context, a *app.App, p Program, args []string) int {
	root, err := New(a, p) //nolint:contextcheck // commands take the context that they are executed with
	if err == nil {
		root.SetArgs(args)
		err = root.ExecuteContext(ctx)
	}
	if err != nil {
		_, _ = fmt.Fprintf(a.Err, "Error: %s\n", sentence(err)) // nobody is left to tell
	}
	return app.Code(err)
}

// sentence is the error on one line.
func sentence(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// New makes the tree of commands.
func New(a *app.App, p Program) (*cobra.Command, error) {
	name := "salvor"
	if p.Name == Kanctl {
		name = Kanctl
	}
	root := &cobra.Command{
		Use:   name,
		Short: "Event-driven, durable and fair data protection on Kubernetes",
		Long: `Salvor runs Kanister's Blueprints, ActionSets and Profiles. This is its server
(serve) and its command line (all the rest).`,
		Version:       p.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          group,
	}
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see: %s --help", err, cmd.CommandPath())
	})
	a.Kube.BindFlags(root.PersistentFlags())
	root.PersistentFlags().BoolVar(&a.Verbose, "verbose", false, "tell on the standard error what is being done")

	server, err := serve.Command(a, p.Roles, p.Version, p.Logging)
	if err != nil {
		return nil, err
	}
	root.AddCommand(server, create(a), get.Command(a), wait.Command(a), emit.Command(a), events.Command(a),
		validate.Command(a), schema.Command(a), render.Command(a), version(a, p),
		request.Cancel(a), request.Retry(a), request.Adopt(a), request.Pause(a), request.Resume(a), dlq.Command(a, group))
	guide(root)
	return root, nil
}

// guide has every command that holds others say which was most likely meant.
func guide(cmd *cobra.Command) {
	if !cmd.HasSubCommands() {
		return
	}
	cmd.Args = unknown
	for _, sub := range cmd.Commands() {
		guide(sub)
	}
}

func unknown(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(append(names, sub.Name()), sub.Aliases...)
		}
	}
	hint := fmt.Sprintf("see: %s --help", cmd.CommandPath())
	if near := nearest.Name(args[0], names); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	return fmt.Errorf("unknown command %q for %q; %s", args[0], cmd.CommandPath(), hint)
}

func create(a *app.App) *cobra.Command {
	var flags actionset.Flags
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create an ActionSet or a Profile",
		Args:  cobra.NoArgs,
		RunE:  group,
	}
	flags.BindCreateFlags(cmd.PersistentFlags())
	cmd.AddCommand(
		actionset.Command(a, &flags),
		profile.Command(a, profile.Shared{DryRun: &flags.DryRun, SkipValidation: &flags.SkipValidation}))
	return cmd
}

func version(a *app.App, p Program) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			a.Printf("%s\n", p.Version)
			return nil
		},
	}
}

// group is a command that only holds others: without one of them it shows its
// help and is an error, so that a script notices.
func group(cmd *cobra.Command, _ []string) error {
	if err := cmd.Help(); err != nil {
		return fmt.Errorf("print the help: %w", err)
	}
	return errors.New("a command is missing")
}
