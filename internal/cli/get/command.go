package get

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/cli/app"
)

type options struct {
	all      bool
	output   string
	selector string
}

// Command is "get".
func Command(a *app.App) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "get [actionsets|runs] [NAME]",
		Short: "List ActionSets and how far they are",
		Long: `List ActionSets, oldest first: state, progress, the phase that runs, the action
and the object it works on, age, and the error of a failed one. A run is an
ActionSet in execution, so "actionsets" and "runs" (also "as") show the same.`,
		Example: `  salvor get -A
  salvor get backup-x7k2p -n db -o yaml
  salvor get runs -n db -o wide`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), a, args)
		},
	}
	cmd.Flags().BoolVarP(&o.all, "all-namespaces", "A", false, "list all namespaces")
	cmd.Flags().StringVarP(&o.output, "output", "o", "table", "how to print: table, wide, json or yaml")
	cmd.Flags().StringVarP(&o.selector, "selector", "l", "", "list only ActionSets with these labels")
	return cmd
}

func (o *options) run(ctx context.Context, a *app.App, args []string) error {
	switch o.output {
	case "table", "wide", "json", "yaml":
	default:
		return fmt.Errorf("--output: %q is not one of table, wide, json, yaml", o.output)
	}
	name, err := nameOf(args)
	if err != nil {
		return err
	}
	if name != "" && (o.all || o.selector != "") {
		return fmt.Errorf("the name %s cannot be combined with --all-namespaces or --selector", name)
	}
	namespace, err := a.Kube.CurrentNamespace()
	if err != nil {
		return err
	}
	clients, err := a.Kube.Clients()
	if err != nil {
		return err
	}
	if o.all {
		namespace = ""
	}
	if name != "" {
		as, err := clients.ActionSets(namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return app.WithCode(app.ExitNotFound, fmt.Errorf("there is no ActionSet %s in namespace %s", name, namespace))
		}
		if err != nil {
			return fmt.Errorf("read ActionSet %s/%s: %w", namespace, name, err)
		}
		stamp(as)
		return o.print(a, as, []kanister.ActionSet{*as})
	}
	list, err := clients.ActionSets(namespace).List(ctx, metav1.ListOptions{LabelSelector: o.selector})
	if err != nil {
		return fmt.Errorf("list ActionSets: %w", err)
	}
	list.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "List"}
	for i := range list.Items {
		stamp(&list.Items[i])
	}
	if len(list.Items) == 0 && (o.output == "table" || o.output == "wide") {
		where := "namespace " + namespace
		if o.all {
			where = "any namespace"
		}
		_, _ = fmt.Fprintf(a.Err, "No ActionSets in %s.\n", where) // nobody is left to tell
		return nil
	}
	return o.print(a, list, list.Items)
}

// nameOf reads the arguments: the resource may be left out.
func nameOf(args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	switch args[0] {
	case "actionset", "actionsets", "as", "run", "runs":
		if len(args) == 2 {
			return args[1], nil
		}
		return "", nil
	}
	if len(args) == 2 {
		return "", fmt.Errorf("%q is not something to get; get knows actionsets (also: as, runs)", args[0])
	}
	return args[0], nil
}

func (o *options) print(a *app.App, object any, list []kanister.ActionSet) error {
	switch o.output {
	case "json":
		text, err := json.MarshalIndent(object, "", "  ")
		if err != nil {
			return fmt.Errorf("print as JSON: %w", err)
		}
		a.Printf("%s\n", text)
	case "yaml":
		text, err := yaml.Marshal(object)
		if err != nil {
			return fmt.Errorf("print as YAML: %w", err)
		}
		a.Printf("%s", text)
	default:
		return Table{Namespaces: o.all, Wide: o.output == "wide", Now: a.Clock.Now()}.Write(a.Out, list)
	}
	return nil
}

// stamp names the kind, which typed clients leave out, and drops what only
// servers read.
func stamp(as *kanister.ActionSet) {
	as.TypeMeta = metav1.TypeMeta{APIVersion: kanister.GroupVersion.String(), Kind: "ActionSet"}
	as.ManagedFields = nil
}
