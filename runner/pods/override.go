package pods

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	kjson "sigs.k8s.io/json"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
)

// override merges patch over the spec the way kubectl does (strategic merge):
// containers, env and volumes by name, maps by key, tolerations replaced. Fields
// that a PodSpec does not have are ignored, as Kanister ignores them, but named
// in the warnings.
func override(spec *corev1.PodSpec, patch map[string]any, whose string) (*corev1.PodSpec, []string, error) {
	if len(patch) == 0 {
		return spec, nil, nil
	}
	original, err := json.Marshal(spec)
	if err != nil {
		return nil, nil, function.Errorf(event.ReasonInternal, "encode the pod's spec: %w", err)
	}
	change, err := json.Marshal(patch)
	if err != nil {
		return nil, nil, function.Errorf(event.ReasonInvalid, "%s is not a JSON object: %w", whose, err)
	}
	merged, err := strategicpatch.StrategicMergePatch(original, change, corev1.PodSpec{})
	if err != nil {
		return nil, nil, function.Errorf(event.ReasonInvalid,
			"%s does not fit a pod's spec: %w; lists such as containers, volumes and env are merged by name, so each entry needs one (the phase's own container is named %q)",
			whose, err, defaultMainName)
	}
	var result corev1.PodSpec
	unknown, err := kjson.UnmarshalStrict(merged, &result)
	if err != nil {
		return nil, nil, function.Errorf(event.ReasonInvalid, "%s does not fit a pod's spec: %w", whose, err)
	}
	var warnings []string
	for _, u := range unknown {
		warnings = append(warnings, fmt.Sprintf("%s: %s", whose, u))
	}
	return &result, warnings, nil
}

// mainFirst moves the phase's container to the front, where a person and kubectl
// look first; a merge puts added containers before it.
func mainFirst(spec *corev1.PodSpec) error {
	at := slices.IndexFunc(spec.Containers, func(c corev1.Container) bool { return c.Name == defaultMainName })
	if at < 0 {
		return function.Errorf(event.ReasonInvalid, "podOverride removes the container %q, which runs the phase's command; keep it", defaultMainName)
	}
	main := spec.Containers[at]
	spec.Containers = slices.Insert(slices.Delete(spec.Containers, at, at+1), 0, main)
	return nil
}

// runOnce takes back what would have the kubelet run the phase's command a second
// time: an attempt is one run of it, whatever becomes of the node, and another
// attempt is for the phase's policy to decide.
func runOnce(spec *corev1.PodSpec) []string {
	const instead = "podOverride: %s is ignored, the command of a phase is run once; use the annotation salvor.io/attempts to have a failed phase run again"
	var warnings []string
	if spec.RestartPolicy != corev1.RestartPolicyNever {
		warnings = append(warnings, fmt.Sprintf(instead, "restartPolicy "+string(spec.RestartPolicy)))
		spec.RestartPolicy = corev1.RestartPolicyNever
	}
	main := &spec.Containers[0]
	if main.RestartPolicy != nil || len(main.RestartPolicyRules) > 0 {
		warnings = append(warnings, fmt.Sprintf(instead, "the restart policy of container "+main.Name))
		main.RestartPolicy, main.RestartPolicyRules = nil, nil
	}
	return warnings
}
