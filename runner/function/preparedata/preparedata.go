// Package preparedata has the function PrepareData: a command in a new pod that
// has volumes mounted. As in Kanister, a command that fails does not fail the
// phase unless failOnError asks for that, and without the argument volumes the claims
// of the ActionSet's workload are mounted.
package preparedata

import (
	"context"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
)

// New returns the function for one call.
func New() function.Function { return prepareData{} }

// mountPoint is where a claim is mounted that the blueprint does not name.
const mountPoint = "/mnt/prepare_data/"

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
		return nil, err
	}
	if len(args.Volumes) == 0 {
		if args.Volumes = claims(call); len(args.Volumes) == 0 {
			return nil, function.Errorf(event.ReasonInvalid,
				"there is nothing to mount: argument volumes names no claim, and the ActionSet's object is no workload whose running pods mount one; "+
					"name the claims in volumes, or use KubeTask for a pod without any")
		}
	}
	return call.Pods.Run(ctx, call, function.PodSpec{
		Namespace: args.Namespace, Image: args.Image, Command: args.Command, Volumes: args.Volumes,
		ServiceAccount: args.ServiceAccount, IgnoreExit: !args.FailOnError,
		Override: args.Override, Labels: args.Labels, Annotations: args.Annotations,
	})
}

// claims are those of the action's workload, as its pods mounted them when the action
// began. Each has a path of its own: in the pods two may have the same.
func claims(call *function.Call) map[string]string {
	volumes := map[string]string{}
	for _, pod := range call.Values.Pods() {
		for claim := range call.Values.PodVolumes(pod) {
			volumes[claim] = mountPoint + claim
		}
	}
	return volumes
}
