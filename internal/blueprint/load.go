package blueprint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// Scope says which phase values are for, and what is known before it.
type Scope struct {
	// Params as Resolve made them.
	Params *Params
	// Blueprint as it was pinned when the action started.
	Blueprint *kanister.Blueprint
	// Action is the name of the action in the blueprint.
	Action string
	Kind   event.PhaseKind
	// Phase is an index into the action's phases, for event.KindCore.
	Phase int
	// Outputs of the phases that ended well, by name; the entry of a phase that
	// published nothing may be nil or missing.
	Outputs map[string]map[string]any
	// DeferOutput is the output of the deferPhase, once it has ended.
	DeferOutput map[string]any
}

// Load reads the Secrets and ConfigMaps that the phase needs, now, and returns its
// values. If one that the phase itself names does not exist, an *Error says so;
// one that the action or an earlier phase names, and that was deleted since, is an
// error only for a template that uses it.
func Load(ctx context.Context, c Cluster, s Scope) (*Values, error) {
	if s.Params == nil || s.Blueprint == nil {
		return nil, errorf(event.ReasonInternal, "load template values: parameters or blueprint are missing")
	}
	if s.Params.Version != ParamsVersion {
		return nil, errorf(event.ReasonInternal, "load template values: parameters are of version %d, this runner knows %d", s.Params.Version, ParamsVersion)
	}
	l, err := newLoader(c, s)
	if err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{
		l.object,
		l.secrets,
		l.profile,
		l.earlier,
		l.current,
	} {
		if err := step(ctx); err != nil {
			return nil, l.safe(err)
		}
	}
	l.values.redact = newRedactor(l.reader.known)
	return l.values, nil
}

// loader fills the values of one phase.
type loader struct {
	scope  Scope
	reader *reader
	values *Values
}

func newLoader(c Cluster, s Scope) (*loader, error) {
	action := s.Blueprint.Actions[s.Action]
	if action == nil {
		return nil, &Error{Reason: event.ReasonInvalid, Err: unknownAction(s.Blueprint, s.Action)}
	}
	v := &Values{scope: s, action: action, data: newData(s.Params), engine: newEngine(), redact: &redactor{}, field: "actions." + s.Action}
	switch s.Kind {
	case event.KindCore:
		if s.Phase < 0 || s.Phase >= len(action.Phases) {
			return nil, errorf(event.ReasonInternal, "%s: has %d phases, none with index %d", v.field, len(action.Phases), s.Phase)
		}
		v.phase, v.field = &action.Phases[s.Phase], phaseField(s.Action, s.Phase)
	case event.KindDefer:
		if action.DeferPhase == nil {
			return nil, errorf(event.ReasonInternal, "%s: has no deferPhase", v.field)
		}
		v.phase, v.field = action.DeferPhase, v.field+".deferPhase"
	case event.KindRender:
	default:
		return nil, errorf(event.ReasonInternal, "%s: unknown kind of phase %q", v.field, s.Kind)
	}
	return &loader{scope: s, reader: newReader(c), values: v}, nil
}

func phaseField(action string, i int) string { return fmt.Sprintf("actions.%s.phases[%d]", action, i) }

// newData copies what needs no reading. A template can change the maps it is
// given, so it is not given the caller's.
func newData(p *Params) *data {
	return &data{
		StatefulSet:      p.StatefulSet,
		DeploymentConfig: p.DeploymentConfig,
		Deployment:       p.Deployment,
		PVC:              p.PVC,
		Namespace:        p.TargetNamespace,
		ArtifactsIn:      p.ArtifactsIn,
		ConfigMaps:       p.ConfigMaps,
		Secrets:          map[string]corev1.Secret{},
		Time:             p.Time,
		Options:          p.Options,
		Object:           p.Object.DeepCopy(),
		Phases:           map[string]*phaseData{},
		PodOverride:      p.PodOverride.DeepCopy(),
		PodAnnotations:   p.PodAnnotations,
		PodLabels:        p.PodLabels,
	}
}

// safe takes secret values that were read so far out of an error of the reading
// itself.
func (l *loader) safe(err error) error {
	var known *Error
	if !errors.As(err, &known) {
		return err
	}
	return &Error{Reason: known.Reason, Err: errors.New(newRedactor(l.reader.known).redact(err.Error()))}
}

// tolerate remembers that something is gone, and passes every other error on.
func (l *loader) tolerate(err error, path ...string) error {
	var known *Error
	if errors.As(err, &known) && known.Reason == event.ReasonNotFound {
		l.values.gone = append(l.values.gone, gone{path: path, err: err})
		return nil
	}
	return err
}

// object reads the action's object when it is a Secret.
func (l *loader) object(ctx context.Context) error {
	ref := l.scope.Params.ObjectSecret
	if ref == nil {
		return nil
	}
	secret, err := l.reader.secret(ctx, ".Object", *ref)
	if err != nil {
		return l.tolerate(err, "Object")
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(secret)
	if err != nil {
		return errorf(event.ReasonInternal, ".Object: convert %s: %w", what("Secret", ref.Namespace, ref.Name), err)
	}
	// The API server's own form has them, the typed client's does not.
	object["apiVersion"], object["kind"] = "v1", "Secret"
	l.values.data.Object = object
	return nil
}

func (l *loader) secrets(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(l.scope.Params.Secrets)) {
		secret, err := l.reader.secret(ctx, ".Secrets."+name, l.scope.Params.Secrets[name])
		if err != nil {
			if err := l.tolerate(err, "Secrets", name); err != nil {
				return err
			}
			continue
		}
		l.values.data.Secrets[name] = *secret
	}
	return nil
}

