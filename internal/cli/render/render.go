package render

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/kubefile"
)

// renderer renders the actions of one ActionSet.
type renderer struct {
	options   *options
	namespace string
	store     *kubefile.Store
	clients   *kube.Clients
	// made makes up what no file has; nil when there is a cluster.
	made *maker
	// outputs by phase, artifacts by name: what the flags say.
	outputs, artifacts map[string]map[string]string
}

// part is one phase, the deferPhase or the artifacts.
type part struct {
	scope blueprint.Scope
	// index of the action.
	index int
	phase *kanister.BlueprintPhase
	// title says what it is, for people.
	title string
}

// action renders one action and returns how many parts of it could not be.
func (r *renderer) action(ctx context.Context, as *kanister.ActionSet, index int) (failed int) {
	spec := as.Spec.Actions[index]
	w := &writer{app: r.options.app}
	bp, params, err := r.resolve(ctx, as, &spec)
	w.action(as, &spec, bp)
	if err != nil {
		w.failed(err)
		return 1
	}
	defined := bp.Actions[spec.Name]
	known := r.known(as, index, defined)
	for i := range defined.Phases {
		phase := &defined.Phases[i]
		failed += r.part(ctx, w, as, part{
			index: index,
			scope: blueprint.Scope{Params: params, Blueprint: bp, Action: spec.Name, Kind: event.KindCore, Phase: i, Outputs: before(known, defined.Phases[:i])},
			phase: phase, title: fmt.Sprintf("phase %d of %d", i+1, len(defined.Phases)),
		})
	}
	if defined.DeferPhase != nil {
		failed += r.part(ctx, w, as, part{
			index: index,
			scope: blueprint.Scope{Params: params, Blueprint: bp, Action: spec.Name, Kind: event.KindDefer, Outputs: before(known, defined.Phases)},
			phase: defined.DeferPhase, title: "deferPhase, which runs last, however the phases end",
		})
	}
	if len(defined.OutputArtifacts) > 0 {
		failed += r.artifactsOf(ctx, w, blueprint.Scope{
			Params: params, Blueprint: bp, Action: spec.Name, Kind: event.KindRender,
			Outputs: before(known, defined.Phases), DeferOutput: known[deferName],
		})
	}
	if r.made != nil && len(r.made.made) > 0 {
		w.comment("made up, since no file has it: " + strings.Join(r.made.made, ", "))
	}
	return failed
}

// resolve finds the blueprint and the template parameters.
func (r *renderer) resolve(ctx context.Context, as *kanister.ActionSet, spec *kanister.ActionSpec) (*kanister.Blueprint, *blueprint.Params, error) {
	cluster := blueprint.Cluster{Clients: r.clients}
	namespace := as.Namespace
	if namespace == "" {
		namespace = r.namespace
	}
	bp, err := r.blueprint(ctx, cluster, spec.Blueprint, namespace)
	if err != nil {
		return nil, nil, err
	}
	defined := bp.Actions[spec.Name]
	if defined == nil {
		return bp, nil, fmt.Errorf("blueprint %s has no action %q; it has: %s", bp.Name, spec.Name, strings.Join(slices.Sorted(maps.Keys(bp.Actions)), ", "))
	}
	if r.made != nil {
		r.made.complete(spec, namespace, defined)
		if spec.Profile == nil && storesData(defined) {
			spec.Profile = r.made.profile(namespace)
		}
		if err := r.workload(ctx, cluster, spec, namespace); err != nil {
			return bp, nil, err
		}
	}
	params, err := blueprint.Resolve(ctx, cluster, blueprint.ResolveInput{Spec: *spec, Namespace: namespace, Now: r.options.app.Clock.Now()})
	return bp, params, err
}

// blueprint is the one of the files with that name, in whatever namespace they put it,
// or the one that the dispatcher would find.
func (r *renderer) blueprint(ctx context.Context, cluster blueprint.Cluster, name, namespace string) (*kanister.Blueprint, error) {
	for _, object := range r.store.All(kanister.GroupVersion.WithKind("Blueprint")) {
		if object.GetName() != name {
			continue
		}
		bp := &kanister.Blueprint{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, bp); err != nil {
			return nil, fmt.Errorf("blueprint %s: %w", name, err)
		}
		return bp, nil
	}
	return blueprint.Find(ctx, cluster, name, namespace, r.options.create.LibraryNamespace)
}

// workload makes sure that the object and its pods are there.
func (r *renderer) workload(ctx context.Context, cluster blueprint.Cluster, spec *kanister.ActionSpec, namespace string) error {
	r.knowKind(spec.Object)
	// The object is read once, so that it is made up before its pods are.
	only := kanister.ActionSpec{Name: spec.Name, Blueprint: spec.Blueprint, Object: spec.Object}
	if _, err := blueprint.Resolve(ctx, cluster, blueprint.ResolveInput{Spec: only, Namespace: namespace, Now: r.options.app.Clock.Now()}); err != nil {
		return err
	}
	return r.made.workloadPods()
}

