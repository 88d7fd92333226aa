package render

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"

	"github.com/salvor-io/salvor/internal/cli/actionset"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/kubefile"
	"github.com/salvor-io/salvor/runner"
	"github.com/salvor-io/salvor/runner/pods"
)

type options struct {
	app *app.App
	// create are the flags of "create actionset".
	create  actionset.Flags
	files   []string
	offline bool
	// outputs as phase.key=value, artifacts as name.key=value.
	outputs, artifacts []string
	pods               pods.Options
	toolsImage         string
}

// Command is "render".
func Command(a *app.App) *cobra.Command {
	o := &options{app: a, pods: pods.DefaultOptions()}
	cmd := &cobra.Command{
		Use:   "render [ACTIONSET]",
		Short: "Show what each phase of an action would do, without doing it",
		Long: `Show what each phase of an action would do: its function, its rendered arguments,
and the pod that would be made, as YAML. Nothing is created or changed, and no secret
value is shown.

What to render is an ActionSet of the cluster, an ActionSet of a file, or what the
flags say, which are those of "create actionset". Objects of files (-f, may be
repeated, - is the standard input) go before those of the cluster. With --offline
there is no cluster; what no file has is made up, and listed.

Outputs of phases that have not run are shown as <output phase.key>; --output says
what they are. The exit code is 1 when something cannot be rendered.`,
		Example: `  # A backup that failed, or that is about to start
  salvor render backup-x7k2p -n db

  # What "create actionset" with the same flags would do
  salvor render -a backup -b postgres -t db/postgres -p s3

  # A blueprint and nothing else
  salvor render --offline -f postgres-blueprint.yaml -a restore --output dump.path=shop/1.sql`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), strings.Join(args, ""))
		},
	}
	o.bind(cmd.Flags())
	return cmd
}

func (o *options) bind(fs *pflag.FlagSet) {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.create.BindFlags(all)
	all.VisitAll(func(f *pflag.Flag) {
		switch f.Name {
		case "name", "quiet", "wait", "timeout", "labels", "repository-server", "wait-for-repository-server":
			return
		case "from":
			f.Shorthand = "" // -f are files here
		}
		fs.AddFlag(f)
	})
	fs.StringArrayVarP(&o.files, "filename", "f", nil, "file with objects as YAML or JSON: ActionSet, Blueprint, Profile, Secrets, the workload; - for the standard input; may be repeated")
	fs.BoolVar(&o.offline, "offline", false, "ask no cluster; what no file has is made up")
	fs.StringArrayVar(&o.outputs, "output", nil, "an output of an earlier phase, as phase.key=value; may be repeated")
	fs.StringArrayVar(&o.artifacts, "artifact", nil, "an input artifact, as name.key=value; may be repeated")
	fs.StringVar(&o.pods.OwnNamespace, "salvor-namespace", "salvor", "Salvor's own namespace, where pods run whose phase names none")
	fs.StringVar(&o.toolsImage, "tools-image", runner.DefaultToolsImage, "the flag of that name of salvor serve")
	fs.StringVar(&o.pods.TaskServiceAccount, "task-service-account", "", "the flag of that name of salvor serve")
}

func (o *options) run(ctx context.Context, name string) error {
	namespace, err := o.namespace()
	if err != nil {
		return err
	}
	store := kubefile.New(namespace)
	for _, file := range o.files {
		data, err := o.app.ReadFile(file)
		if err != nil {
			return fmt.Errorf("--filename: %w", err)
		}
		if err := store.Read(file, data); err != nil {
			return fmt.Errorf("--filename: %w", err)
		}
	}
	var config *rest.Config
	if !o.offline {
		if config, err = o.app.Kube.Config(); err != nil {
			return fmt.Errorf("%w; --offline asks no cluster", err)
		}
	}
	clients, err := store.Clients(config)
	if err != nil {
		return err
	}
	r := &renderer{options: o, namespace: namespace, store: store, clients: clients}
	if o.offline {
		r.made = newMaker(store)
	}
	if err := r.given(); err != nil {
		return err
	}
	as, err := r.actionSet(ctx, name)
	if err != nil {
		return err
	}
	failed := 0
	for i := range as.Spec.Actions {
		failed += r.action(ctx, as, i)
	}
	switch failed {
	case 0:
		return nil
	case 1:
		return errors.New("1 part cannot be rendered; the output says which")
	}
	return fmt.Errorf("%d parts cannot be rendered; the output says which", failed)
}

// namespace is that of the flags; without a cluster a kubeconfig is not needed either.
func (o *options) namespace() (string, error) {
	if o.offline && o.app.Kube.Namespace != "" {
		return o.app.Kube.Namespace, nil
	}
	if o.offline {
		return "default", nil
	}
	return o.app.Kube.CurrentNamespace()
}
