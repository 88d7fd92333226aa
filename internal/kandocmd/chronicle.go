package kandocmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/salvor-io/salvor/internal/kandocmd/chronicle"
	"github.com/salvor-io/salvor/internal/location"
)

func newChronicle(h Host) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "chronicle <command>",
		Short: "Keep the latest output of a command in the profile's store",
		RunE:  needCommand,
	}
	cmd.AddCommand(newChroniclePush(h), newChroniclePull(h))
	return cmd
}

func newChroniclePush(h Host) *cobra.Command {
	p := &chronicle.Push{Stderr: h.Err, Clock: h.Clock}
	cmd := &cobra.Command{
		Use:   "push <command>",
		Short: "Run a command again and again and store its output each time; put -- before one with flags",
		Args:  someArgs("a command to run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case p.ProfilePath == "":
				return errors.New("--profile-path is missing; name a file that holds the profile as JSON")
			case p.ArtifactPath == "":
				return errors.New("--artifact-path is missing; name a file that holds the path to store at")
			case p.Frequency < 0:
				return fmt.Errorf("--frequency %s is negative; pass a time such as 30s", p.Frequency)
			}
			p.Command = args
			return p.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVarP(&p.ProfilePath, "profile-path", "p", "", "a file that holds the profile as JSON (required)")
	cmd.Flags().StringVarP(&p.ArtifactPath, "artifact-path", "s", "", "a file that holds the path to store at, below the prefix of the profile (required)")
	cmd.Flags().StringVarP(&p.EnvDir, "env-dir", "e", "", "a directory with a file for each variable the command gets")
	cmd.Flags().DurationVarP(&p.Frequency, "frequency", "f", time.Minute, "the time from one start of the command to the next")
	cmd.Flags().StringVar(&p.CAFile, "ca-file", "", caFileUsage)
	return cmd
}

func newChroniclePull(h Host) *cobra.Command {
	f := &locationFlags{host: h}
	cmd := &cobra.Command{
		Use:   "pull <target>",
		Short: "Write the latest output to a file, or with - to stdout",
		Args:  oneArg("a target file, or - for stdout"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd, stores{objects: func(ctx context.Context, l *location.Location) error {
				return pullLatest(ctx, l, f.path, func(path string) error {
					return pull(ctx, l, path, args[0], cmd.OutOrStdout())
				})
			}})
		},
	}
	cmd.Flags().StringVarP(&f.path, "path", "s", "", "the path of the chronicle, below the prefix of the profile")
	cmd.Flags().StringVarP(&f.profile, "profile", "p", "", "the profile as JSON, or @file (required)")
	cmd.Flags().StringVar(&f.caFile, "ca-file", "", caFileUsage)
	return cmd
}

// pullLatest pulls what the manifest names. A push may replace it in between; then
// there is a newer one.
func pullLatest(ctx context.Context, l *location.Location, path string, pull func(path string) error) error {
	for before := ""; ; {
		data, err := chronicle.Manifest(ctx, l, path)
		if err != nil {
			return err
		}
		err = pull(data)
		if err == nil || data == before || !errors.Is(err, location.ErrNotExist) {
			return err
		}
		before = data
	}
}
