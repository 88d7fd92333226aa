package actionset

import (
	"time"

	"github.com/spf13/pflag"
)

// Flags are what the user wrote, unparsed.
type Flags struct {
	From, Action, Name, Blueprint, Profile string

	ConfigMaps, Secrets []string
	// Options in kanctl's comma form; Option one by one, to the letter.
	Options, Option []string

	Deployments, StatefulSets, DeploymentConfigs, PVCs []string
	NamespaceTargets, Objects                          []string

	Selector, Kind, SelectorNamespace string

	Labels, PodLabels, PodAnnotations string

	RepositoryServer        string
	WaitForRepositoryServer bool

	DryRun, SkipValidation bool
	LibraryNamespace       string

	Quiet   bool
	Wait    bool
	Timeout time.Duration
}

// BindFlags defines kanctl's flags and ours.
func (f *Flags) BindFlags(fs *pflag.FlagSet) {
	fs.StringVarP(&f.From, "from", "f", "", "name of a complete ActionSet to continue: its objects, artifacts, secrets, config maps, profile and options are taken over")
	fs.StringVarP(&f.Action, "action", "a", "", "action of the blueprint, for example backup (required unless --from is given)")
	fs.StringVarP(&f.Name, "name", "A", "", "name of the new ActionSet (default: <action>-<random>, with --from <action>-<parent>-<random>)")
	fs.StringVarP(&f.Blueprint, "blueprint", "b", "", "blueprint (required unless --from is given)")
	fs.StringSliceVarP(&f.ConfigMaps, "config-maps", "c", nil, "config maps for the templates, as ref=namespace/name,…")
	fs.StringSliceVarP(&f.Deployments, "deployment", "d", nil, "deployments to work on, as namespace/name,…")
	fs.StringArrayVarP(&f.Options, "options", "o", nil, "options for the templates, as key=value,…; a comma that no key= follows belongs to the value; may be repeated")
	fs.StringArrayVar(&f.Option, "option", nil, "one option as key=value, where all after the first = is the value to the letter; may be repeated")
	fs.StringVarP(&f.Profile, "profile", "p", "", "profile, as name or namespace/name (default namespace: the ActionSet's)")
	fs.StringSliceVarP(&f.PVCs, "pvc", "v", nil, "volume claims to work on, as namespace/name,…")
	fs.StringSliceVarP(&f.Secrets, "secrets", "s", nil, "secrets for the templates, as ref=namespace/name,…")
	fs.StringSliceVarP(&f.StatefulSets, "statefulset", "t", nil, "stateful sets to work on, as namespace/name,…")
	fs.StringSliceVarP(&f.DeploymentConfigs, "deploymentconfig", "D", nil, "OpenShift deployment configs to work on, as namespace/name,…")
	fs.StringVarP(&f.Selector, "selector", "l", "", "label selector of objects to work on")
	fs.StringVarP(&f.Kind, "kind", "k", kindAll, "kind that --selector selects: all, deployment, deploymentconfig, statefulset, pvc or namespace")
	fs.StringVar(&f.SelectorNamespace, "selector-namespace", "", "namespace that --selector selects in (default: all)")
	fs.StringSliceVarP(&f.NamespaceTargets, "namespacetargets", "T", nil, "namespaces to work on, as name,…")
	fs.StringSliceVarP(&f.Objects, "objects", "O", nil, "any other objects to work on, as group/version/resource/namespace/name,… (core group: version/resource/namespace/name)")
	fs.StringVar(&f.Labels, "labels", "", "labels of the new ActionSet, as key=value,…")
	fs.StringVar(&f.PodAnnotations, "podannotations", "", "annotations of the pods of every action, as key=value,…")
	fs.StringVar(&f.PodLabels, "podlabels", "", "labels of the pods of every action, as key=value,…")

	fs.StringVar(&f.LibraryNamespace, "library-namespace", "salvor", "namespace in which Salvor also looks for blueprints")
	fs.BoolVarP(&f.Quiet, "quiet", "q", false, "print only the name of the new ActionSet")
	fs.BoolVar(&f.Wait, "wait", false, "wait until it ends; the exit code is that of \"salvor wait\"")
	fs.DurationVar(&f.Timeout, "timeout", DefaultTimeout, "with --wait: how long to wait, 0 for ever")

	fs.StringVarP(&f.RepositoryServer, "repository-server", "r", "", "not supported; use a Profile")
	fs.BoolVarP(&f.WaitForRepositoryServer, "wait-for-repository-server", "w", false, "not supported; use a Profile")
	_ = fs.MarkHidden("repository-server")          // defined above
	_ = fs.MarkHidden("wait-for-repository-server") // defined above
}

// BindCreateFlags defines the flags that all "create" commands share.
func (f *Flags) BindCreateFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&f.DryRun, "dry-run", false, "print the resources as YAML and create nothing")
	fs.BoolVar(&f.SkipValidation, "skip-validation", false, "do not check that what is named exists")
}

// DefaultTimeout is how long --wait waits.
const DefaultTimeout = 15 * time.Minute
