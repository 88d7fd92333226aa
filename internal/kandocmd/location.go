package kandocmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/salvor-io/salvor/internal/location"
	"github.com/salvor-io/salvor/internal/profile"
)

// locationFlags are the flags of every location command.
type locationFlags struct {
	profile       string
	caFile        string
	path          string
	kopiaSnapshot string
}

func newLocation() *cobra.Command {
	f := &locationFlags{}
	cmd := &cobra.Command{
		Use:   "location <command>",
		Short: "Push, pull and delete objects in the profile's store",
		RunE:  needCommand,
	}
	cmd.PersistentFlags().StringVarP(&f.profile, "profile", "p", "",
		"the profile as JSON, {{ toJson .Profile }}, or @file to read it from a file (required)")
	cmd.PersistentFlags().StringVarP(&f.path, "path", "s", "",
		"the path of the object, below the prefix of the profile")
	cmd.PersistentFlags().StringVar(&f.caFile, "ca-file", "",
		"a PEM file of authorities to trust beside the profile's and the system's")
	cmd.AddCommand(newPush(f), newPull(f), newDelete(f))
	return cmd
}

func newPush(f *locationFlags) *cobra.Command {
	var outputName string
	cmd := &cobra.Command{
		Use:   "push <source>",
		Short: "Store a file, or with - what stdin gives, as an object",
		Args:  oneArg("a source file, or - for stdin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd, func(ctx context.Context, l *location.Location) error {
				return push(ctx, l, f.path, args[0], cmd.InOrStdin())
			})
		},
	}
	cmd.Flags().StringVarP(&outputName, "output-name", "o", "kandoOutput",
		"accepted for compatibility; only Kopia snapshots have an output")
	return cmd
}

func newPull(f *locationFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pull <target>",
		Short: "Write an object to a file, or with - to stdout",
		Args:  oneArg("a target file, or - for stdout"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd, func(ctx context.Context, l *location.Location) error {
				return pull(ctx, l, f.path, args[0], cmd.OutOrStdout())
			})
		},
	}
	f.addKopia(cmd)
	return cmd
}

func newDelete(f *locationFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete",
		Short: "Delete the object at the path and all objects below it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(cmd, func(ctx context.Context, l *location.Location) error {
				n, err := l.Delete(ctx, f.path)
				if err == nil {
					zerolog.Ctx(ctx).Info().Str("path", f.path).Int("objects", n).Msg("deleted")
				}
				return err
			})
		},
	}
	f.addKopia(cmd)
	return cmd
}

func (f *locationFlags) addKopia(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.kopiaSnapshot, "kopia-snapshot", "k", "", "not supported yet")
}

// with opens the location, does the work and closes it.
func (f *locationFlags) with(cmd *cobra.Command, do func(context.Context, *location.Location) error) (err error) {
	if f.kopiaSnapshot != "" {
		return errors.New("--kopia-snapshot: Kopia snapshots are not supported yet; use a blueprint that stores plain objects")
	}
	p, err := f.readProfile()
	if err != nil {
		return err
	}
	l, err := location.Open(cmd.Context(), p, location.OwnPod())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return do(cmd.Context(), l)
}

// readProfile parses --profile. A file keeps the credential out of the list of
// processes.
func (f *locationFlags) readProfile() (*profile.Profile, error) {
	if f.profile == "" {
		return nil, errors.New("--profile is missing; pass '{{ toJson .Profile }}'")
	}
	data := []byte(f.profile)
	if name, ok := strings.CutPrefix(f.profile, "@"); ok {
		var err error
		if data, err = os.ReadFile(name); err != nil {
			return nil, fmt.Errorf("--profile: %w", err)
		}
	}
	p, err := profile.Parse(bytes.TrimSpace(data))
	if err != nil {
		return nil, fmt.Errorf("--profile: %w", err)
	}
	if f.caFile != "" {
		pem, err := os.ReadFile(f.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		p.CABundle += "\n" + string(pem)
	}
	return p, nil
}

// oneArg is cobra.ExactArgs(1) with an error that says what is missing.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s needs exactly one argument, %s; got %d", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}
