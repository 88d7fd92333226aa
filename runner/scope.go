package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/internal/again"
)

// loadLimit is how long the API server may not answer before a phase fails
// because of it.
const loadLimit = 3 * time.Minute

// load reads what the templates of the phase need.
func (t *task) load(ctx context.Context, action *event.Action) (*blueprint.Values, error) {
	scope, err := t.scope(ctx, action)
	if err != nil {
		return nil, err
	}
	var values *blueprint.Values
	err = again.Do(ctx, again.Policy{
		Clock: t.runner.clock, Limit: loadLimit,
		If: func(err error) bool { return !errors.As(err, new(*blueprint.Error)) },
		Failed: func(err error) {
			t.log.Warn().Err(err).Msg("cannot read what the phase's templates need; trying again")
		},
	}, func(ctx context.Context) (err error) {
		values, err = blueprint.Load(ctx, blueprint.Cluster{Clients: t.runner.clients}, scope)
		return err //nolint:wrapcheck // has its reason
	})
	return values, err
}

// scope reads the pinned blueprint, the parameters and the outputs so far.
func (t *task) scope(ctx context.Context, action *event.Action) (blueprint.Scope, error) {
	scope := blueprint.Scope{
		Action: action.Spec.Name, Kind: t.job.Key.Kind, Phase: t.job.Key.Phase,
		Outputs: map[string]map[string]any{},
	}
	if action.Blueprint == nil || action.Params == nil {
		return scope, function.Errorf(event.ReasonInternal, "the run has no blueprint or no parameters for action %q; this is a defect of the dispatcher", action.Spec.Name)
	}
	var err error
	if scope.Blueprint, err = t.blueprint(ctx, action.Blueprint.Content); err != nil {
		return scope, err
	}
	scope.Params = &blueprint.Params{}
	if err := t.content(ctx, "the template parameters", *action.Params, scope.Params); err != nil {
		return scope, err
	}
	for i := range action.Phases {
		phase := &action.Phases[i]
		if phase.State != event.StateComplete {
			continue
		}
		if scope.Outputs[phase.Name], err = t.output(ctx, phase); err != nil {
			return scope, err
		}
	}
	if d := action.DeferPhase; d != nil && d.State == event.StateComplete {
		scope.DeferOutput, err = t.output(ctx, d)
	}
	return scope, err
}

func (t *task) output(ctx context.Context, phase *event.Phase) (map[string]any, error) {
	if phase.Output == nil {
		return nil, nil
	}
	var output map[string]any
	err := t.content(ctx, fmt.Sprintf("the output of phase %q", phase.Name), *phase.Output, &output)
	return output, err
}

// blueprint returns the content by digest. It is shared: nobody changes it.
func (t *task) blueprint(ctx context.Context, p event.Payload) (*kanister.Blueprint, error) {
	if cached, ok := t.runner.blueprints.Get(p.Digest); ok {
		if bp, ok := cached.(*kanister.Blueprint); ok {
			return bp, nil
		}
	}
	bp := &kanister.Blueprint{}
	if err := t.content(ctx, "the blueprint", p, bp); err != nil {
		return nil, err
	}
	t.runner.blueprints.Add(p.Digest, bp)
	return bp, nil
}

// content reads a payload. One that is gone or damaged fails the phase.
func (t *task) content(ctx context.Context, what string, p event.Payload, into any) error {
	if p.Inline != nil {
		if err := t.runner.blobs.Get(ctx, p, into); err != nil {
			return function.Errorf(event.ReasonInternal, "%s in the run cannot be read: %w", what, err)
		}
		return nil
	}
	err := again.Do(ctx, again.Policy{
		Clock: t.runner.clock, Limit: loadLimit,
		If:     func(err error) bool { return !errors.Is(err, stream.ErrNotFound) },
		Failed: func(err error) { t.log.Warn().Err(err).Msg("cannot read " + what + "; trying again") },
	}, func(ctx context.Context) error { return t.runner.blobs.Get(ctx, p, into) })
	if err != nil && ctx.Err() == nil {
		return function.Errorf(event.ReasonInternal, "%s cannot be read from the object store: %w", what, err)
	}
	return err
}
