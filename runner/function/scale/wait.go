package scale

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/object"
)

// wait returns once the workload's controller has done what was asked: as many
// replicas as asked are ready and, scaling down, no more pods than that are left.
func (w *workload) wait(ctx context.Context, down bool) error {
	var last *unstructured.Unstructured
	state := "has not been looked at"
	follower := object.Follower{Resource: w.Client(w.call.Kube), Clock: w.call.Clock, Log: w.call.Log}
	err := follower.Object(ctx, w.Name, func(now *unstructured.Unstructured) (bool, error) {
		if err := deleted(w, now); err != nil {
			return false, err
		}
		last = now
		var done bool
		var err error
		done, state, err = w.reached(now)
		return done, err
	})
	if err != nil {
		return w.failed(ctx, err, "wait for %s to have %d replicas: it %s", w, w.replicas, state)
	}
	if !down {
		return nil
	}
	return w.waitForPods(ctx, last)
}

// reached judges the workload's own status, and says in words how far it is.
func (w *workload) reached(o *unstructured.Unstructured) (bool, string, error) {
	wanted := specReplicas(o)
	if wanted != w.replicas && (w.replicas == 0 || wanted < w.replicas) {
		return false, "", function.Errorf(event.ReasonFailed,
			"somebody else set its replicas to %d; stop what scales it (an autoscaler, an operator) for the time of the action", wanted)
	}
	observed := status(o, "observedGeneration")
	if observed < o.GetGeneration() {
		return false, "has not been seen by its controller yet", nil
	}
	// More than asked is enough: an autoscaler or a rollout may add to them.
	replicas, ready := status(o, "replicas"), status(o, "readyReplicas")
	return ready >= w.replicas, fmt.Sprintf("has %d replicas, %d of them ready", replicas, ready), nil
}

func status(o *unstructured.Unstructured, field string) int64 {
	n, _, err := unstructured.NestedInt64(o.Object, "status", field)
	if err != nil {
		return 0
	}
	return n
}

// waitForPods waits for the pods that are too many to be gone: until then they
// hold their volumes, which is what a restore scales down for. Pods that have
// ended hold nothing and may stay for ever.
func (w *workload) waitForPods(ctx context.Context, o *unstructured.Unstructured) error {
	selector, err := w.kind.selector(o)
	if err != nil {
		return function.Errorf(event.ReasonFailed, "read the selector of %s: %w", w, err)
	}
	left := 0
	wanted := max(specReplicas(o), w.replicas)
	pods := w.call.Kube.Dynamic.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(w.Namespace)
	follower := object.Follower{Resource: pods, Clock: w.call.Clock, Log: w.call.Log}
	err = follower.List(ctx, metav1.ListOptions{LabelSelector: selector}, func(items []*unstructured.Unstructured) (bool, error) {
		left = 0
		for _, pod := range items {
			if w.kind.owns(o, pod) && !ended(pod) {
				left++
			}
		}
		return int64(left) <= wanted, nil
	})
	if err != nil {
		return w.failed(ctx, err, "wait for the pods of %s: %d are left, want %d", w, left, wanted)
	}
	return nil
}

func ended(pod *unstructured.Unstructured) bool {
	phase, _, err := unstructured.NestedString(pod.Object, "status", "phase")
	return err == nil && (phase == string(corev1.PodSucceeded) || phase == string(corev1.PodFailed))
}

// labelSelector reads spec.selector of a Deployment or StatefulSet.
func labelSelector(o *unstructured.Unstructured) (string, error) {
	fields, _, err := unstructured.NestedMap(o.Object, "spec", "selector")
	if err != nil {
		return "", err
	}
	var selector metav1.LabelSelector
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &selector); err != nil {
		return "", fmt.Errorf("spec.selector: %w", err)
	}
	return asText(&selector)
}

func asText(selector *metav1.LabelSelector) (string, error) {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return "", fmt.Errorf("spec.selector: %w", err)
	}
	return parsed.String(), nil
}
