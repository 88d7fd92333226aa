package pods

import (
	"cmp"
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/salvor-io/salvor/runner/function"
)

// Preview returns the pod that Run would make for a call, and what it would warn of.
// It reads what the pod depends on, and makes nothing.
func Preview(ctx context.Context, d Deps, o Options, call *function.Call, spec function.PodSpec) (*corev1.Pod, []string, error) {
	r := &Runner{client: d.Client, clock: d.Clock, log: d.Log, options: o}
	draft, err := r.draft(ctx, call, spec, cmp.Or(spec.Namespace, o.OwnNamespace))
	if err != nil {
		return nil, nil, err
	}
	return build(draft)
}
