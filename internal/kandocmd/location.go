package kandocmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/salvor-io/salvor/internal/kandocmd/kopia"
	"github.com/salvor-io/salvor/internal/location"
	"github.com/salvor-io/salvor/internal/profile"
)

// locationFlags are the flags of every location command.
type locationFlags struct {
	host          Host
	profile       string
	caFile        string
	path          string
	kopiaSnapshot string
}

const caFileUsage = "a PEM file of authorities to trust beside the profile's and the system's"

func newLocation(h Host) *cobra.Command {
	f := &locationFlags{host: h}
	cmd := &cobra.Command{
		Use:   "location <command>",
		Short: "Push, pull and delete objects in the profile's store",
		RunE:  needCommand,
	}
	cmd.PersistentFlags().StringVarP(&f.profile, "profile", "p", "",
		"the profile as JSON, {{ toJson .Profile }}, or @file to read it from a file (required)")
	cmd.PersistentFlags().StringVarP(&f.path, "path", "s", "",
		"the path of the object, below the prefix of the profile")
	cmd.PersistentFlags().StringVar(&f.caFile, "ca-file", "", caFileUsage)
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
			return f.with(cmd, stores{
				objects: func(ctx context.Context, l *location.Location) error {
					return push(ctx, l, f.path, args[0], cmd.InOrStdin())
				},
				kopia: func(ctx context.Context, r *kopia.Repository) error {
					return pushKopia(ctx, r, kopiaPush{path: f.path, source: args[0], outputName: outputName}, cmd)
				},
			})
		},
	}
	cmd.Flags().StringVarP(&outputName, "output-name", "o", "kandoOutput",
		"the name of the output that holds the snapshot, with a profile of type kopia")
	return cmd
}

func newPull(f *locationFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pull <target>",
		Short: "Write an object to a file, or with - to stdout",
		Args:  oneArg("a target file, or - for stdout"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd, stores{
				objects: func(ctx context.Context, l *location.Location) error {
					return pull(ctx, l, f.path, args[0], cmd.OutOrStdout())
				},
				kopia: func(ctx context.Context, r *kopia.Repository) error {
					return f.pullKopia(ctx, r, args[0], cmd.OutOrStdout())
				},
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
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 { // Kanister's deletes what the first word of the path names
				return fmt.Errorf("location delete takes no argument, but got %q; quote a path that has spaces", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(cmd, stores{
				objects: func(ctx context.Context, l *location.Location) error {
					n, err := l.Delete(ctx, f.path)
					if err == nil {
						zerolog.Ctx(ctx).Info().Str("path", f.path).Int("objects", n).Msg("deleted")
					}
					return err
				},
				kopia: f.deleteKopia,
			})
		},
	}
	f.addKopia(cmd)
	return cmd
}

func (f *locationFlags) addKopia(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.kopiaSnapshot, "kopia-snapshot", "k", "",
		"the output of location push, with a profile of type kopia; others take no notice of it")
}

// stores is what a command does with the two kinds of store.
type stores struct {
	objects func(context.Context, *location.Location) error
	kopia   func(context.Context, *kopia.Repository) error
}

// with opens the store of the profile, does the work and closes it.
func (f *locationFlags) with(cmd *cobra.Command, do stores) error {
	p, err := f.readProfile()
	if err != nil {
		return err
	}
	switch {
	case p.Location.Type != profile.LocationKopia:
		return withObjects(cmd.Context(), p, do.objects)
	case do.kopia == nil:
		return fmt.Errorf("%s needs a profile of an object store, not one of type kopia", cmd.CommandPath())
	default:
		return f.withKopia(cmd.Context(), p, do.kopia)
	}
}

func withObjects(ctx context.Context, p *profile.Profile, do func(context.Context, *location.Location) error) (err error) {
	l, err := location.Open(ctx, p, location.OwnPod())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return do(ctx, l)
}

func (f *locationFlags) withKopia(ctx context.Context, p *profile.Profile, do func(context.Context, *kopia.Repository) error) (err error) {
	r, err := kopia.Connect(ctx, p, f.host.Clock, verbose(ctx, f.host.Err))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return do(ctx, r)
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
	var kopia profile.Profile
	if json.Unmarshal(data, &kopia) == nil && kopia.Location.Type == profile.LocationKopia {
		return &kopia, nil // what it needs is checked where it is used
	}
	p, err := profile.Parse(bytes.TrimSpace(data))
	if err != nil {
		return nil, fmt.Errorf("--profile: %w", err)
	}
	if f.caFile != "" {
		if err := profile.TrustFile(p, f.caFile); err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
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
