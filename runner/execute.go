package runner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/failpoint"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/internal/telemetry"
	"github.com/salvor-io/salvor/runner/function"
)

// endingKind is how a call ended.
type endingKind int

const (
	// endingLeft: not ended; somebody else goes on.
	endingLeft endingKind = iota
	endingSucceeded
	endingFailed
	endingCancelled
	endingTimedOut
)

// ending is what is known after a call.
type ending struct {
	kind             endingKind
	output           map[string]any
	artifacts        map[string]kanister.Artifact
	artifactsFailure *event.Failure
	failure          *event.Failure
}

// perform does the phase. ctx ends with the claim, on cancel and on shutdown.
func (t *task) perform(ctx context.Context, run *event.Run) ending {
	action, phase := find(run, t.job.Key)
	t.log = logLabels(t.log, run.Labels)
	var values *blueprint.Values
	output, err := t.guard(func() (output map[string]any, err error) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if values, err = t.load(ctx, action); err != nil {
			return nil, err
		}
		if t.job.Key.Kind == event.KindRender {
			return nil, nil
		}
		return t.call(ctx, run, phase, values)
	})
	redact := redactor(values)
	if err == nil {
		return t.succeeded(values, output, redact)
	}
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return ending{kind: endingFailed, failure: failureOf(err, redact)}
	case errors.Is(cause, errCancelled):
		return ending{kind: endingCancelled, failure: failureOf(cause, nil)}
	case t.timedOut != nil && errors.Is(cause, t.timedOut):
		return ending{kind: endingTimedOut, failure: t.overdue(err, redact)}
	case t.active.once:
		return ending{kind: endingFailed, failure: failureOf(interrupted(phase.Func, "the runner was shut down while it ran"), nil)}
	default:
		return ending{kind: endingLeft}
	}
}

// call calls the function of the phase.
func (t *task) call(ctx context.Context, run *event.Run, phase *event.Phase, values *blueprint.Values) (map[string]any, error) {
	args, err := values.Args()
	if err != nil {
		return nil, err
	}
	signature, known := blueprint.Lookup(phase.Func)
	factory := t.runner.functions[phase.Func]
	if !known || factory == nil {
		return nil, function.Errorf(event.ReasonInvalid, "function %q is not one that this runner has; check its spelling", phase.Func)
	}
	if err := t.claim.held(); err != nil {
		return nil, err
	}
	if signature.Resume == blueprint.Once {
		if err := t.markStarted(ctx, phase.Func); err != nil {
			return nil, err
		}
	}
	if version := run.Actions[t.job.Key.Action].Spec.PreferredVersion; version != "" {
		if other, err := blueprint.Preferred(version); err == nil && other { // what is none has failed the action
			t.log.Info().Str("preferredVersion", version).Msg(phase.Func + " has no such version; it runs as " + blueprint.FunctionVersion)
		}
	}
	progress := t.startProgress(ctx)
	defer progress.end()
	r, action := t.runner, &run.Actions[t.job.Key.Action]
	if signature.Resume == blueprint.Adoptable && t.deliveries() > 1 {
		t.marks.add("")
	}
	return factory().Execute(ctx, &function.Call{
		Key: t.job.Key, ActionSet: run.Name, Action: action.Spec.Name, Phase: phase.Name,
		Labels: kept(run.Labels), Traceparent: telemetry.ForAttempt(run.Traceparent, t.job.Key), Args: args, Values: values, Kube: r.clients, Pods: r.pods,
		OwnNamespace: r.options.Pods.OwnNamespace, ToolsImage: r.options.ToolsImage, Clock: r.clock, Log: t.log, Progress: progress.set,
		Held: t.claim.held, Marks: podMarks{task: t}, Recovered: action.Recovered != nil,
		RDSEndpoint: r.options.RDSEndpoint, OwnIdentity: r.options.OwnIdentity,
	})
}

// markStarted records that a function which may run only once is about to.
func (t *task) markStarted(ctx context.Context, name string) error {
	if !t.runner.active.startOnce(t.active) {
		return errShutdown
	}
	by := rand.Text()
	err := t.insistUnless(ctx, "mark the phase as started", stream.ErrExists, func(ctx context.Context) error {
		return t.leases.MarkStarted(ctx, t.job.Key, by)
	})
	failpoint.Here(failpoint.RunnerAfterStarted)
	if errors.Is(err, stream.ErrExists) {
		return interrupted(name, "an earlier runner was lost while it ran")
	}
	return err
}

func interrupted(name, how string) error {
	return function.Errorf(event.ReasonInterrupted,
		"%s was interrupted: %s, and nobody can know how far it got. It is not run a second time by itself, because it may not be safe to. "+
			"Look at what it works on, then retry the run (salvor retry) or create the ActionSet anew; "+
			"the annotation salvor.io/on-interrupt: retry is for phases that may be repeated", name, how)
}

// succeeded renders the artifacts, if they are asked for.
func (t *task) succeeded(values *blueprint.Values, output map[string]any, redact func(string) string) ending {
	if key := t.tells(values, output); key != "" {
		return ending{kind: endingFailed, failure: &event.Failure{Reason: event.ReasonOutput, Message: fmt.Sprintf(
			"output %q holds a value of a Secret, and outputs are kept in the ActionSet's status for everybody to read; "+
				"let later phases read the Secret through their objects, or start the runner with --allow-secret-outputs", key)}}
	}
	e := ending{kind: endingSucceeded, output: output}
	if !t.job.RenderArtifacts && t.job.Key.Kind != event.KindRender {
		return e
	}
	_, err := t.guard(func() (_ map[string]any, err error) {
		e.artifacts, err = values.Artifacts(output)
		if err == nil {
			err = checkArtifacts(e.artifacts)
		}
		return nil, err
	})
	if err != nil {
		e.artifacts, e.artifactsFailure = nil, failureOf(err, redact)
	}
	return e
}

// tells returns the key of an output that gives a secret value away, if that is
// not allowed.
func (t *task) tells(values *blueprint.Values, output map[string]any) string {
	if t.runner.options.AllowSecretOutputs || values == nil {
		return ""
	}
	return values.Tells(output)
}

// guard turns a panic into the failure of this one phase. The stack goes to the
// log only, and what was panicked with to neither: it may be a secret value.
func (t *task) guard(f func() (map[string]any, error)) (output map[string]any, err error) {
	defer func() {
		if p := recover(); p != nil {
			t.log.Error().Str("type", fmt.Sprintf("%T", p)).Bytes("stack", debug.Stack()).Msg("panic in a phase")
			output, err = nil, function.Errorf(event.ReasonInternal,
				"the runner met a defect of its own while it did this phase (panic); the stack is in the log of runner %s: please report it", t.runner.options.Name)
		}
	}()
	return f()
}

func redactor(values *blueprint.Values) func(string) string {
	if values == nil {
		return nil
	}
	return values.Redact
}
