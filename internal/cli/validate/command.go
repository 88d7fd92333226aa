package validate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/kube"
)

// functionVersion is the only version that Kanister ever gave a function.
const functionVersion = "v0.0.0"

type options struct {
	app             *app.App
	name            string
	files           fileList
	namespace       string
	library         string
	schemaOnly      bool
	cluster         bool
	output          string
	functionVersion string
	// namespaceGiven reports whether --resource-namespace was.
	namespaceGiven func() bool
}

// Command is "validate".
func Command(a *app.App) *cobra.Command {
	o := options{app: a}
	cmd := &cobra.Command{
		Use:   "validate [blueprint|actionset|profile|trigger] [-f FILE|FOLDER|-]... [FILE]...",
		Short: "Check Blueprints, ActionSets, Profiles and ActionTriggers",
		Long: `Check Blueprints (functions, arguments, templates and what they refer to),
ActionSets, Profiles and ActionTriggers, in files, folders with what is below them, or
the standard input. The kinds are found in the documents; what is of another kind is
passed over, unless a kind is asked for.

Each finding is a line as compilers print it: file, line, column, error or warning,
message and hint. What can never work is an error; what runs, but most likely not as it
was meant, is a warning. The exit code is 1 when there is an error.

An ActionSet or a trigger whose Blueprint is given too is checked against it: does the
action exist, is everything given that its templates name. With --cluster, or for an
object of the cluster (--name), the Blueprint is looked for there, and so is whatever
else an object refers to: Profile, Secrets, ConfigMaps, the object of each action.
"validate profile" also lists the bucket, and writes an object to it and deletes it.`,
		Example: `  salvor validate -f backups/
  kustomize build overlays/prod | salvor validate -f -
  salvor validate -f blueprint.yaml -f actionset.yaml --output json
  salvor validate -f actionset.yaml --cluster
  salvor validate blueprint --name postgres --resource-namespace db`,
		ValidArgs: []string{"blueprint", "actionset", "profile", "trigger"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), args)
		},
	}
	fs := cmd.Flags()
	o.namespaceGiven = func() bool { return fs.Changed("resource-namespace") }
	fs.StringVar(&o.name, "name", "", "name of the resource in the cluster")
	fs.VarP(&o.files, "filename", "f", "file or folder with resources as YAML or JSON, - for the standard input; may be given several times")
	fs.StringVar(&o.namespace, "resource-namespace", "default", "namespace of the resource that --name names, and of objects in files that name none")
	fs.BoolVar(&o.schemaOnly, "schema-validation-only", false, "do not look for the Secret of a Profile, nor into its bucket, nor for anything else in a cluster")
	fs.BoolVar(&o.cluster, "cluster", false, "look whether what the objects refer to is in the cluster")
	fs.StringVar(&o.library, "library-namespace", "", "with --cluster: namespace in which Blueprints are looked for too")
	fs.StringVarP(&o.output, "output", "o", "text", "how to print: text or json")
	fs.StringVarP(&o.functionVersion, "functionVersion", "v", functionVersion, "version of the functions; there is only one")
	return cmd
}

// wanted is the kind that an argument asks for.
func wanted(arg string) string {
	switch strings.ToLower(arg) {
	case "blueprint", "blueprints", "bp":
		return kindBlueprint
	case "actionset", "actionsets", "as":
		return kindActionSet
	case "profile", "profiles":
		return kindProfile
	case "trigger", "triggers", "actiontrigger", "actiontriggers":
		return kindTrigger
	}
	return ""
}

