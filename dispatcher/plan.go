package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/dispatcher/decide"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/policy"
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
	// Pods of an action that is recovered: the highest attempt that has one, by
	// event.Key.PhaseLabel.
	Pods map[string]int
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
		return nil, err
	}
	if problems := blueprint.Errors(blueprint.Check(bp, spec.Name)); len(problems) > 0 {
		return nil, &blueprint.Error{Reason: event.ReasonInvalid, Err: fmt.Errorf("blueprint %q: %s", spec.Blueprint, joined(problems))}
	}
	params, err := blueprint.Resolve(ctx, p.cluster, blueprint.ResolveInput{
		Spec: *spec, Namespace: in.Run.Namespace, Now: p.clock.Now(), Field: fmt.Sprintf("spec.actions[%d]", in.Action),
	})
	if err != nil {
		return nil, err
	}
	planned := &Planned{Blueprint: bp, Params: params}
	if in.Run.Actions[in.Action].Recovered != nil {
		if planned.Pods, err = p.pods(ctx, in); err != nil {
			return nil, err
		}
	}
	return planned, nil
}

// pods looks for what is there of a run whose record was lost: its attempts count
// on from those that have a pod.
func (p *clusterPlanner) pods(ctx context.Context, in PlanInput) (map[string]int, error) {
	list, err := p.cluster.Clients.Kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{event.LabelRun: in.Run.UID, event.LabelAction: strconv.Itoa(in.Action)}.String(),
	})
	if err != nil {
		return nil, fmt.Errorf("look for the pods of a run whose record was lost: %w", err)
	}
	attempts := map[string]int{}
	for i := range list.Items {
		l := list.Items[i].Labels
		if n, err := strconv.Atoi(l[event.LabelAttempt]); err == nil {
			attempts[l[event.LabelPhase]] = max(attempts[l[event.LabelPhase]], n)
		}
	}
	return attempts, nil
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
		if final, ok := errors.AsType[*blueprint.Error](err); ok {
			return outcome{failure: &event.Failure{Reason: final.Reason, Message: err.Error()}}
		}
		return outcome{err: err}
	}
	action := planned.Blueprint.Actions[in.spec().Name]
	if action == nil {
		return outcome{failure: &event.Failure{Reason: event.ReasonInvalid, Message: fmt.Sprintf(
			"blueprint %q has no action %q; it has: %s", planned.Blueprint.Name, in.spec().Name, names(planned.Blueprint))}}
	}
	// Pinning takes the annotations away: they are read now or never.
	limits, errs := policy.For(policy.Input{
		ActionSet: in.Run.Annotations, Blueprint: planned.Blueprint.Annotations,
		Actions: planned.Blueprint.Actions, Asked: asked(in.Run), Action: in.spec().Name,
	})
	if len(errs) > 0 {
		return outcome{failure: &event.Failure{Reason: event.ReasonInvalid, Message: errors.Join(errs...).Error()}}
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
		Timeout:   limits.Timeout,
	}
	for i := range action.Phases {
		p := phasePlan(&action.Phases[i], limits.Phases[i])
		p.Attempt = planned.Pods[event.Key{Kind: event.KindCore, Phase: i}.PhaseLabel()]
		plan.Phases = append(plan.Phases, p)
	}
	if action.DeferPhase != nil {
		p := phasePlan(action.DeferPhase, limits.Defer)
		p.Attempt = planned.Pods[event.Key{Kind: event.KindDefer}.PhaseLabel()]
		plan.Defer = &p
	}
	return outcome{plan: plan}
}

func phasePlan(phase *kanister.BlueprintPhase, limits *event.Policy) decide.PhasePlan {
	signature, _ := blueprint.Lookup(phase.Func)
	return decide.PhasePlan{Name: phase.Name, Func: phase.Func, Policy: limits, Once: signature.Resume == blueprint.Once}
}

// asked are the names of the actions that the ActionSet runs.
func asked(run *event.Run) []string {
	var names []string
	for i := range run.Actions {
		names = append(names, run.Actions[i].Spec.Name)
	}
	return names
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
