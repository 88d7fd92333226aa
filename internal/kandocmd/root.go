package kandocmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"k8s.io/utils/clock"
)

// ExitFailure is the exit code of every error, as it is of Kanister's kando.
const ExitFailure = 69

// Host is what kando has of the process it runs in.
type Host struct {
	// In is the standard input. A Read of it must return when the context given to
	// Run is done.
	In  io.Reader
	Out io.Writer
	Err io.Writer
	// Signals delivers SIGINT and SIGTERM from its call on until stop is called,
	// for the commands that hand them to another process. Nil delivers none.
	Signals func() (signals <-chan os.Signal, stop func())
	Clock   clock.WithTicker
}

// Run runs kando with args (without the program's name) and returns its exit code.
// An error is one line on Err, because the end of a pod's log is what a status
// quotes.
func Run(ctx context.Context, args []string, version string, h Host) int {
	root := newRoot(version, h) //nolint:contextcheck // cobra hands ctx to the command that runs
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var proxied *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &proxied):
		return proxied.code
	}
	_, _ = fmt.Fprintf(h.Err, "Error: %v\n", err)
	return ExitFailure
}

func newRoot(version string, h Host) *cobra.Command {
	var verbosity string
	root := &cobra.Command{
		Use:           "kando <command>",
		Short:         "Move data and results out of and into a task pod",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLogger(verbosity, h.Err)
			cmd.SetContext(log.WithContext(cmd.Context()))
			return err
		},
		// Without it a group of commands prints its help and succeeds.
		Args: cobra.ArbitraryArgs,
		RunE: needCommand,
	}
	root.SetIn(h.In)
	root.SetOut(h.Out)
	root.SetErr(h.Err)
	root.CompletionOptions.DisableDefaultCmd = true
	root.PersistentFlags().StringVarP(&verbosity, "verbosity", "v", "warning",
		"which messages to log on stderr: error, warning, info or debug")
	root.AddCommand(newOutput(), newLocation(h), newChronicle(h), newStream(h), newProcess(h))
	return root
}

// needCommand is what runs when a command is missing or unknown.
func needCommand(cmd *cobra.Command, args []string) error {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.Name() != "help" {
			names = append(names, sub.Name())
		}
	}
	known := strings.Join(names, ", ")
	if len(args) == 0 {
		return fmt.Errorf("%s needs a command: %s", cmd.CommandPath(), known)
	}
	return fmt.Errorf("%s has no command %q; it has: %s", cmd.CommandPath(), args[0], known)
}

// newLogger takes the level names of Kanister, which are those of logrus.
func newLogger(verbosity string, w io.Writer) (zerolog.Logger, error) {
	name := strings.ToLower(verbosity)
	switch name {
	case "trace", "debug", "info", "warn", "error", "fatal", "panic":
	case "warning":
		name = zerolog.LevelWarnValue
	default:
		return zerolog.Nop(), fmt.Errorf("--verbosity %q is unknown; use error, warning, info or debug", verbosity)
	}
	level, err := zerolog.ParseLevel(name)
	return zerolog.New(w).Level(level).With().Timestamp().Logger(), err
}