func (o *options) run(ctx context.Context, args []string) error {
	kind := ""
	if len(args) > 0 {
		if kind = wanted(args[0]); kind != "" {
			args = args[1:]
		}
	}
	if err := o.positional(args); err != nil {
		return err
	}
	if o.app.Kube.Namespace != "" && !o.namespaceGiven() {
		o.namespace = o.app.Kube.Namespace
	}
	switch {
	case (o.name == "") == (len(o.files) == 0):
		return errors.New("give either --filename or --name")
	case o.name != "" && kind == "":
		return errors.New("--name needs the kind: blueprint, actionset, profile or trigger")
	case o.functionVersion != functionVersion:
		return fmt.Errorf("--functionVersion: %q is not known; functions have one version, %s", o.functionVersion, functionVersion)
	case o.output != "text" && o.output != "json":
		return fmt.Errorf("--output: %q is not one of text, json", o.output)
	}
	r := &report{}
	if err := o.load(ctx, r, kind); err != nil {
		return err
	}
	r.check()
	if o.looks(kind) {
		clients, err := o.clients()
		if err != nil && r.count(blueprint.SeverityError) > 0 {
			o.app.Warnf("the cluster was not asked: %v", err)
			return o.print(r)
		}
		if err != nil {
			return err
		}
		c := &cluster{report: r, clients: clients, namespace: o.namespace, library: o.library, buckets: kind == kindProfile, in: blueprint.ResolveInput{Now: o.app.Clock.Now()}}
		c.check(ctx)
	}
	return o.print(r)
}

// positional takes arguments as files.
func (o *options) positional(args []string) error {
	for _, arg := range args {
		if _, err := os.Stat(arg); arg != "-" && err != nil {
			return fmt.Errorf("%q cannot be validated; blueprint, actionset, profile and trigger can, and it is no file either", arg)
		}
		o.files = append(o.files, arg)
	}
	return nil
}

// looks reports whether the cluster is asked. For a Profile it is, as in kanctl.
func (o *options) looks(kind string) bool {
	return !o.schemaOnly && (o.cluster || o.name != "" || kind == kindProfile)
}

func (o *options) clients() (*kube.Clients, error) {
	clients, err := o.app.Kube.Clients()
	if err != nil && !o.cluster {
		return nil, fmt.Errorf("look for the Secret (--schema-validation-only does not): %w", err)
	}
	return clients, err
}

// load reads the objects.
func (o *options) load(ctx context.Context, r *report, kind string) error {
	if o.name != "" {
		found, err := o.get(ctx, kind)
		if err != nil {
			return err
		}
		r.objects = append(r.objects, found)
		return nil
	}
	files, err := sources(o.app, o.files)
	if err != nil {
		return err
	}
	r.load(files, kind)
	if len(r.objects) == 0 && len(r.findings) == 0 {
		what := kind
		if what == "" {
			what = "ActionSet, ActionTrigger, Blueprint or Profile"
		}
		return fmt.Errorf("there is no %s in %s", what, strings.Join(o.files.names(), ", "))
	}
	return nil
}

// get reads the object of the cluster that --name names.
func (o *options) get(ctx context.Context, kind string) (*object, error) {
	clients, err := o.app.Kube.Clients()
	if err != nil {
		return nil, err
	}
	found := &object{kind: kind, namespace: o.namespace, name: o.name}
	switch kind {
	case kindBlueprint:
		found.value, err = clients.Blueprints(o.namespace).Get(ctx, o.name, metav1.GetOptions{})
	case kindActionSet:
		found.value, err = clients.ActionSets(o.namespace).Get(ctx, o.name, metav1.GetOptions{})
	case kindProfile:
		found.value, err = clients.Profiles(o.namespace).Get(ctx, o.name, metav1.GetOptions{})
	default:
		found.value, err = clients.ActionTriggers(o.namespace).Get(ctx, o.name, metav1.GetOptions{})
	}
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("there is no %s %s in namespace %s", kind, o.name, o.namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s/%s: %w", kind, o.namespace, o.name, err)
	}
	return found, nil
}

func (o *options) print(r *report) error {
	if o.output == "json" {
		if err := r.writeJSON(o.app.Out); err != nil {
			return err
		}
		return r.summary()
	}
	for _, f := range r.sorted() {
		o.app.Printf("%s\n", f.text())
	}
	for _, found := range r.objects {
		if found.findings > 0 {
			continue
		}
		o.ticks(found)
		o.app.Printf("%s: no problem found\n", o.title(r, found))
	}
	return r.summary()
}

// title names an object, and its file if there are several.
func (o *options) title(r *report, found *object) string {
	title := strings.ToLower(strings.TrimPrefix(found.kind, "Action")) + " " + found.name
	if found.kind == kindActionSet {
		title = "actionset " + found.name
	}
	other := slices.ContainsFunc(r.objects, func(other *object) bool { return other.file != found.file })
	if other && found.file != "" {
		return found.file + ": " + title
	}
	return title
}
