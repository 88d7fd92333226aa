package pods

import (
	"encoding/json"
	"fmt"
	"maps"
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
func override(spec *corev1.PodSpec, patch map[string]any, whose, main string) (*corev1.PodSpec, []string, error) {
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
			whose, err, main)
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
func mainFirst(spec *corev1.PodSpec, name string) error {
	at := slices.IndexFunc(spec.Containers, func(c corev1.Container) bool { return c.Name == name })
	if at < 0 {
		return function.Errorf(event.ReasonInvalid, "podOverride removes the container %q, which runs the phase's command; keep it", name)
	}
	main := spec.Containers[at]
	spec.Containers = slices.Insert(slices.Delete(spec.Containers, at, at+1), 0, main)
	return nil
}

// forContainers is what an ActionSet asks of "container" asked of the containers
// that do its work in this pod: an ActionSet has one podOverride for all its phases,
// whatever their containers are called. What it asks of one of them by its own name
// goes before. An entry that names an image of its own beside such a name is a
// container more, as in Kanister. The patch itself is left as it is: other calls
// read it too.
func forContainers(patch map[string]any, names []string) map[string]any {
	list, _ := patch["containers"].([]any)
	at := slices.IndexFunc(list, func(entry any) bool { return nameIn(entry) == defaultMainName })
	if at < 0 || slices.Contains(names, defaultMainName) {
		return patch
	}
	named := func(name string) func(any) bool { return func(entry any) bool { return nameIn(entry) == name } }
	common, _ := list[at].(map[string]any) // nameIn found a name in it
	if common["image"] != nil && slices.ContainsFunc(names, func(name string) bool { return slices.ContainsFunc(list, named(name)) }) {
		return patch
	}
	rest := slices.Delete(slices.Clone(list), at, at+1)
	for _, name := range names {
		own := maps.Clone(common)
		own["name"] = name
		if i := slices.IndexFunc(rest, named(name)); i >= 0 {
			specific, _ := rest[i].(map[string]any) // likewise
			maps.Copy(own, specific)
			rest[i] = own
			continue
		}
		rest = append(rest, own)
	}
	patch = maps.Clone(patch)
	patch["containers"] = rest
	return patch
}

func nameIn(entry any) string {
	container, _ := entry.(map[string]any)
	name, _ := container["name"].(string)
	return name
}

// runOnce takes back what would have the kubelet run the phase's command a second
// time: an attempt is one run of it, whatever becomes of the node, and another
// attempt is for the phase's policy to decide.
func runOnce(spec *corev1.PodSpec, beside []string) []string {
	const instead = "podOverride: %s is ignored, the command of a phase is run once; use the annotation salvor.io/attempts to have a failed phase run again"
	var warnings []string
	if spec.RestartPolicy != corev1.RestartPolicyNever {
		warnings = append(warnings, fmt.Sprintf(instead, "restartPolicy "+string(spec.RestartPolicy)))
		spec.RestartPolicy = corev1.RestartPolicyNever
	}
	for i := range spec.Containers {
		c := &spec.Containers[i]
		if i > 0 && !slices.Contains(beside, c.Name) {
			continue
		}
		if c.RestartPolicy != nil || len(c.RestartPolicyRules) > 0 {
			warnings = append(warnings, fmt.Sprintf(instead, "the restart policy of container "+c.Name))
			c.RestartPolicy, c.RestartPolicyRules = nil, nil
		}
	}
	return warnings
}