func (l *loader) profile(ctx context.Context) error {
	if l.scope.Params.Profile == nil {
		return nil
	}
	p, err := l.reader.profile(ctx, ".Profile", l.scope.Params.Profile)
	if err != nil {
		return l.tolerate(err, "Profile")
	}
	l.values.data.Profile = p
	return nil
}

// earlier adds the phases before this one, with what they published and with
// their Secrets and ConfigMaps, as far as those still exist.
func (l *loader) earlier(ctx context.Context) error {
	for i := range l.reached() {
		phase := &l.values.action.Phases[i]
		d, err := l.objects(ctx, phaseField(l.scope.Action, i), phase, false)
		if err != nil {
			return err
		}
		d.Output = whole(l.scope.Outputs[phase.Name])
		l.values.data.Phases[phase.Name] = d
	}
	return nil
}

// reached counts the phases that templates may look back on: those before this
// one; for the deferPhase those up to the last that is known to have ended well,
// and the next, which is the one that failed.
func (l *loader) reached() int {
	phases := l.values.action.Phases
	switch l.scope.Kind {
	case event.KindCore:
		return l.scope.Phase
	case event.KindRender:
		return len(phases)
	case event.KindDefer:
	}
	for i := range slices.Backward(phases) {
		if _, ok := l.scope.Outputs[phases[i].Name]; ok {
			return min(i+2, len(phases))
		}
	}
	return min(1, len(phases))
}

// current adds the phase itself.
func (l *loader) current(ctx context.Context) error {
	d := l.values.data
	switch l.scope.Kind {
	case event.KindCore:
		own, err := l.objects(ctx, l.values.field, l.values.phase, true)
		if err != nil {
			return err
		}
		d.Phases[l.values.phase.Name], d.CurrentPhase = own, own
	case event.KindDefer:
		own, err := l.objects(ctx, l.values.field, l.values.phase, true)
		if err != nil {
			return err
		}
		d.DeferPhase = own
	case event.KindRender:
		if l.values.action.DeferPhase != nil {
			d.DeferPhase = &phaseData{Secrets: map[string]corev1.Secret{}, ConfigMaps: map[string]corev1.ConfigMap{}}
		}
	}
	if d.DeferPhase != nil && l.scope.DeferOutput != nil {
		d.DeferPhase.Output = whole(l.scope.DeferOutput)
	}
	return nil
}

// objects reads the Secrets and ConfigMaps that a phase names. For a phase that
// has ended (strict is false) what cannot be found, or not be named any more, is
// left out.
func (l *loader) objects(ctx context.Context, field string, phase *kanister.BlueprintPhase, strict bool) (*phaseData, error) {
	d := &phaseData{Secrets: map[string]corev1.Secret{}, ConfigMaps: map[string]corev1.ConfigMap{}}
	// What is read on the way is a secret already when the next name is rendered.
	l.values.redact = newRedactor(l.reader.known)
	for _, name := range slices.Sorted(maps.Keys(phase.ObjectRefs)) {
		place := field + ".objects." + name
		err := l.addObject(ctx, place, name, phase.ObjectRefs[name], d)
		if err == nil {
			continue
		}
		var known *Error
		if strict || !errors.As(err, &known) {
			return nil, err
		}
		if known.Reason != event.ReasonNotFound && known.Reason != event.ReasonRender {
			return nil, err
		}
		for _, list := range []string{"Secrets", "ConfigMaps"} {
			l.values.gone = append(l.values.gone, gone{path: []string{"Phases", phase.Name, list, name}, err: err})
		}
	}
	return d, nil
}

func (l *loader) addObject(ctx context.Context, place, name string, ref kanister.ObjectReference, d *phaseData) error {
	if !isObjectKind(ref.Kind) {
		return nil // Kanister passes it over; Check warns
	}
	objectName, err := l.values.render(place+".name", ref.Name)
	if err != nil {
		return err
	}
	namespace, err := l.values.render(place+".namespace", ref.Namespace)
	if err != nil {
		return err
	}
	if objectName == "" {
		return errorf(event.ReasonInvalid, "%s.name: is empty; name the %s", place, ref.Kind)
	}
	namespace = orElse(namespace, l.scope.Params.Namespace)
	if strings.EqualFold(ref.Kind, "configmap") {
		cm, err := l.reader.configMap(ctx, place, namespace, objectName)
		if err != nil {
			return err
		}
		d.ConfigMaps[name] = *cm
		return nil
	}
	secret, err := l.reader.secret(ctx, place, SecretRef{Namespace: namespace, Name: objectName})
	if err != nil {
		return err
	}
	d.Secrets[name] = *secret
	return nil
}
