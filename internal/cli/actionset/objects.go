package actionset

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
)

// resources of the kinds, in the order in which "all" lists them.
func resources() []struct {
	kind string
	gvr  schema.GroupVersionResource
} {
	return []struct {
		kind string
		gvr  schema.GroupVersionResource
	}{
		{kindDeployment, schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}},
		{kindDeploymentConfig, schema.GroupVersionResource{Group: "apps.openshift.io", Version: "v1", Resource: "deploymentconfigs"}},
		{kindStatefulSet, schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}},
		{kindPVC, schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}},
		{kindNamespace, schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}},
	}
}

// Select adds the objects that the selector selects to r.
func Select(ctx context.Context, c *kube.Clients, r *Request) error {
	if r.Selector == "" {
		return nil
	}
	before := len(r.Objects)
	for _, resource := range resources() {
		all := r.SelectKind == kindAll
		if resource.kind != r.SelectKind && (!all || resource.kind == kindNamespace) {
			continue
		}
		namespace := r.SelectorSpace
		if resource.kind == kindNamespace {
			namespace = ""
		}
		list, err := c.Dynamic.Resource(resource.gvr).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: r.Selector})
		if err != nil {
			// Only OpenShift has deployment configs; "all" means all that there are.
			if all && resource.kind == kindDeploymentConfig && apierrors.IsNotFound(err) {
				continue
			}
			return fmt.Errorf("list %s with --selector %q: %w", resource.gvr.Resource, r.Selector, err)
		}
		for i := range list.Items {
			object := kanister.ObjectReference{Kind: resource.kind, Namespace: list.Items[i].GetNamespace(), Name: list.Items[i].GetName()}
			if resource.kind == kindNamespace {
				object.Namespace = object.Name
			}
			r.add(object)
		}
	}
	if len(r.Objects) == before {
		return fmt.Errorf("--selector %q selects no object of kind %s in %s", r.Selector, r.SelectKind, where(r.SelectorSpace))
	}
	return nil
}

func where(namespace string) string {
	if namespace == "" {
		return "any namespace"
	}
	return "namespace " + namespace
}
