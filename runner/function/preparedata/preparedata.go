// Package preparedata has the function PrepareData: a command in a new pod that
// has volumes mounted. As in Kanister, a command that fails does not fail the
// phase unless failOnError asks for that.
package preparedata

import (
	"context"

	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
)

// New returns the function for one call.
func New() function.Function { return prepareData{} }

type prepareData struct{}

// Execute runs the command and returns what it published.
func (prepareData) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		Namespace      string            `arg:"required"               mapstructure:"namespace"`
		Image          string            `arg:"required"               mapstructure:"image"`
		Command        []string          `arg:"required"               mapstructure:"command"`
		Volumes        map[string]string `mapstructure:"volumes"`
		ServiceAccount string            `mapstructure:"serviceaccount"`
		FailOnError    bool              `mapstructure:"failOnError"`
		Override       map[string]any    `mapstructure:"podOverride"`
		Labels         map[string]string `mapstructure:"podLabels"`
		Annotations    map[string]string `mapstructure:"podAnnotations"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err //nolint:wrapcheck // names the argument
	}
	return call.Pods.Run(ctx, call, function.PodSpec{ //nolint:wrapcheck // says what it is
		Namespace: args.Namespace, Image: args.Image, Command: args.Command, Volumes: args.Volumes,
		ServiceAccount: args.ServiceAccount, IgnoreExit: !args.FailOnError,
		Override: args.Override, Labels: args.Labels, Annotations: args.Annotations,
	})
}
