package render

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/cli/actionset"
	"github.com/salvor-io/salvor/internal/cli/app"
)

// given reads --output and --artifact.
func (r *renderer) given() (err error) {
	if r.outputs, err = dotted("output", "phase.key=value", r.options.outputs); err != nil {
		return err
	}
	r.artifacts, err = dotted("artifact", "name.key=value", r.options.artifacts)
	return err
}

// dotted reads name.key=value into name → key → value.
func dotted(flag, form string, texts []string) (map[string]map[string]string, error) {
	all := map[string]map[string]string{}
	for _, text := range texts {
		place, value, ok := strings.Cut(text, "=")
		name, key, dot := strings.Cut(place, ".")
		if !ok || !dot || name == "" || key == "" {
			return nil, fmt.Errorf("--%s: %q is not %s", flag, text, form)
		}
		if all[name] == nil {
			all[name] = map[string]string{}
		}
		all[name][key] = value
	}
	return all, nil
}

// actionSet is the one to render: of the cluster, of a file, or of the flags.
func (r *renderer) actionSet(ctx context.Context, name string) (*kanister.ActionSet, error) {
	flags := &r.options.create
	byFlags := flags.Action != "" || flags.Blueprint != "" || flags.From != ""
	if name != "" && byFlags {
		return nil, errors.New("give the name of an ActionSet, or the flags of one (--action, --blueprint, --from), not both")
	}
	as, err := r.existing(ctx, name, byFlags)
	if err == nil && as == nil {
		as, err = r.fromFlags(ctx)
	}
	if err != nil {
		return nil, err
	}
	if as.Spec == nil || len(as.Spec.Actions) == 0 {
		return nil, fmt.Errorf("ActionSet %s has no actions", as.Name)
	}
	for i := range as.Spec.Actions {
		r.addArtifacts(&as.Spec.Actions[i])
	}
	return as, nil
}

// existing is the ActionSet of that name, or the only one of the files; nil when the
// flags are to make one.
func (r *renderer) existing(ctx context.Context, name string, byFlags bool) (*kanister.ActionSet, error) {
	if name != "" {
		as, err := r.clients.ActionSets(r.namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, app.WithCode(app.ExitNotFound, fmt.Errorf("there is no ActionSet %s in namespace %s", name, r.namespace))
		}
		if err != nil {
			return nil, fmt.Errorf("read ActionSet %s/%s: %w", r.namespace, name, err)
		}
		return as, nil
	}
	if byFlags {
		return nil, nil //nolint:nilnil // the flags make one
	}
	found := r.store.All(kanister.GroupVersion.WithKind("ActionSet"))
	switch len(found) {
	case 0:
		return nil, nil //nolint:nilnil // the flags make one
	case 1:
		as := &kanister.ActionSet{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found[0].Object, as); err != nil {
			return nil, fmt.Errorf("ActionSet %s: %w", found[0].GetName(), err)
		}
		as.UID = "" // made up when it was read
		return as, nil
	}
	return nil, fmt.Errorf("the files hold %d ActionSets; name the one to render", len(found))
}

// fromFlags makes the ActionSet that "create actionset" would create.
func (r *renderer) fromFlags(ctx context.Context) (*kanister.ActionSet, error) {
	flags := &r.options.create
	if err := r.complete(flags); err != nil {
		return nil, err
	}
	request, err := flags.Parse(r.namespace)
	if err != nil {
		return nil, err
	}
	if err := actionset.Select(ctx, r.clients, request); err != nil {
		return nil, err
	}
	var parent *kanister.ActionSet
	if request.From != "" {
		if parent, err = r.clients.ActionSets(r.namespace).Get(ctx, request.From, metav1.GetOptions{}); err != nil {
			return nil, fmt.Errorf("--from: read ActionSet %s/%s: %w", r.namespace, request.From, err)
		}
	}
	return actionset.Build(request, parent, "render")
}

// complete fills in what the files leave no choice of: the only blueprint, its only
// action, and without a cluster an object.
func (r *renderer) complete(flags *actionset.Flags) error {
	if flags.From != "" {
		return nil
	}
	found := r.store.All(kanister.GroupVersion.WithKind("Blueprint"))
	if flags.Blueprint == "" && len(found) == 1 {
		flags.Blueprint = found[0].GetName()
	}
	for _, object := range found {
		if object.GetName() != flags.Blueprint {
			continue
		}
		bp := &kanister.Blueprint{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, bp); err != nil {
			return fmt.Errorf("blueprint %s: %w", bp.Name, err)
		}
		if flags.Action == "" && len(bp.Actions) > 1 {
			return fmt.Errorf("--action is required; blueprint %s has: %s", bp.Name, strings.Join(slices.Sorted(maps.Keys(bp.Actions)), ", "))
		}
		if flags.Action == "" {
			flags.Action = strings.Join(slices.Sorted(maps.Keys(bp.Actions)), "")
		}
		if action := bp.Actions[flags.Action]; r.made != nil && action != nil {
			r.made.object(flags, r.namespace, action)
		}
	}
	return nil
}

// addArtifacts adds --artifact.
func (r *renderer) addArtifacts(spec *kanister.ActionSpec) {
	for name, values := range r.artifacts {
		if spec.Artifacts == nil {
			spec.Artifacts = map[string]kanister.Artifact{}
		}
		kept := spec.Artifacts[name]
		artifact := *kept.DeepCopy()
		for key, value := range values {
			if key == "kopiaSnapshot" {
				artifact.KopiaSnapshot = value
				continue
			}
			if artifact.KeyValue == nil {
				artifact.KeyValue = map[string]string{}
			}
			artifact.KeyValue[key] = value
		}
		spec.Artifacts[name] = artifact
	}
}
