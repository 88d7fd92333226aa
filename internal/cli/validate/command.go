package validate

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/cli/app"
)

// functionVersion is the only version that Kanister ever gave a function.
const functionVersion = "v0.0.0"

type options struct {
	app             *app.App
	name, file      string
	namespace       string
	schemaOnly      bool
	functionVersion string
}

// Command is "validate".
func Command(a *app.App) *cobra.Command {
	o := options{app: a}
	cmd := &cobra.Command{
		Use:   "validate blueprint|profile|trigger",
		Short: "Check a Blueprint, a Profile or an ActionTrigger",
		Long: `Check a Blueprint (functions, arguments, templates), a Profile (its fields, and
that its Secret exists and has the fields that the Profile names) or an
ActionTrigger (filters that can never match, times that never come, templates).
Each problem is a line; the exit code is 1 when there is one.`,
		Example: `  salvor validate blueprint -f postgres-blueprint.yaml
  salvor validate profile --name s3 --resource-namespace db
  salvor validate trigger -f nightly.yaml`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"blueprint", "profile", "trigger"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), args[0])
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.name, "name", "", "name of the resource in the cluster")
	fs.StringVarP(&o.file, "filename", "f", "", "file with the resource as YAML or JSON, - for the standard input")
	fs.StringVar(&o.namespace, "resource-namespace", "default", "namespace of the resource that --name names")
	fs.BoolVar(&o.schemaOnly, "schema-validation-only", false, "do not look for the Secret of a Profile")
	fs.StringVarP(&o.functionVersion, "functionVersion", "v", functionVersion, "version of the functions; there is only one")
	return cmd
}

func (o *options) run(ctx context.Context, kind string) error {
	if (o.name == "") == (o.file == "") {
		return errors.New("give either --filename or --name")
	}
	if o.functionVersion != functionVersion {
		return fmt.Errorf("--functionVersion: %q is not known; functions have one version, %s", o.functionVersion, functionVersion)
	}
	switch kind {
	case "blueprint":
		return o.blueprint(ctx)
	case "profile":
		return o.profile(ctx)
	case "trigger", "actiontrigger":
		return o.trigger(ctx)
	default:
		return fmt.Errorf("%q cannot be validated; blueprint, profile and trigger can", kind)
	}
}

func (o *options) blueprint(ctx context.Context) error {
	bp := &kanister.Blueprint{}
	if err := o.read(kanister.GroupVersion.WithKind("Blueprint"), bp, func() (err error) {
		clients, err := o.app.Kube.Clients()
		if err != nil {
			return err
		}
		bp, err = clients.Blueprints(o.namespace).Get(ctx, o.name, metav1.GetOptions{})
		return err // read says what
	}); err != nil {
		return err
	}
	if len(bp.Actions) == 0 {
		return fmt.Errorf("blueprint %s has no actions", bp.Name)
	}
	return o.verdict("blueprint "+bp.Name, problems(bp))
}

// read fills object from the file, strictly: an unknown field is a mistake in
// what somebody wrote by hand. Without a file it calls get.
func (o *options) read(want schema.GroupVersionKind, object any, get func() error) error {
	kind := want.Kind
	if o.name != "" {
		err := get()
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("there is no %s %s in namespace %s", kind, o.name, o.namespace)
		}
		if err != nil {
			return fmt.Errorf("read %s %s/%s: %w", kind, o.namespace, o.name, err)
		}
		return nil
	}
	data, err := o.app.ReadFile(o.file)
	if err != nil {
		return fmt.Errorf("--filename: %w", err)
	}
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(data, &meta); err != nil {
		return fmt.Errorf("%s is not YAML: %w", o.file, err)
	}
	if meta.Kind != kind || meta.APIVersion != want.GroupVersion().String() {
		return fmt.Errorf("%s holds apiVersion %q, kind %q; want %s, %s", o.file, meta.APIVersion, meta.Kind, want.GroupVersion(), kind)
	}
	if err := decode(data, object); err != nil {
		return fmt.Errorf("%s: %w", o.file, err)
	}
	return nil
}

// decode is as strict as the API server with fieldValidation=Strict, and names
// fields by their whole path.
func decode(data []byte, object any) error {
	text, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return err // read names the file
	}
	unknown, err := kjson.UnmarshalStrict(text, object)
	return errors.Join(append(unknown, err)...)
}

func (o *options) verdict(what string, problems []string) error {
	if len(problems) == 0 {
		o.app.Printf("%s: no problem found\n", what)
		return nil
	}
	for _, problem := range problems {
		o.app.Printf("%s: %s\n", what, problem)
	}
	if len(problems) == 1 {
		return fmt.Errorf("%s has 1 problem", what)
	}
	return fmt.Errorf("%s has %d problems", what, len(problems))
}
