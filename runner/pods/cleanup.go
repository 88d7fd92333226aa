package pods

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/runner/internal/again"
)

// goneLimit is how long a deleted pod may stay: its node may not answer, or
// something with a finalizer holds the object.
const goneLimit = time.Minute

// syncLimit is how long Cleanup waits for the first list of pods.
const syncLimit = 10 * time.Second

// lookEvery is after how long the API server is asked about a pod that the informer
// says nothing of: it may have come and gone between two of its lists.
const lookEvery = 10 * time.Second

// killGrace is the grace period, in seconds, of a pod whose command may be running.
// With none the object would vanish at once and the command end some time later;
// with one it goes when the kubelet has ended the command.
const killGrace = 1

// Cleanup deletes the pods of an attempt and returns when they are gone, and their
// commands with them. That there are none is no error.
func (r *Runner) Cleanup(ctx context.Context, k event.Key) error {
	known, cancel := context.WithTimeout(ctx, syncLimit)
	defer cancel()
	if err := r.watch.synced(known); err != nil { // else a pod of the runner before would be overlooked
		return err
	}
	var errs []error
	for name := range r.names(k) {
		if err := r.remove(ctx, k, name); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		r.Leave(k)
	}
	return errors.Join(errs...)
}

// remove deletes one pod if it belongs to the attempt.
func (r *Runner) remove(ctx context.Context, k event.Key, name types.NamespacedName) error {
	pod := r.watch.get(name)
	if pod == nil {
		var err error
		if pod, err = r.read(ctx, name); pod == nil {
			return err
		}
	}
	if !owns(k, pod) {
		return nil
	}
	return r.removePod(ctx, pod)
}

// read returns the pod as the API server knows it, nil if there is none.
func (r *Runner) read(ctx context.Context, name types.NamespacedName) (*corev1.Pod, error) {
	var pod *corev1.Pod
	err := r.retry(ctx, func(ctx context.Context) (err error) {
		pod, err = r.client.CoreV1().Pods(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read pod %s: %w", name, err)
	}
	return pod, nil
}

// delete deletes the very pod, not another one of its name. gone says that there
// was none.
func (r *Runner) delete(ctx context.Context, pod *corev1.Pod) (gone bool, err error) {
	grace := int64(0)
	if mayRun(pod) {
		grace = killGrace
	}
	err = r.retry(ctx, func(ctx context.Context) error {
		return r.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &grace,
			Preconditions:      metav1.NewUIDPreconditions(string(pod.UID)),
		})
	})
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err): // a conflict is another pod of that name
		gone = true
	case err != nil:
		return false, fmt.Errorf("delete pod %s: %w", nameOf(pod), err)
	}
	r.dropSecret(ctx, pod)
	return gone, nil
}

func (r *Runner) waitGone(ctx context.Context, sub *subscription) error {
	since := r.clock.Now()
	ticker := r.clock.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		pod, gone := sub.last()
		if gone {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the end of pod %s: %w", sub.name, context.Cause(ctx))
		case <-sub.changed:
		case <-ticker.C():
			if there, err := r.stillThere(ctx, pod); err == nil && !there {
				return nil
			}
			if r.clock.Since(since) >= goneLimit {
				return fmt.Errorf("pod %s is still there %s after it was deleted; node: %q, finalizers: [%s]",
					sub.name, goneLimit, pod.Spec.NodeName, strings.Join(pod.Finalizers, ", "))
			}
		}
	}
}

func (r *Runner) retry(ctx context.Context, f func(context.Context) error) error {
	return again.Do(ctx, again.Policy{Clock: r.clock, Limit: apiLimit, If: kube.Transient}, f)
}

// Ended tells whether the attempt that a pod was made for has ended. It answers
// true on positive evidence only.
type Ended func(ctx context.Context, id Identity) (bool, error)

// Sweep deletes the pods whose attempt has ended: what a runner leaves behind
// that dies between its report and Cleanup. Young pods, and those that somebody
// here follows, are left alone. It returns how many were deleted.
func (r *Runner) Sweep(ctx context.Context, ended Ended) (int, error) {
	if err := r.watch.synced(ctx); err != nil {
		return 0, err
	}
	swept := 0
	var errs []error
	for _, pod := range r.watch.all() {
		id, err := identify(pod)
		if err != nil || pod.DeletionTimestamp != nil || r.clock.Since(pod.CreationTimestamp.Time) < r.options.SweepAge || r.watch.followed(nameOf(pod)) {
			continue
		}
		over, err := ended(ctx, id)
		if err == nil && over {
			if _, err = r.delete(ctx, pod); err == nil {
				swept++
				r.log.Info().Str("pod", nameOf(pod).String()).Str("actionSet", id.Key.Namespace+"/"+id.ActionSet).Msg("deleted a pod whose phase has ended")
			}
		}
		if err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return swept, errors.Join(errs...)
}
