// Command localcluster builds and runs a one-node Kubernetes on this machine.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/salvor-io/salvor/deploy/local/builds"
	"github.com/salvor-io/salvor/deploy/local/cluster"
	"github.com/salvor-io/salvor/deploy/local/images"
	"github.com/salvor-io/salvor/deploy/local/layout"
	"github.com/salvor-io/salvor/deploy/local/progress"
	"github.com/salvor-io/salvor/deploy/local/setup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "localcluster:", err)
		os.Exit(1)
	}
}

// tool is what every command works with.
type tool struct {
	layout layout.Layout
	out    *progress.Printer
}

func root() *cobra.Command {
	var repo string
	t := &tool{}
	cmd := &cobra.Command{
		Use:           "localcluster",
		Short:         "A one-node Kubernetes on this machine, from source, without Docker",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			found, err := layout.Find(repo)
			if err != nil {
				return err
			}
			t.layout, t.out = found, progress.New(cmd.OutOrStdout())
			return nil
		},
	}
	here, err := os.Getwd()
	if err != nil {
		here = "."
	}
	cmd.PersistentFlags().StringVar(&repo, "repo", here, "a folder inside the repository to work for")
	cmd.AddCommand(t.setup(), t.build(), t.up(), t.down(), t.images(), t.csi(), t.kill(), t.start())
	return cmd
}

func (t *tool) setup() *cobra.Command {
	var purposes []string
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Install the Debian packages that are missing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return setup.Install(cmd.Context(), t.out, purposes...)
		},
	}
	cmd.Flags().StringSliceVar(&purposes, "for", setup.Purposes(), "what they are needed for")
	return cmd
}

func (t *tool) build() *cobra.Command {
	var only []string
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build Kubernetes and what it needs into .local/bin, as far as it is not up to date",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			components, err := builds.Select(only)
			if err != nil {
				return err
			}
			t.out.Title("Building the local cluster's programs into %s", t.layout.Bin())
			builder := builds.Builder{Layout: t.layout, Progress: t.out}
			if err := builder.Build(cmd.Context(), components); err != nil {
				return err
			}
			t.out.Total("programs ready")
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&only, "only", nil, "build these components only, for example kubernetes,etcd")
	return cmd
}

func (t *tool) up() *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Start the cluster, or check the one that runs, and write .local/kubeconfig",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cluster.New(t.layout, t.out).Up(cmd.Context())
		},
	}
}

func (t *tool) down() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop the cluster and remove all of it; programs and cached images stay",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cluster.New(t.layout, t.out).Down(cmd.Context())
		},
	}
}

func (t *tool) csi() *cobra.Command {
	return &cobra.Command{
		Use:   "csi",
		Short: "Start a CSI driver in the running cluster: StorageClass and VolumeSnapshotClass csi-dir",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cluster.New(t.layout, t.out).CSI(cmd.Context()); err != nil {
				return err
			}
			t.out.Total("claims of the StorageClass csi-dir can be snapshotted")
			return nil
		},
	}
}

func (t *tool) kill() *cobra.Command {
	return &cobra.Command{
		Use:   "kill PROGRAM",
		Short: "End one program of the running cluster without warning, to see what that does",
		Long: "End one program of the running cluster without warning (kill -9), to see what that does.\n" +
			"Containers go on. `localcluster start` starts it again.",
		ValidArgs: cluster.Programs(),
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.out.Step(cmd.Context(), "kill "+args[0], func(ctx context.Context) error {
				return cluster.New(t.layout, t.out).Kill(ctx, args[0])
			})
		},
	}
}

func (t *tool) start() *cobra.Command {
	return &cobra.Command{
		Use:       "start PROGRAM",
		Short:     "Start one program again that was killed, and wait until the cluster is well",
		ValidArgs: cluster.Programs(),
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.out.Step(cmd.Context(), "start "+args[0], func(ctx context.Context) error {
				return cluster.New(t.layout, t.out).Start(ctx, args[0])
			})
		},
	}
}

func (t *tool) images() *cobra.Command {
	return &cobra.Command{
		Use:   "images",
		Short: "Build our images and give them to the running cluster, as far as it does not have them",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			began := time.Now()
			loader := images.Loader{Layout: t.layout, Progress: t.out}
			if err := loader.Load(cmd.Context(), append(images.Base(), images.Product()...)); err != nil {
				return err
			}
			if err := images.Prune(images.Sources{Layout: t.layout}.Cache(), began); err != nil {
				return fmt.Errorf("remove layers that no image uses any more: %w", err)
			}
			t.out.Total("images loaded")
			return nil
		},
	}
}
