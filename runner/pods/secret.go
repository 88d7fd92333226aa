package pods

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/runner/function"
)

// secretEnv refers to the values in the Secret of that name.
func secretEnv(secret string, values map[string]string) []corev1.EnvVar {
	env := make([]corev1.EnvVar, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		env = append(env, corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
			SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: name},
		}})
	}
	return env
}

// giveSecrets makes the Secret that the pod refers to, unless it is there. The pod
// comes first, and waits for it: so the Secret has its owner from the start, and
// wherever the runner is lost nothing is left that nobody would ever delete.
func (r *Runner) giveSecrets(ctx context.Context, call *function.Call, spec *function.PodSpec, pod *corev1.Pod) error {
	if len(spec.SecretEnv) == 0 || pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return nil
	}
	err := r.ask(ctx, call, func(ctx context.Context) error {
		err := r.createSecret(ctx, spec, pod)
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
		there, err := r.client.CoreV1().Secrets(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil || metav1.IsControlledBy(there, pod) {
			return err
		}
		// That of an earlier pod of this name, which the collector has not met yet.
		if err := r.deleteSecret(ctx, pod, metav1.NewUIDPreconditions(string(there.UID))); err != nil {
			return err
		}
		return r.createSecret(ctx, spec, pod)
	})
	return function.FromAPI(err, "make Secret %s for its pod", nameOf(pod))
}

// createSecret goes on when ctx ends: broken off, nobody would know whether it is
// there.
func (r *Runner) createSecret(ctx context.Context, spec *function.PodSpec, pod *corev1.Pod) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestLimit)
	defer cancel()
	data := make(map[string][]byte, len(spec.SecretEnv))
	for name, value := range spec.SecretEnv {
		data[name] = []byte(value)
	}
	_, err := r.client.CoreV1().Secrets(pod.Namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: pod.Namespace,
			Labels:          map[string]string{LabelRun: pod.Labels[LabelRun]},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(pod, corev1.SchemeGroupVersion.WithKind("Pod"))},
		},
		Data:      data,
		Immutable: new(true),
	}, metav1.CreateOptions{})
	return err
}

// dropSecret deletes the Secret of a pod that was deleted. The garbage collector
// would do it too, later; so what fails here is no error.
func (r *Runner) dropSecret(ctx context.Context, pod *corev1.Pod) {
	if !hasSecret(pod) {
		return
	}
	err := r.retry(ctx, func(ctx context.Context) error { return r.deleteSecret(ctx, pod, nil) })
	if err != nil {
		r.log.Debug().Err(err).Str("secret", nameOf(pod).String()).Msg("the Secret of a pod is left to the garbage collector")
	}
}

func (r *Runner) deleteSecret(ctx context.Context, pod *corev1.Pod, only *metav1.Preconditions) error {
	err := r.client.CoreV1().Secrets(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{Preconditions: only})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// hasSecret tells whether the pod refers to the Secret that bears its name.
func hasSecret(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool {
		return slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool {
			return e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && e.ValueFrom.SecretKeyRef.Name == pod.Name
		})
	})
}
