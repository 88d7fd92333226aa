package blueprint

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/salvor-io/salvor/api/event"
)

// The annotations that tell the revisions of a workload apart.
const (
	deploymentRevision       = "deployment.kubernetes.io/revision"
	deploymentConfigRevision = "openshift.io/deployment-config.latest-version"
)

func (r *reader) statefulSet(ctx context.Context, field string, found *unstructured.Unstructured) (*Workload, error) {
	var set appsv1.StatefulSet
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, &set); err != nil {
		return nil, errorf(event.ReasonInvalid, "%s: not a StatefulSet that can be read: %w", field, err)
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return nil, errorf(event.ReasonInvalid, "%s: spec.selector: %w", field, err)
	}
	return r.workload(ctx, field, found, owner{uid: set.UID, selector: selector})
}

func (r *reader) deployment(ctx context.Context, field string, found *unstructured.Unstructured) (*Workload, error) {
	var deployment appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, &deployment); err != nil {
		return nil, errorf(event.ReasonInvalid, "%s: not a Deployment that can be read: %w", field, err)
	}
	selector, err := metav1.LabelSelectorAsSelector(deployment.Spec.Selector)
	if err != nil {
		return nil, errorf(event.ReasonInvalid, "%s: spec.selector: %w", field, err)
	}
	sets, err := r.clients.Kube.AppsV1().ReplicaSets(deployment.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, readError(err, field, "the ReplicaSets in namespace "+strconv.Quote(deployment.Namespace))
	}
	revision := deployment.Annotations[deploymentRevision]
	i := slices.IndexFunc(sets.Items, func(set appsv1.ReplicaSet) bool {
		return ownedBy(&set, deployment.UID) && set.Annotations[deploymentRevision] == revision
	})
	if i < 0 {
		return r.workload(ctx, field, found, owner{})
	}
	return r.workload(ctx, field, found, owner{uid: sets.Items[i].UID, selector: selector})
}

func (r *reader) deploymentConfig(ctx context.Context, field string, found *unstructured.Unstructured) (*Workload, error) {
	latest, _, err := unstructured.NestedInt64(found.Object, "status", "latestVersion")
	if err != nil {
		return nil, errorf(event.ReasonInvalid, "%s: status.latestVersion: %w", field, err)
	}
	controllers, err := r.clients.Kube.CoreV1().ReplicationControllers(found.GetNamespace()).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, readError(err, field, "the ReplicationControllers in namespace "+strconv.Quote(found.GetNamespace()))
	}
	revision := strconv.FormatInt(latest, 10)
	i := slices.IndexFunc(controllers.Items, func(rc corev1.ReplicationController) bool {
		return ownedBy(&rc, found.GetUID()) && rc.Annotations[deploymentConfigRevision] == revision
	})
	if i < 0 {
		return r.workload(ctx, field, found, owner{})
	}
	rc := &controllers.Items[i]
	return r.workload(ctx, field, found, owner{uid: rc.UID, selector: labels.SelectorFromSet(rc.Spec.Selector)})
}

// owner is what the pods of a workload's current revision belong to. The zero
// value owns none: the workload has no such revision yet.
type owner struct {
	uid      types.UID
	selector labels.Selector
}

// workload reads the running pods of a workload.
func (r *reader) workload(ctx context.Context, field string, found *unstructured.Unstructured, o owner) (*Workload, error) {
	w := &Workload{
		Name: found.GetName(), Namespace: found.GetNamespace(),
		Pods: []string{}, Containers: [][]string{}, PersistentVolumeClaims: map[string]map[string]string{},
	}
	if o.selector == nil {
		return w, nil
	}
	pods, err := r.clients.Kube.CoreV1().Pods(w.Namespace).List(ctx, metav1.ListOptions{LabelSelector: o.selector.String()})
	if err != nil {
		return nil, readError(err, field, "the pods in namespace "+strconv.Quote(w.Namespace))
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.Status.Phase != corev1.PodRunning || !ownedBy(pod, o.uid) {
			continue
		}
		w.Pods = append(w.Pods, pod.Name)
		w.Containers = append(w.Containers, containers(pod))
		if claims := claims(pod); len(claims) > 0 {
			w.PersistentVolumeClaims[pod.Name] = claims
		}
	}
	return w, nil
}

func ownedBy(object metav1.Object, uid types.UID) bool {
	return slices.ContainsFunc(object.GetOwnerReferences(), func(ref metav1.OwnerReference) bool { return ref.UID == uid })
}

// containers returns the names of a pod's containers, in the order of its status,
// which is what Kanister's users see.
func containers(pod *corev1.Pod) []string {
	names := make([]string, 0, len(pod.Spec.Containers))
	for i := range pod.Status.ContainerStatuses {
		names = append(names, pod.Status.ContainerStatuses[i].Name)
	}
	if len(names) > 0 {
		return names
	}
	for i := range pod.Spec.Containers {
		names = append(names, pod.Spec.Containers[i].Name)
	}
	return names
}

// claims maps the claims that a pod's containers mount to the paths.
func claims(pod *corev1.Pod) map[string]string {
	claimOf := map[string]string{}
	for i := range pod.Spec.Volumes {
		if source := pod.Spec.Volumes[i].PersistentVolumeClaim; source != nil {
			claimOf[pod.Spec.Volumes[i].Name] = source.ClaimName
		}
	}
	paths := map[string]string{}
	for i := range pod.Spec.Containers {
		for _, mount := range pod.Spec.Containers[i].VolumeMounts {
			if claim, ok := claimOf[mount.Name]; ok {
				paths[claim] = mount.MountPath
			}
		}
	}
	return paths
}
