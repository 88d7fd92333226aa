package pods

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/telemetry"
	"github.com/salvor-io/salvor/runner/function"
)

// draft is all that a pod is built from, read from the cluster beforehand.
type draft struct {
	call           *function.Call
	spec           function.PodSpec
	namespace      string
	serviceAccount string
	// readOnly names the claims that can only be mounted read-only.
	readOnly map[string]bool
	// restricted: the namespace enforces Pod Security restricted.
	restricted bool
	// actionSet is what the ActionSet asks of its pods.
	actionSet wishes
}

// wishes are what an ActionSet or a Blueprint may ask of a pod.
type wishes struct {
	override            map[string]any
	labels, annotations map[string]string
}

// build makes the pod: default, then the Blueprint's override, then the
// ActionSet's; for labels and annotations the Blueprint's word is the last, as
// in Kanister. The security defaults fill in only what is still open after that.
func build(d *draft) (*corev1.Pod, []string, error) {
	base, err := baseSpec(d)
	if err != nil {
		return nil, nil, err
	}
	if d.spec.Base != nil {
		d.spec.Base(base)
	}
	main := cmp.Or(d.spec.Main, defaultMainName)
	spec, warnings, err := override(base, d.spec.Override, "the Blueprint's podOverride", main)
	if err != nil {
		return nil, nil, err
	}
	ofActionSet := forContainers(d.actionSet.override, append([]string{main}, d.spec.Beside...))
	spec, more, err := override(spec, ofActionSet, "the ActionSet's podOverride", main)
	if err != nil {
		return nil, nil, err
	}
	warnings = append(warnings, more...)
	if err := mainFirst(spec, main); err != nil {
		return nil, nil, err
	}
	warnings = append(warnings, runOnce(spec, d.spec.Beside)...)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:        d.call.Key.PartName(d.spec.Part),
			Namespace:   d.namespace,
			Labels:      podLabels(d),
			Annotations: merge(d.actionSet.annotations, d.spec.Annotations, identityAnnotations(d.call, d.spec.Part)),
		},
		Spec: *spec,
	}
	if d.spec.Main != "" {
		pod.Annotations[annotationMain] = d.spec.Main
	}
	if d.spec.Modify != nil {
		d.spec.Modify(pod)
	}
	trace(&pod.Spec, d.call.Traceparent)
	secure(&pod.Spec, d.restricted)
	return pod, warnings, nil
}

// trace gives every container the trace context of its phase, unless the blueprint
// or the ActionSet set one.
func trace(spec *corev1.PodSpec, traceparent string) {
	if traceparent == "" {
		return
	}
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			c := &containers[i]
			if !slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == telemetry.Env }) {
				c.Env = append(c.Env, corev1.EnvVar{Name: telemetry.Env, Value: traceparent})
			}
		}
	}
}

func podLabels(d *draft) map[string]string {
	own := map[string]string{labelCreatedBy: valueCreatedBy}
	if id := d.call.Labels[labelJobID]; id != "" {
		own[labelJobID] = id
	}
	return merge(own, d.actionSet.labels, d.spec.Labels, identityLabels(d.call.Key))
}

// merge returns the union; a later map wins.
func merge(all ...map[string]string) map[string]string {
	merged := map[string]string{}
	for _, m := range all {
		maps.Copy(merged, m)
	}
	return merged
}

func baseSpec(d *draft) (*corev1.PodSpec, error) {
	if strings.TrimSpace(d.spec.Image) == "" {
		return nil, function.Errorf(event.ReasonInvalid, "argument image is empty; name the image to run")
	}
	if len(d.spec.Command) == 0 && d.spec.Main == "" { // a function that names its container has checked it
		return nil, function.Errorf(event.ReasonInvalid, "argument command is empty; give the command to run as a list")
	}
	volumes, mounts, err := claimVolumes(d.spec.Volumes, d.readOnly)
	if err != nil {
		return nil, err
	}
	return &corev1.PodSpec{
		RestartPolicy:      corev1.RestartPolicyNever,
		ServiceAccountName: d.serviceAccount,
		Volumes:            volumes,
		Containers: []corev1.Container{{
			Name:            cmp.Or(d.spec.Main, defaultMainName),
			Image:           d.spec.Image,
			ImagePullPolicy: corev1.PullIfNotPresent,
			Command:         d.spec.Command,
			Env:             secretEnv(d.call.Key.PartName(d.spec.Part), d.spec.SecretEnv),
			VolumeMounts:    mounts,
		}},
	}, nil
}

// claimVolumes mounts each claim; sorted, so that the same call builds the same
// pod.
func claimVolumes(claims map[string]string, readOnly map[string]bool) ([]corev1.Volume, []corev1.VolumeMount, error) {
	var volumes []corev1.Volume
	var mounts []corev1.VolumeMount
	for i, claim := range slices.Sorted(maps.Keys(claims)) {
		if problems := validation.IsDNS1123Subdomain(claim); len(problems) > 0 {
			return nil, nil, function.Errorf(event.ReasonInvalid, "argument volumes: %q is not the name of a PersistentVolumeClaim: %s", claim, problems[0])
		}
		if claims[claim] == "" {
			return nil, nil, function.Errorf(event.ReasonInvalid, "argument volumes: claim %s has no path to be mounted at", claim)
		}
		name := fmt.Sprintf("vol-%d", i)
		volumes = append(volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim, ReadOnly: readOnly[claim]},
		}})
		mounts = append(mounts, corev1.VolumeMount{Name: name, MountPath: claims[claim], ReadOnly: readOnly[claim]})
	}
	return volumes, mounts, nil
}

// onlyReadOnlyMany reports whether a claim can be mounted read-only only.
func onlyReadOnlyMany(claim *corev1.PersistentVolumeClaim) bool {
	modes := claim.Spec.AccessModes
	return len(modes) > 0 && !slices.ContainsFunc(modes, func(m corev1.PersistentVolumeAccessMode) bool {
		return m != corev1.ReadOnlyMany
	})
}
