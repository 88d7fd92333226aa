package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/dispatcher/decide"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/stream"
)

// Planner finds out what an action is going to do.
type Planner interface {
	// Plan reads the action's blueprint and resolves its template parameters.
	// A *blueprint.Error means that the action can never start; any other error,
	// that it may be tried again.
	Plan(ctx context.Context, in PlanInput) (*Planned, error)
}

// PlanInput names an action. Run must not be changed.
type PlanInput struct {
	Run    *event.Run
	Action int
}

func (in PlanInput) spec() *kanister.ActionSpec { return &in.Run.Actions[in.Action].Spec }

// Planned is a blueprint and the parameters to run an action of it with.
type Planned struct {
	Blueprint *kanister.Blueprint
	// Params are encoded as JSON and kept with the run: no secret values.
	Params any
}

// clusterPlanner reads through the API server.
type clusterPlanner struct {
	cluster blueprint.Cluster
	clock   clock.PassiveClock
	library string
}

func newClusterPlanner(c *kube.Clients, cl clock.PassiveClock, library string) *clusterPlanner {
	return &clusterPlanner{cluster: blueprint.Cluster{Clients: c}, clock: cl, library: library}
}

// Plan implements Planner.
func (p *clusterPlanner) Plan(ctx context.Context, in PlanInput) (*Planned, error) {
	spec := in.spec()
	if spec.Blueprint == "" {
		return nil, &blueprint.Error{Reason: event.ReasonInvalid, Err: fmt.Errorf(
			"spec.actions[%d].blueprint is not set; name a Blueprint of namespace %s", in.Action, in.Run.Namespace)}
	}
	bp, err := blueprint.Find(ctx, p.cluster, spec.Blueprint, in.Run.Namespace, p.library)
	if err != nil {
		return nil, fmt.Errorf("blueprint %q: %w", spec.Blueprint, err)
	}
	if problems := blueprint.Check(bp, spec.Name); len(problems) > 0 {
		return nil, &blueprint.Error{Reason: event.ReasonInvalid, Err: fmt.Errorf("blueprint %q: %s", spec.Blueprint, joined(problems))}
	}
	params, err := blueprint.Resolve(ctx, p.cluster, blueprint.ResolveInput{
		Spec: *spec, Namespace: in.Run.Namespace, Now: p.clock.Now(), Field: fmt.Sprintf("spec.actions[%d]", in.Action),
	})
	if err != nil {
		return nil, fmt.Errorf("template parameters: %w", err)
	}
	return &Planned{Blueprint: bp, Params: params}, nil
}

func joined(problems []blueprint.Problem) string {
	texts := make([]string, 0, len(problems))
	for _, p := range problems {
		texts = append(texts, p.Error())
	}
	return strings.Join(texts, "; ")
}

// names lists the blueprint's actions for a message.
func names(bp *kanister.Blueprint) string {
	if len(bp.Actions) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(bp.Actions)), ", ")
}

// makePlan pins what the planner found by content.
func makePlan(ctx context.Context, planner Planner, blobs *stream.Blobs, in PlanInput) outcome {
	planned, err := planner.Plan(ctx, in)
	if err != nil {
		var final *blueprint.Error
		if errors.As(err, &final) {
			return outcome{failure: &event.Failure{Reason: final.Reason, Message: err.Error()}}
		}
		return outcome{err: err}
	}
	action := planned.Blueprint.Actions[in.spec().Name]
	if action == nil {
		return outcome{failure: &event.Failure{Reason: event.ReasonInvalid, Message: fmt.Sprintf(
			"blueprint %q has no action %q; it has: %s", planned.Blueprint.Name, in.spec().Name, names(planned.Blueprint))}}
	}
	content, err := blobs.Put(ctx, pinned(planned.Blueprint))
	if err != nil {
		return outcome{err: fmt.Errorf("pin the blueprint: %w", err)}
	}
	params, err := blobs.Put(ctx, planned.Params)
	if err != nil {
		return outcome{err: fmt.Errorf("keep the template parameters: %w", err)}
	}
	plan := &decide.Plan{
		Blueprint: event.BlueprintRef{Namespace: planned.Blueprint.Namespace, Name: planned.Blueprint.Name, Content: content},
		Params:    params,
		Artifacts: len(action.OutputArtifacts) > 0,
	}
	for i := range action.Phases {
		plan.Phases = append(plan.Phases, decide.PhasePlan{Name: action.Phases[i].Name, Func: action.Phases[i].Func})
	}
	if d := action.DeferPhase; d != nil {
		plan.Defer = &decide.PhasePlan{Name: d.Name, Func: d.Func}
	}
	return outcome{plan: plan}
}

// pinned is the blueprint without what changes when its content does not.
func pinned(bp *kanister.Blueprint) *kanister.Blueprint {
	bp = bp.DeepCopy()
	bp.ManagedFields = nil
	bp.Annotations = nil
	bp.ResourceVersion = ""
	bp.Generation = 0
	return bp
}
