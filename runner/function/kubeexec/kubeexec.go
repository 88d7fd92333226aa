package kubeexec

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
	"github.com/salvor-io/salvor/runner/function/podexec"
)

// Names of the functions.
const (
	Name    = "KubeExec"
	NameAll = "KubeExecAll"
)

// New returns a KubeExec for one call.
func New() function.Function { return kubeExec{} }

// NewAll returns a KubeExecAll for one call.
func NewAll() function.Function { return kubeExecAll{} }

type kubeExec struct{}

// Execute implements function.Function.
func (kubeExec) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		Namespace string   `mapstructure:"namespace" arg:"required"`
		Pod       string   `mapstructure:"pod" arg:"required"`
		Container string   `mapstructure:"container"`
		Command   []string `mapstructure:"command" arg:"required"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	err := notEmpty(map[string]bool{"namespace": args.Namespace == "", "pod": args.Pod == "", "command": len(args.Command) == 0})
	if err != nil {
		return nil, err
	}
	return podexec.Run(ctx, call, podexec.Target{Namespace: args.Namespace, Pod: args.Pod, Container: args.Container}, podexec.Command{Args: args.Command})
}

type kubeExecAll struct{}

// Execute implements function.Function. The command runs everywhere at once, and
// a failure in one container does not stop the others.
func (kubeExecAll) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		Namespace  string   `mapstructure:"namespace" arg:"required"`
		Pods       []string `mapstructure:"pods" arg:"required"`
		Containers []string `mapstructure:"containers" arg:"required"`
		Command    []string `mapstructure:"command" arg:"required"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	pods, containers := words(args.Pods), words(args.Containers)
	err := notEmpty(map[string]bool{
		"namespace": args.Namespace == "", "pods": len(pods) == 0, "containers": len(containers) == 0, "command": len(args.Command) == 0,
	})
	if err != nil {
		return nil, err
	}
	var targets []podexec.Target
	for _, pod := range pods {
		for _, container := range containers {
			targets = append(targets, podexec.Target{Namespace: args.Namespace, Pod: pod, Container: container})
		}
	}
	return runAll(ctx, call, targets, podexec.Command{Args: args.Command})
}

// runAll merges the outputs in the order of targets; the last of a key wins.
func runAll(ctx context.Context, call *function.Call, targets []podexec.Target, command podexec.Command) (map[string]any, error) {
	outputs := make([]map[string]any, len(targets))
	failures := make([]error, len(targets))
	var all sync.WaitGroup
	for i, t := range targets {
		all.Go(func() { outputs[i], failures[i] = podexec.Run(ctx, call, t, command) })
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return nil, joined(failures, err)
	}
	var merged map[string]any
	for _, output := range outputs {
		if merged == nil && output != nil {
			merged = map[string]any{}
		}
		maps.Copy(merged, output)
	}
	return merged, nil
}

// joined gives several failures the reason of the first one that has one.
func joined(failures []error, all error) error {
	for _, err := range failures {
		if known, ok := errors.AsType[*function.Error](err); ok {
			return &function.Error{Reason: known.Reason, Err: all}
		}
	}
	return all
}

// words are the names in space-separated lists, sorted, each once.
func words(lists []string) []string {
	var all []string
	for _, list := range lists {
		all = append(all, strings.Fields(list)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// notEmpty refuses arguments that came out empty, as a template that finds no pod
// does.
func notEmpty(empty map[string]bool) error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(empty)) {
		if empty[name] {
			problems = append(problems, fmt.Errorf("argument %q is empty", name))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return &function.Error{Reason: event.ReasonInvalid, Err: errors.Join(problems...)}
}
