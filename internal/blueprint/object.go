package blueprint

import (
	"context"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// target is an object that a reference means, as the API server knows it.
type target struct {
	gvr             schema.GroupVersionResource
	kind            string
	namespace, name string
}

func (t target) isSecret() bool { return t.gvr.Group == "" && t.gvr.Resource == "secrets" }

// The kinds that templates have a field of their own for, in lower case.
const (
	kindStatefulSet      = "statefulset"
	kindDeployment       = "deployment"
	kindDeploymentConfig = "deploymentconfig"
	kindPVC              = "pvc"
	kindNamespace        = "namespace"
)

// object reads the action's object and what belongs to it.
func (r *resolver) object(ctx context.Context) error {
	ref := r.in.Spec.Object
	field := r.in.Field + ".object"
	t, err := r.target(field, ref)
	if err != nil {
		return err
	}
	r.params.ObjectRef = kanister.ObjectReference{
		APIVersion: t.gvr.Version, Group: t.gvr.Group, Resource: t.gvr.Resource,
		Kind: t.kind, Namespace: t.namespace, Name: t.name,
	}
	if t.isSecret() {
		secret := SecretRef{Namespace: t.namespace, Name: t.name}
		r.params.ObjectSecret = &secret
		_, err := r.reader.secret(ctx, field, secret)
		return err
	}
	found, err := r.reader.clients.Dynamic.Resource(t.gvr).Namespace(t.namespace).Get(ctx, t.name, metav1.GetOptions{})
	if err != nil {
		return readError(err, field, what(t.kind, t.namespace, t.name))
	}
	unstructured.RemoveNestedField(found.Object, "metadata", "managedFields")
	r.params.Object = found.Object
	return r.particulars(ctx, field, t, found)
}

// particulars fills the field that the object's kind has of its own.
func (r *resolver) particulars(ctx context.Context, field string, t target, found *unstructured.Unstructured) (err error) {
	switch strings.ToLower(r.in.Spec.Object.Kind) {
	case kindStatefulSet:
		r.params.StatefulSet, err = r.reader.statefulSet(ctx, field, found)
	case kindDeployment:
		r.params.Deployment, err = r.reader.deployment(ctx, field, found)
	case kindDeploymentConfig:
		r.params.DeploymentConfig, err = r.reader.deploymentConfig(ctx, field, found)
	case kindPVC:
		r.params.PVC = &Named{Name: t.name, Namespace: t.namespace}
	case kindNamespace:
		// Both are the reference's namespace, as in Kanister; a reference without
		// one means the namespace it names.
		namespace := orElse(r.in.Spec.Object.Namespace, t.name)
		r.params.TargetNamespace = &Named{Name: namespace, Namespace: namespace}
	}
	return err
}

// ResourceOf finds the resource that an action's object is of, the way Resolve
// does; field names the reference in messages. An object of a kind that is in no
// namespace has an empty one.
func ResourceOf(c Cluster, field string, ref kanister.ObjectReference) (gvr schema.GroupVersionResource, namespace string, err error) {
	r := &resolver{reader: newReader(c)}
	t, err := r.target(field, ref)
	return t.gvr, t.namespace, err
}

// target finds what a reference means. The five kinds that Kanister knows win over
// group and resource, as they do there.
func (r *resolver) target(field string, ref kanister.ObjectReference) (target, error) {
	if ref.Kind == "" && ref.Resource == "" {
		return target{}, errorf(event.ReasonInvalid, "%s: neither kind nor resource is given; say what the action works on, for example kind: StatefulSet with name and namespace", field)
	}
	named, err := r.named(field, ref)
	if err != nil {
		return target{}, err
	}
	t := target{namespace: named.Namespace, name: named.Name}
	switch strings.ToLower(ref.Kind) {
	case kindStatefulSet:
		t.kind, t.gvr = "StatefulSet", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}
	case kindDeployment:
		t.kind, t.gvr = "Deployment", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	case kindDeploymentConfig:
		t.kind, t.gvr = "DeploymentConfig", schema.GroupVersionResource{Group: "apps.openshift.io", Version: "v1", Resource: "deploymentconfigs"}
	case kindPVC:
		t.kind, t.gvr = "PersistentVolumeClaim", schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}
	case kindNamespace:
		t.kind, t.gvr, t.namespace = "Namespace", schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, ""
	default:
		return r.mapped(field, ref, t)
	}
	return t, nil
}

// mapped asks the API server's discovery what a reference means.
func (r *resolver) mapped(field string, ref kanister.ObjectReference, t target) (target, error) {
	group, version := ref.Group, ref.APIVersion
	if g, v, ok := strings.Cut(ref.APIVersion, "/"); ok {
		group, version = orElse(group, g), v
	}
	wanted := schema.GroupVersionResource{Group: group, Version: version, Resource: strings.ToLower(orElse(ref.Resource, ref.Kind))}
	kinds, err := r.reader.clients.Mapper.KindsFor(wanted)
	if err == nil && len(kinds) == 0 {
		err = &meta.NoResourceMatchError{PartialResource: wanted}
	}
	if err != nil {
		return target{}, mappingError(err, field, wanted)
	}
	kind := kinds[0]
	// A resource without a group is the core group's, when that has it.
	if i := slices.IndexFunc(kinds, func(k schema.GroupVersionKind) bool { return k.Group == group }); i >= 0 {
		kind = kinds[i]
	}
	mapping, err := r.reader.clients.Mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return target{}, mappingError(err, field, wanted)
	}
	t.gvr, t.kind = mapping.Resource, kind.Kind
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		t.namespace = ""
	}
	return t, nil
}

func mappingError(err error, field string, wanted schema.GroupVersionResource) error {
	if !meta.IsNoMatchError(err) {
		return readError(err, field, "the list of resources that the cluster has")
	}
	gv := wanted.GroupVersion().String()
	if gv == "" {
		gv = "any group"
	}
	return errorf(event.ReasonNotFound, "%s: the cluster has no resource %q in %s; install its CustomResourceDefinition, or correct group, apiVersion and resource: %w",
		field, wanted.Resource, gv, err)
}
