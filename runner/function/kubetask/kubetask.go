// Package kubetask has the function KubeTask: a command in a new pod. The runner
// gives the pod its name, so a runner that takes over follows the same pod.
package kubetask

import (
	"context"

	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
)

// New returns the function for one call.
func New() function.Function { return kubeTask{} }

type kubeTask struct{}

// Execute runs the command and returns what it published.
func (kubeTask) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		Image       string            `arg:"required"  mapstructure:"image"`
		Command     []string          `arg:"required"  mapstructure:"command"`
		Namespace   string            `mapstructure:"namespace"`
		Override    map[string]any    `mapstructure:"podOverride"`
		Labels      map[string]string `mapstructure:"podLabels"`
		Annotations map[string]string `mapstructure:"podAnnotations"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err //nolint:wrapcheck // names the argument
	}
	return call.Pods.Run(ctx, call, function.PodSpec{ //nolint:wrapcheck // says what it is
		Namespace: args.Namespace, Image: args.Image, Command: args.Command,
		Override: args.Override, Labels: args.Labels, Annotations: args.Annotations,
	})
}
