package scale

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// kind is a kind of workload.
type kind struct {
	group, version, name string
}

// kindOf finds a kind by its name, in any case.
func kindOf(name string) (kind, bool) {
	switch strings.ToLower(name) {
	case "deployment":
		return kind{"apps", "v1", "Deployment"}, true
	case "statefulset":
		return kind{"apps", "v1", "StatefulSet"}, true
	case "deploymentconfig":
		return kind{"apps.openshift.io", "v1", "DeploymentConfig"}, true
	}
	return kind{}, false
}

// selector is the label selector of the workload's pods.
func (k kind) selector(o *unstructured.Unstructured) (string, error) {
	if k.name == "DeploymentConfig" { // a plain map of labels
		labels, _, err := unstructured.NestedStringMap(o.Object, "spec", "selector")
		if err != nil {
			return "", err
		}
		return asText(&metav1.LabelSelector{MatchLabels: labels})
	}
	return labelSelector(o)
}

// owns reports whether a pod that matches the selector is the workload's own.
// Selectors overlap in practice, where several charts label alike. Deployments and
// DeploymentConfigs own pods through a set that is named after them.
func (k kind) owns(o, pod *unstructured.Unstructured) bool {
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return false
	}
	switch k.name {
	case "StatefulSet":
		return owner.UID == o.GetUID()
	case "Deployment":
		return owner.Kind == "ReplicaSet" && owner.Name == o.GetName()+"-"+pod.GetLabels()["pod-template-hash"]
	default:
		return owner.Kind == "ReplicationController" && pod.GetAnnotations()["openshift.io/deployment-config.name"] == o.GetName()
	}
}
