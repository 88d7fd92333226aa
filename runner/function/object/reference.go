package object

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/runner/function"
)

// Reference names an object as blueprints do, in objectReference.
type Reference struct {
	// APIVersion is a version ("v1") with its group in Group, or both
	// ("apps/v1"). Empty means the version that the API server prefers.
	APIVersion string `mapstructure:"apiVersion"`
	Group      string `mapstructure:"group"`
	// Resource ("deployments") or Kind ("Deployment"); Resource is used when both
	// are there.
	Resource string `mapstructure:"resource"`
	Kind     string `mapstructure:"kind"`
	Name     string `mapstructure:"name"`
	// Namespace is ignored for a cluster-wide object.
	Namespace string `mapstructure:"namespace"`
}

// Object is a reference that was found to be possible. Whether the object exists
// is another question.
type Object struct {
	Mapping *meta.RESTMapping
	Name    string
	// Namespace is empty for a cluster-wide object.
	Namespace string
}

// Find looks up the resource of a reference. An object in a namespace that the
// reference does not name is in fallback; if that is empty too, it is an error. If
// the API server has no such resource, a *function.Error with
// event.ReasonNotFound is returned.
func Find(clients *kube.Clients, ref Reference, fallback string) (*Object, error) {
	if ref.Name == "" {
		return nil, function.Errorf(event.ReasonInvalid, "objectReference.name is empty; name the object")
	}
	gv, err := ref.groupVersion()
	if err != nil {
		return nil, &function.Error{Reason: event.ReasonInvalid, Err: err}
	}
	gk := schema.GroupKind{Group: gv.Group, Kind: ref.Kind}
	switch {
	case ref.Resource != "":
		gvk, err := clients.Mapper.KindFor(gv.WithResource(strings.ToLower(ref.Resource)))
		if err != nil {
			return nil, function.FromAPI(err, "find resource %q of objectReference", ref.Resource)
		}
		gk, gv.Version = gvk.GroupKind(), gvk.Version
	case ref.Kind == "":
		return nil, function.Errorf(event.ReasonInvalid, "objectReference.resource is empty; name the resource, for example pods")
	}
	mapping, err := Mapping(clients, gk.WithVersion(gv.Version))
	if err != nil {
		return nil, err
	}
	return inNamespace(mapping, ref, fallback)
}

// Mapping looks up the resource of a kind; an empty version is the preferred one.
func Mapping(clients *kube.Clients, gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	var versions []string
	if gvk.Version != "" {
		versions = []string{gvk.Version}
	}
	mapping, err := clients.Mapper.RESTMapping(gvk.GroupKind(), versions...)
	if err != nil {
		return nil, function.FromAPI(err, "find kind %s", gvk)
	}
	return mapping, nil
}

func inNamespace(mapping *meta.RESTMapping, ref Reference, fallback string) (*Object, error) {
	found := &Object{Mapping: mapping, Name: ref.Name}
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return found, nil
	}
	found.Namespace = ref.Namespace
	if found.Namespace == "" {
		found.Namespace = fallback
	}
	if found.Namespace == "" {
		return nil, function.Errorf(event.ReasonInvalid, "objectReference.namespace is empty; name the namespace of %s %q", mapping.Resource.Resource, ref.Name)
	}
	return found, nil
}

func (r Reference) groupVersion() (schema.GroupVersion, error) {
	if !strings.Contains(r.APIVersion, "/") {
		return schema.GroupVersion{Group: r.Group, Version: r.APIVersion}, nil
	}
	gv, err := schema.ParseGroupVersion(r.APIVersion)
	if err != nil {
		return gv, fmt.Errorf("objectReference.apiVersion: %w", err)
	}
	if r.Group != "" && r.Group != gv.Group {
		return gv, errors.New("objectReference.apiVersion and objectReference.group name different groups; leave one out")
	}
	return gv, nil
}

// Client returns the client for the object's resource in its namespace.
func (o *Object) Client(clients *kube.Clients) dynamic.ResourceInterface {
	resource := clients.Dynamic.Resource(o.Mapping.Resource)
	if o.Namespace == "" {
		return resource
	}
	return resource.Namespace(o.Namespace)
}

// String is the object for messages: deployments.apps namespace/name.
func (o *Object) String() string {
	resource := o.Mapping.Resource.GroupResource().String()
	if o.Namespace == "" {
		return resource + " " + o.Name
	}
	return resource + " " + o.Namespace + "/" + o.Name
}
