package kubefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// sniffed is how much is looked at to tell JSON from YAML.
const sniffed = 4096

// place is where an object stands.
type place struct {
	gvr             schema.GroupVersionResource
	namespace, name string
}

// Store holds objects. The zero value is not ready; use New.
type Store struct {
	// namespace of objects that say none.
	namespace string
	objects   map[place]*unstructured.Unstructured
	kinds     map[schema.GroupVersionKind]resource
	// StandIn makes up an object that is not there, nil for none. What it makes up is
	// there from then on.
	StandIn func(gvk schema.GroupVersionKind, namespace, name string) *unstructured.Unstructured
}

// New returns an empty store; namespace is that of objects which say none.
func New(namespace string) *Store {
	return &Store{namespace: namespace, objects: map[place]*unstructured.Unstructured{}, kinds: builtin()}
}

// Read adds every object of a file, YAML documents or JSON. name is for messages. What
// is not a Kubernetes object is an error.
func (s *Store) Read(name string, data []byte) error {
	reader := kyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), sniffed)
	for i := 1; ; i++ {
		object := &unstructured.Unstructured{}
		err := reader.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s, document %d: neither YAML nor JSON: %w", name, i, err)
		}
		if len(object.Object) == 0 {
			continue // only comments
		}
		if err := s.Add(object); err != nil {
			return fmt.Errorf("%s, document %d: %w", name, i, err)
		}
	}
}

// Add adds an object, or each item of a list.
func (s *Store) Add(object *unstructured.Unstructured) error {
	if object.IsList() {
		list, err := object.ToList()
		if err != nil {
			return fmt.Errorf("read the list: %w", err)
		}
		for i := range list.Items {
			if err := s.Add(&list.Items[i]); err != nil {
				return err
			}
		}
		return nil
	}
	gvk := object.GroupVersionKind()
	if gvk.Kind == "" || gvk.Version == "" {
		return errors.New("it has no apiVersion or no kind, so it is no Kubernetes object")
	}
	if object.GetName() == "" && object.GetGenerateName() == "" {
		return fmt.Errorf("%s has neither metadata.name nor metadata.generateName", gvk.Kind)
	}
	r := s.learn(gvk, object.GetNamespace() != "")
	if r.namespaced && object.GetNamespace() == "" {
		object.SetNamespace(s.namespace)
	}
	if object.GetName() == "" {
		s.generate(object, gvk.GroupVersion().WithResource(r.name))
	}
	if object.GetUID() == "" {
		object.SetUID(types.UID("uid-of-" + strings.ToLower(gvk.Kind) + "-" + object.GetName()))
	}
	if gvk.Kind == "Secret" && gvk.Group == "" {
		mask(object.Object)
	}
	at := place{gvk.GroupVersion().WithResource(r.name), object.GetNamespace(), object.GetName()}
	if _, twice := s.objects[at]; twice {
		return fmt.Errorf("%s %s is given twice", gvk.Kind, object.GetName())
	}
	s.objects[at] = object
	return nil
}

// generate gives an object the name that an API server would make from generateName,
// with a number instead of what is random there: the same files show the same.
func (s *Store) generate(object *unstructured.Unstructured, gvr schema.GroupVersionResource) {
	for n := 1; ; n++ {
		name := object.GetGenerateName() + strconv.Itoa(n)
		if _, taken := s.objects[place{gvr, object.GetNamespace(), name}]; !taken {
			object.SetName(name)
			return
		}
	}
}

// learn makes a kind known.
func (s *Store) learn(gvk schema.GroupVersionKind, namespaced bool) resource {
	if r, ok := s.kinds[gvk]; ok {
		return r
	}
	plural, _ := meta.UnsafeGuessKindToResource(gvk)
	r := resource{name: plural.Resource, namespaced: namespaced || gvk.Group != ""}
	s.kinds[gvk] = r
	return r
}

// KnowResource makes a resource known of which there is no object.
func (s *Store) KnowResource(gvr schema.GroupVersionResource) {
	for gvk, r := range s.kinds {
		if gvk.GroupVersion() == gvr.GroupVersion() && r.name == gvr.Resource {
			return
		}
	}
	kind := strings.TrimSuffix(gvr.Resource, "s")
	if kind == "" {
		return
	}
	s.kinds[gvr.GroupVersion().WithKind(strings.ToUpper(kind[:1])+kind[1:])] = resource{name: gvr.Resource, namespaced: true}
}

// All returns the objects of a kind, by namespace and name.
func (s *Store) All(gvk schema.GroupVersionKind) []*unstructured.Unstructured {
	var found []*unstructured.Unstructured
	for at, object := range s.objects {
		if at.gvr == gvk.GroupVersion().WithResource(s.kinds[gvk].name) {
			found = append(found, object)
		}
	}
	slices.SortFunc(found, func(a, b *unstructured.Unstructured) int {
		return strings.Compare(a.GetNamespace()+"/"+a.GetName(), b.GetNamespace()+"/"+b.GetName())
	})
	return found
}

// get returns an object, which may be made up.
func (s *Store) get(at place) *unstructured.Unstructured {
	if object, ok := s.objects[at]; ok {
		return object
	}
	if s.StandIn == nil {
		return nil
	}
	for _, gvk := range slices.SortedFunc(maps.Keys(s.kinds), func(a, b schema.GroupVersionKind) int { return strings.Compare(a.String(), b.String()) }) {
		if gvk.GroupVersion() != at.gvr.GroupVersion() || s.kinds[gvk].name != at.gvr.Resource {
			continue
		}
		object := s.StandIn(gvk, at.namespace, at.name)
		if object == nil {
			return nil
		}
		object.SetGroupVersionKind(gvk)
		object.SetName(at.name)
		object.SetNamespace(at.namespace)
		if err := s.Add(object); err != nil {
			return nil
		}
		return object
	}
	return nil
}
