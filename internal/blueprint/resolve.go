package blueprint

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// ResolveInput is what Resolve needs to know of an action.
type ResolveInput struct {
	// Spec of the action as the user wrote it.
	Spec kanister.ActionSpec
	// Namespace of the ActionSet; references that name none mean this one.
	Namespace string
	// Now becomes .Time.
	Now time.Time
	// Field is the action's place in the ActionSet, for messages; empty means
	// spec.actions[<name>].
	Field string
}

// Resolve reads everything an action's templates can name, but for secret
// values, of which it checks that they exist. The dispatcher calls it once, when
// the action starts. If the ActionSet names something that does not exist, that
// may not be read or that makes no sense, an *Error says which field.
func Resolve(ctx context.Context, c Cluster, in ResolveInput) (*Params, error) {
	if in.Field == "" {
		in.Field = fmt.Sprintf("spec.actions[%s]", in.Spec.Name)
	}
	r := &resolver{
		in:     in,
		reader: newReader(c),
		params: &Params{
			Version:        ParamsVersion,
			Namespace:      in.Namespace,
			Time:           in.Now.UTC().Format(time.RFC3339Nano),
			ArtifactsIn:    in.Spec.Artifacts,
			Options:        in.Spec.Options,
			PodOverride:    in.Spec.PodOverride,
			PodLabels:      in.Spec.PodLabels,
			PodAnnotations: in.Spec.PodAnnotations,
		},
	}
	for _, step := range []func(context.Context) error{
		r.version,
		r.object,
		r.configMaps,
		r.secrets,
		r.profile,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return r.params, nil
}

type resolver struct {
	in     ResolveInput
	reader *reader
	params *Params
}

// version checks preferredVersion. All functions are of v0.0.0, and Kanister too
// falls back to it from any version it does not have.
func (r *resolver) version(context.Context) error {
	if _, err := Preferred(r.in.Spec.PreferredVersion); err != nil {
		return errorf(event.ReasonInvalid, "%s.preferredVersion: %w", r.in.Field, err)
	}
	return nil
}

// named checks a reference and fills in the ActionSet's namespace.
func (r *resolver) named(field string, ref kanister.ObjectReference) (SecretRef, error) {
	if ref.Name == "" {
		return SecretRef{}, errorf(event.ReasonInvalid, "%s.name: is empty; name the object", field)
	}
	return SecretRef{Namespace: orElse(ref.Namespace, r.in.Namespace), Name: ref.Name}, nil
}

func (r *resolver) configMaps(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(r.in.Spec.ConfigMaps)) {
		field := r.in.Field + ".configMaps." + name
		ref, err := r.named(field, r.in.Spec.ConfigMaps[name])
		if err != nil {
			return err
		}
		cm, err := r.reader.configMap(ctx, field, ref.Namespace, ref.Name)
		if err != nil {
			return err
		}
		if r.params.ConfigMaps == nil {
			r.params.ConfigMaps = map[string]corev1.ConfigMap{}
		}
		r.params.ConfigMaps[name] = *cm
	}
	return nil
}

func (r *resolver) secrets(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(r.in.Spec.Secrets)) {
		field := r.in.Field + ".secrets." + name
		ref, err := r.named(field, r.in.Spec.Secrets[name])
		if err != nil {
			return err
		}
		if _, err := r.reader.secret(ctx, field, ref); err != nil {
			return err
		}
		if r.params.Secrets == nil {
			r.params.Secrets = map[string]SecretRef{}
		}
		r.params.Secrets[name] = ref
	}
	return nil
}

// profile keeps the Profile's location and references, and checks that the
// credential can be read.
func (r *resolver) profile(ctx context.Context) error {
	if r.in.Spec.Profile == nil {
		return nil
	}
	field := r.in.Field + ".profile"
	ref, err := r.named(field, *r.in.Spec.Profile)
	if err != nil {
		return err
	}
	p, err := r.reader.clients.Profiles(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if err != nil {
		return readError(err, field, what("Profile", ref.Namespace, ref.Name))
	}
	kept := refOf(p, ref.Namespace, ref.Name)
	if _, err := r.reader.profile(ctx, field, kept); err != nil {
		return err
	}
	r.params.Profile = kept
	return nil
}

func orElse(value, other string) string {
	if value == "" {
		return other
	}
	return value
}
