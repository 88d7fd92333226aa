package render

import (
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// mostPods bounds how many pods of a workload are made up.
const mostPods = 10

// workloadPods gives every workload of the files the pods that its controller would
// have made, unless the files have pods of it.
func (m *maker) workloadPods() error {
	for _, gvk := range []schema.GroupVersionKind{
		{Group: "apps", Version: "v1", Kind: "StatefulSet"},
		{Group: "apps", Version: "v1", Kind: "Deployment"},
		{Group: "apps.openshift.io", Version: "v1", Kind: "DeploymentConfig"},
	} {
		for _, workload := range m.store.All(gvk) {
			if err := m.podsOf(workload); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *maker) podsOf(workload *unstructured.Unstructured) error {
	pods := m.store.All(schema.GroupVersionKind{Version: "v1", Kind: "Pod"})
	owner := workload
	switch workload.GetKind() {
	case "Deployment":
		owner = m.owner(workload, schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"}, "deployment.kubernetes.io/revision")
	case "DeploymentConfig":
		owner = m.owner(workload, schema.GroupVersionKind{Version: "v1", Kind: "ReplicationController"}, "openshift.io/deployment-config.latest-version")
	}
	for _, pod := range pods {
		if ownedBy(pod, owner.GetUID()) {
			return nil
		}
	}
	if owner != workload {
		if err := m.store.Add(owner); err != nil {
			return err
		}
	}
	replicas, found, _ := unstructured.NestedInt64(workload.Object, "spec", "replicas")
	if !found || replicas < 1 {
		replicas = 1
	}
	for i := range min(replicas, mostPods) {
		if err := m.store.Add(podOf(workload, owner, i)); err != nil {
			return err
		}
	}
	m.note("pods of %s %s/%s", workload.GetKind(), workload.GetNamespace(), workload.GetName())
	return nil
}

// owner is what stands between a workload and its pods; the one of the files, if there
// is one.
func (m *maker) owner(workload *unstructured.Unstructured, gvk schema.GroupVersionKind, revision string) *unstructured.Unstructured {
	for _, set := range m.store.All(gvk) {
		if ownedBy(set, workload.GetUID()) {
			return set
		}
	}
	set := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{}}}
	set.SetGroupVersionKind(gvk)
	set.SetNamespace(workload.GetNamespace())
	set.SetName(workload.GetName() + "-1")
	set.SetUID(types.UID("uid-of-" + workload.GetName() + "-1"))
	set.SetOwnerReferences(controlled(workload))
	labels, _, _ := unstructured.NestedStringMap(workload.Object, "spec", "template", "metadata", "labels")
	set.SetLabels(labels)
	number := workload.GetAnnotations()[revision]
	if latest, ok, _ := unstructured.NestedInt64(workload.Object, "status", "latestVersion"); ok {
		number = strconv.FormatInt(latest, 10)
	} else if workload.GetKind() == "DeploymentConfig" {
		number = "0"
	}
	set.SetAnnotations(map[string]string{revision: number})
	if selector, ok, _ := unstructured.NestedMap(workload.Object, "spec", "template", "metadata", "labels"); ok && gvk.Kind == "ReplicationController" {
		_ = unstructured.SetNestedMap(set.Object, selector, "spec", "selector") // a map of texts is one
	}
	return set
}

func controlled(by *unstructured.Unstructured) []metav1.OwnerReference {
	return []metav1.OwnerReference{{
		APIVersion: by.GetAPIVersion(), Kind: by.GetKind(), Name: by.GetName(), UID: by.GetUID(), Controller: new(true),
	}}
}

func ownedBy(object *unstructured.Unstructured, uid types.UID) bool {
	for _, ref := range object.GetOwnerReferences() {
		if ref.UID == uid {
			return true
		}
	}
	return false
}

// podOf is a running pod of a workload, as its controller makes it.
func podOf(workload, owner *unstructured.Unstructured, i int64) *unstructured.Unstructured {
	template, _, _ := unstructured.NestedMap(workload.Object, "spec", "template")
	spec, _, _ := unstructured.NestedMap(template, "spec")
	if spec == nil {
		spec = map[string]any{}
	}
	labels, _, _ := unstructured.NestedStringMap(template, "metadata", "labels")
	pod := &unstructured.Unstructured{Object: map[string]any{"spec": spec, "status": map[string]any{"phase": "Running"}}}
	pod.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Pod"})
	pod.SetNamespace(workload.GetNamespace())
	name := workload.GetName() + "-" + strconv.FormatInt(i, 10)
	pod.SetName(name)
	pod.SetLabels(labels)
	pod.SetOwnerReferences(controlled(owner))
	volumes, _ := spec["volumes"].([]any)
	claims, _, _ := unstructured.NestedSlice(workload.Object, "spec", "volumeClaimTemplates")
	for _, claim := range claims {
		object, _ := claim.(map[string]any)
		volume, _, _ := unstructured.NestedString(object, "metadata", "name")
		volumes = append(volumes, map[string]any{"name": volume, "persistentVolumeClaim": map[string]any{"claimName": volume + "-" + name}})
	}
	if len(volumes) > 0 {
		spec["volumes"] = volumes
	}
	return pod
}