// storesData reports whether a function of the action uses the profile by itself.
func storesData(action *kanister.BlueprintAction) (uses bool) {
	each(action, func(_ string, phase *kanister.BlueprintPhase) {
		s, _ := blueprint.Lookup(phase.Func)
		uses = uses || s.Takes("backupArtifactPrefix") || s.Takes("dataArtifactPrefix") || s.Name == "LocationDelete"
	})
	return uses
}

// deferName is under which name --output and the known outputs have the deferPhase.
const deferName = "deferPhase"

// known are the outputs of all phases: what the flags say, what the status says, what
// the function always publishes, and what templates name.
func (r *renderer) known(as *kanister.ActionSet, index int, action *kanister.BlueprintAction) map[string]map[string]any {
	all := map[string]map[string]any{}
	put := func(phase, key string, value any) {
		if all[phase] == nil {
			all[phase] = map[string]any{}
		}
		all[phase][key] = value
	}
	place := func(phase, key string) { put(phase, key, placeholder(phase, key)) }
	each(action, func(name string, phase *kanister.BlueprintPhase) {
		if s, ok := blueprint.Lookup(phase.Func); ok {
			for _, output := range s.Outputs {
				place(name, output.Name)
			}
		}
	})
	for _, path := range blueprint.Names(action) {
		switch {
		case len(path) > 3 && path[0] == "Phases" && path[2] == "Output":
			place(path[1], path[3])
		case len(path) > 2 && path[0] == "DeferPhase" && path[1] == "Output":
			place(deferName, path[2])
		}
	}
	if as.Status != nil && index < len(as.Status.Actions) {
		status := as.Status.Actions[index]
		for i := range status.Phases {
			for key, value := range status.Phases[i].Output {
				put(status.Phases[i].Name, key, value)
			}
		}
	}
	for phase, values := range r.outputs {
		for key, value := range values {
			put(phase, key, value)
		}
	}
	return all
}

func placeholder(phase, key string) string { return "<output " + phase + "." + key + ">" }

// each visits the phases, the deferPhase under its own name.
func each(action *kanister.BlueprintAction, visit func(name string, phase *kanister.BlueprintPhase)) {
	for i := range action.Phases {
		visit(action.Phases[i].Name, &action.Phases[i])
	}
	if action.DeferPhase != nil {
		visit(deferName, action.DeferPhase)
	}
}

// before are the outputs of these phases.
func before(known map[string]map[string]any, phases []kanister.BlueprintPhase) map[string]map[string]any {
	out := map[string]map[string]any{}
	for i := range phases {
		out[phases[i].Name] = known[phases[i].Name]
	}
	return out
}

// part renders one phase.
func (r *renderer) part(ctx context.Context, w *writer, as *kanister.ActionSet, p part) int {
	w.part(p)
	values, err := blueprint.Load(ctx, blueprint.Cluster{Clients: r.clients}, p.scope)
	if err != nil {
		w.failed(err)
		return 1
	}
	args, err := values.Args()
	if err != nil {
		w.failed(hint(err))
		return 1
	}
	shown, err := asCalled(values, p.phase.Func, args)
	if err != nil {
		w.failed(hint(err))
		return 1
	}
	w.values("args", clean(values, shown))
	objects, err := r.preview(ctx, as, p, values, args)
	var unsure *unsureError
	switch {
	case errors.As(err, &unsure):
		w.comment(unsure.Error())
	case err != nil:
		w.failed(hint(err))
		return 1
	}
	for _, object := range objects {
		w.values("pod", clean(values, object))
	}
	return 0
}

// asCalled is args with what the function itself renders of what it gets as written:
// all but the conditions of Wait, which are templates over what is not known yet.
func asCalled(values *blueprint.Values, name string, args map[string]any) (map[string]any, error) {
	signature, _ := blueprint.Lookup(name)
	shown := maps.Clone(args)
	for key, arg := range args {
		if !signature.Verbatim(key) {
			continue
		}
		lists, ok := arg.(map[string]any)
		if !ok {
			rendered, err := values.RenderAny(arg)
			if err != nil {
				return nil, err
			}
			shown[key] = rendered
			continue
		}
		for _, list := range lists {
			conditions, _ := list.([]any)
			for _, item := range conditions {
				condition, _ := item.(map[string]any)
				reference, ok := condition["objectReference"]
				if !ok {
					continue
				}
				rendered, err := values.RenderAny(reference)
				if err != nil {
					return nil, err
				}
				condition["objectReference"] = rendered // Args made a copy
			}
		}
	}
	return shown, nil
}

func (r *renderer) artifactsOf(ctx context.Context, w *writer, scope blueprint.Scope) int {
	w.line("outputArtifacts", "")
	values, err := blueprint.Load(ctx, blueprint.Cluster{Clients: r.clients}, scope)
	if err != nil {
		w.failed(err)
		return 1
	}
	artifacts, err := values.Artifacts(nil)
	if err != nil {
		w.failed(hint(err))
		return 1
	}
	w.values("artifacts", clean(values, artifacts))
	return 0
}

// hint says what can be given when a template names what is not known.
func hint(err error) error {
	if text := err.Error(); strings.Contains(text, ".Output") {
		return fmt.Errorf("%w (--output phase.key=value says what an earlier phase published)", err)
	}
	return err
}
