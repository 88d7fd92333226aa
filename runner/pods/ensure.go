package pods

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/failpoint"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/internal/again"
)

const (
	// apiLimit is how long the API server may not answer before a phase fails
	// because of it.
	apiLimit = 3 * time.Minute
	// requestLimit bounds one request that must not be broken off in the middle.
	requestLimit = 8 * time.Second
)

func (r *Runner) podName(call *function.Call, spec function.PodSpec) types.NamespacedName {
	return types.NamespacedName{Namespace: cmp.Or(spec.Namespace, r.options.OwnNamespace), Name: call.Key.PartName(spec.Part)}
}

// ensure returns the pod of the call: the one that exists, or a new one if there
// never was one.
func (r *Runner) ensure(ctx context.Context, call *function.Call, spec function.PodSpec, name types.NamespacedName) (*corev1.Pod, error) {
	if pod := r.watch.get(name); pod != nil {
		return r.adopt(ctx, call, &spec, pod)
	}
	if pod, err := r.marked(ctx, call, &spec, name); pod != nil || err != nil {
		return pod, err
	}
	if err := r.clearOthers(ctx, call); err != nil {
		return nil, err
	}
	d, err := r.draft(ctx, call, spec, name.Namespace)
	if err != nil {
		return nil, err
	}
	pod, warnings, err := build(d)
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		call.Log.Warn().Str("pod", name.String()).Msg(w)
	}
	r.remember(call.Key, name)
	var found *corev1.Pod
	err = r.ask(ctx, call, func(ctx context.Context) error {
		// If the job is another runner's it may be done already, and its pod
		// deleted: a pod made now would do it a second time.
		if err := call.StillHeld(); err != nil {
			return err
		}
		failpoint.Here(failpoint.RunnerBeforePodCreate)
		found, err = r.create(ctx, pod)
		failpoint.Here(failpoint.RunnerAfterPodCreate)
		return err
	})
	if err != nil {
		return nil, function.FromAPI(err, "create pod %s", name)
	}
	return r.adopt(ctx, call, &spec, found)
}

// create makes the pod, or returns the one that has its name. The request goes
// on when ctx ends: broken off, nobody would know whether there is a pod.
func (r *Runner) create(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestLimit)
	defer cancel()
	made, err := r.client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{FieldValidation: metav1.FieldValidationIgnore})
	if apierrors.IsAlreadyExists(err) {
		return r.client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	}
	return made, err
}

// adopt has the pod marked as the attempt's. Dying before that is the one moment in
// which a pod that is deleted too would be made again.
func (r *Runner) adopt(ctx context.Context, call *function.Call, spec *function.PodSpec, pod *corev1.Pod) (*corev1.Pod, error) {
	if !owns(call.Key, pod) {
		r.Leave(call.Key)
		return nil, function.Errorf(event.ReasonFailed, "pod %s: %w; delete it and run the action again", nameOf(pod), errForeign)
	}
	r.remember(call.Key, nameOf(pod))
	if call.Marks != nil {
		marked, err := call.Marks.Mark(ctx, spec.Part, pod.UID)
		if err != nil {
			return nil, err
		}
		if marked != pod.UID {
			return nil, lost(nameOf(pod))
		}
		failpoint.Here(failpoint.RunnerAfterPodMark)
	}
	if err := r.giveSecrets(ctx, call, spec, pod); err != nil {
		return nil, err
	}
	call.Log.Debug().Str("pod", nameOf(pod).String()).Str("phase", string(pod.Status.Phase)).Msg("following the pod")
	return pod, nil
}

// draft reads what the pod depends on.
func (r *Runner) draft(ctx context.Context, call *function.Call, spec function.PodSpec, namespace string) (*draft, error) {
	d := &draft{call: call, spec: spec, namespace: namespace, serviceAccount: spec.ServiceAccount, readOnly: map[string]bool{}}
	if d.serviceAccount == "" && namespace == r.options.OwnNamespace {
		d.serviceAccount = r.options.TaskServiceAccount
	}
	if v := call.Values; v != nil {
		d.actionSet = wishes{override: v.PodOverride(), labels: v.PodLabels(), annotations: v.PodAnnotations()}
	}
	err := r.ask(ctx, call, func(ctx context.Context) error {
		ns, err := r.client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if err == nil {
			d.restricted = ns.Labels[labelEnforce] == levelRestricted
		}
		return err
	})
	switch {
	case apierrors.IsForbidden(err):
		call.Log.Warn().Err(err).Msg("cannot tell whether the namespace enforces Pod Security restricted; building the pod as if not")
	case err != nil:
		return nil, function.FromAPI(err, "argument namespace: namespace %s", namespace)
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Volumes)) {
		err := r.ask(ctx, call, func(ctx context.Context) error {
			claim, err := r.client.CoreV1().PersistentVolumeClaims(namespace).Get(ctx, name, metav1.GetOptions{})
			if err == nil {
				d.readOnly[name] = onlyReadOnlyMany(claim)
			}
			return err
		})
		if err != nil {
			return nil, function.FromAPI(err, "argument volumes: claim %s/%s", namespace, name)
		}
	}
	return d, nil
}

// lostClaim says which claim of a pod that finds no node can never be mounted.
func (r *Runner) lostClaim(ctx context.Context, pod *corev1.Pod) string {
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		name := v.PersistentVolumeClaim.ClaimName
		claim, err := r.client.CoreV1().PersistentVolumeClaims(pod.Namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil && claim.Status.Phase == corev1.ClaimLost:
			return fmt.Sprintf("claim %s has lost its volume %s (phase Lost); restore the volume or make the claim anew", name, claim.Spec.VolumeName)
		case err == nil && claim.DeletionTimestamp != nil:
			return fmt.Sprintf("claim %s is being deleted", name)
		case apierrors.IsNotFound(err):
			return fmt.Sprintf("claim %s does not exist", name)
		}
	}
	return ""
}

// lastWarning returns the newest warning event of the pod, or nothing.
func (r *Runner) lastWarning(ctx context.Context, pod *corev1.Pod) string {
	list, err := r.client.CoreV1().Events(pod.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.uid": string(pod.UID), "type": corev1.EventTypeWarning}.String(),
	})
	if err != nil {
		r.log.Debug().Err(err).Str("pod", nameOf(pod).String()).Msg("events of the pod")
		return ""
	}
	if len(list.Items) == 0 {
		return ""
	}
	newest := slices.MaxFunc(list.Items, func(a, b corev1.Event) int { return eventTime(&a).Compare(eventTime(&b)) })
	return newest.Reason + ": " + newest.Message
}

func eventTime(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	}
	return e.EventTime.Time
}

// ask makes a request again while the API server does not answer.
func (r *Runner) ask(ctx context.Context, call *function.Call, f func(context.Context) error) error {
	return again.Do(ctx, again.Policy{Clock: r.clock, Limit: apiLimit, If: kube.Transient, Failed: func(err error) {
		call.Log.Warn().Err(err).Msg("the API server does not answer; asking again")
	}}, f)
}
