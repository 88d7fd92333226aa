package wait

import (
	"context"
	"fmt"
	"time"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
	"github.com/salvor-io/salvor/runner/function/object"
)

// Names of the functions.
const (
	Name   = "Wait"
	NameV2 = "WaitV2"
)

// New returns a Wait for one call.
func New() function.Function { return &waitFunction{compile: compileSprig} }

// NewV2 returns a WaitV2 for one call.
func NewV2() function.Function { return &waitFunction{compile: compileKubectl} }

type waitFunction struct {
	compile func(string) (predicate, error)
}

// predicate asks a condition of an object.
type predicate func(object map[string]any) (bool, error)

type arguments struct {
	Timeout    string `mapstructure:"timeout" arg:"required"`
	Conditions struct {
		AnyOf []conditionArgument `mapstructure:"anyOf"`
		AllOf []conditionArgument `mapstructure:"allOf"`
	} `mapstructure:"conditions" arg:"required"`
}

type conditionArgument struct {
	Condition string           `mapstructure:"condition"`
	Reference object.Reference `mapstructure:"objectReference"`
}

// Execute implements function.Function.
func (f *waitFunction) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args arguments
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	timeout, err := parseTimeout(call, args.Timeout)
	if err != nil {
		return nil, err
	}
	w := newWaiter(call)
	if w.anyOf, err = f.conditions(w, "anyOf", args.Conditions.AnyOf); err != nil {
		return nil, err
	}
	if w.allOf, err = f.conditions(w, "allOf", args.Conditions.AllOf); err != nil {
		return nil, err
	}
	if len(w.anyOf)+len(w.allOf) == 0 {
		return nil, function.Errorf(event.ReasonInvalid, `argument "conditions" has no condition: put some under anyOf or allOf`)
	}
	return nil, w.run(ctx, timeout)
}

// parseTimeout renders the timeout, which the signature of WaitV2 hands over as
// written, and reads it.
func parseTimeout(call *function.Call, text string) (time.Duration, error) {
	rendered, err := call.Values.Render(text)
	if err != nil {
		return 0, fmt.Errorf("argument \"timeout\": %w", err)
	}
	timeout, err := time.ParseDuration(rendered)
	if err != nil || timeout <= 0 {
		return 0, function.Errorf(event.ReasonInvalid, `argument "timeout" must be a duration of more than 0 with a unit, for example 90s or 1h30m`)
	}
	return timeout, nil
}

// conditions compiles conditions and registers the objects they are about.
func (f *waitFunction) conditions(w *waiter, list string, args []conditionArgument) ([]*condition, error) {
	var all []*condition
	for i, a := range args {
		where := fmt.Sprintf("conditions.%s[%d]", list, i)
		if a.Condition == "" {
			return nil, function.Errorf(event.ReasonInvalid, "argument \"%s.condition\" is missing: it must be a template that gives true", where)
		}
		holds, err := f.compile(a.Condition)
		if err != nil {
			return nil, function.Errorf(event.ReasonInvalid, "argument \"%s.condition\": %w", where, err)
		}
		ref, err := render(w.call, a.Reference)
		if err != nil {
			return nil, fmt.Errorf("argument \"%s.objectReference\": %w", where, err)
		}
		if ref.Name == "" || ref.Resource == "" && ref.Kind == "" {
			return nil, function.Errorf(event.ReasonInvalid, "argument \"%s.objectReference\" must have name and resource", where)
		}
		all = append(all, &condition{where: where, holds: holds, of: w.track(ref)})
	}
	return all, nil
}

func render(call *function.Call, ref object.Reference) (object.Reference, error) {
	for _, field := range []*string{&ref.APIVersion, &ref.Group, &ref.Resource, &ref.Kind, &ref.Name, &ref.Namespace} {
		rendered, err := call.Values.Render(*field)
		if err != nil {
			return ref, err
		}
		*field = rendered
	}
	return ref, nil
}
