package pods

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
)

// marked returns the pod that was marked as the attempt's, though the informer does
// not know it: it may not have seen it yet. A pod that was and is no more fails the
// attempt: its command may have done its work, and making it again would do it
// twice. Without a mark there is no pod and no error.
func (r *Runner) marked(ctx context.Context, call *function.Call, spec *function.PodSpec, name types.NamespacedName) (*corev1.Pod, error) {
	if call.Marks == nil {
		return nil, nil
	}
	uid, err := call.Marks.Marked(ctx, spec.Part)
	if uid == "" || err != nil {
		return nil, err
	}
	pod, err := r.read(ctx, name)
	if err != nil {
		return nil, function.FromAPI(err, "look for the pod of this attempt")
	}
	if pod == nil || pod.UID != uid {
		return nil, lost(name)
	}
	return r.adopt(ctx, call, spec, pod)
}

func lost(name types.NamespacedName) error {
	return function.Errorf(event.ReasonPodFailed,
		"pod %s was deleted, or was lost with its node, while no runner followed it; how far its command came is not known, so it is not started again by itself", name)
}

// clearOthers has the pods of the phase's other attempts deleted and sees them gone,
// before a pod of this attempt is made: the next attempt must not meet the one
// before at its work. They are asked for at the API server, because the informer
// may lag behind, and in all namespaces, because the namespace is an argument.
func (r *Runner) clearOthers(ctx context.Context, call *function.Call) error {
	if call.Key.Attempt <= 1 && !call.Recovered {
		return nil
	}
	selector := identityLabels(call.Key)
	delete(selector, LabelAttempt)
	var list *corev1.PodList
	err := r.ask(ctx, call, func(ctx context.Context) (err error) {
		list, err = r.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{LabelSelector: labels.Set(selector).String()})
		return err
	})
	if err != nil {
		return function.FromAPI(err, "look for pods of earlier attempts")
	}
	for i := range list.Items {
		pod := &list.Items[i]
		id, err := identify(pod)
		if err != nil || id.Key.Attempt == call.Key.Attempt || (id.Key.Attempt > call.Key.Attempt && !call.Recovered) {
			continue
		}
		call.Log.Info().Str("pod", nameOf(pod).String()).Msg("deleting the pod of attempt " + strconv.Itoa(id.Key.Attempt))
		if err := r.removePod(ctx, pod); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return function.Errorf(event.ReasonPodFailed,
				"attempt %d is not started, because a pod of attempt %d cannot be removed and its command may still be running: %w", call.Key.Attempt, id.Key.Attempt, err)
		}
	}
	return nil
}

// removePod deletes the pod and returns when it is gone.
func (r *Runner) removePod(ctx context.Context, pod *corev1.Pod) error {
	sub := r.watch.subscribe(nameOf(pod))
	defer r.watch.unsubscribe(sub)
	sub.expect(pod)
	if gone, err := r.delete(ctx, pod); gone || err != nil {
		return err
	}
	return r.waitGone(ctx, sub)
}

// mayRun tells whether a command of the pod may be running on its node: that of the
// phase, or one beside it.
func mayRun(pod *corev1.Pod) bool {
	switch {
	case pod.Spec.NodeName == "", pod.Status.Phase == corev1.PodSucceeded, pod.Status.Phase == corev1.PodFailed:
		return false
	}
	return slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool {
		return containerStatus(pod, c.Name).State.Terminated == nil
	})
}

// stillThere tells whether the pod exists, by asking the API server.
func (r *Runner) stillThere(ctx context.Context, pod *corev1.Pod) (bool, error) {
	now, err := r.client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	if err == nil {
		return now.UID == pod.UID, nil
	}
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return true, fmt.Errorf("read pod %s: %w", nameOf(pod), err)
}
