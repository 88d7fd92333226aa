package kubeops

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/object"
)

// AnnotationJob marks what KubeOps creates, as "<run>.<action>.<phase>.<document>".
const AnnotationJob = "salvor.io/job"

// create makes every object of the spec and returns the last one.
func (op *operation) create(ctx context.Context) (map[string]any, error) {
	documents, err := op.documents()
	if err != nil {
		return nil, err
	}
	var last map[string]any
	for i, document := range documents {
		last, err = op.createOne(ctx, i, document)
		if err != nil {
			return nil, err
		}
	}
	return last, nil
}

// documents are the objects of the spec, those in lists too.
func (op *operation) documents() ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(op.Spec), 4096)
	var all []*unstructured.Unstructured
	for n := 1; ; n++ {
		document := map[string]any{}
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, function.Errorf(event.ReasonInvalid, `argument "spec", document %d, is not YAML: %w`, n, err)
		}
		if len(document) == 0 {
			continue
		}
		o := &unstructured.Unstructured{Object: document}
		if o.GetKind() == "" || o.GetAPIVersion() == "" {
			return nil, function.Errorf(event.ReasonInvalid, `argument "spec", document %d, must have apiVersion and kind`, n)
		}
		if !o.IsList() {
			all = append(all, o)
			continue
		}
		items, err := o.ToList()
		if err != nil {
			return nil, function.Errorf(event.ReasonInvalid, `argument "spec", document %d, is not a list of objects: %w`, n, err)
		}
		for i := range items.Items {
			all = append(all, &items.Items[i])
		}
	}
	if len(all) == 0 {
		return nil, function.Errorf(event.ReasonInvalid, `argument "spec" is empty: operation %s needs the object as YAML`, op.Operation)
	}
	return all, nil
}

func (op *operation) createOne(ctx context.Context, index int, o *unstructured.Unstructured) (map[string]any, error) {
	mapping, err := object.Mapping(op.call.Kube, o.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	client := op.clientFor(mapping, o)
	mark := op.mark(index)
	annotations := o.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[AnnotationJob] = mark
	o.SetAnnotations(annotations)
	if o.GetName() == "" && o.GetGenerateName() != "" {
		o.SetName(nameFrom(o.GetGenerateName(), mark))
	}
	what := fmt.Sprintf("create %s %s", mapping.Resource.GroupResource(), o.GetName())
	made, err := client.Create(ctx, o, metav1.CreateOptions{FieldManager: fieldManager})
	if apierrors.IsAlreadyExists(err) {
		made, err = adopt(ctx, client, o.GetName(), mark, err)
	}
	if err != nil {
		return nil, function.FromAPI(err, "%s", what)
	}
	op.call.Log.Info().Str("resource", mapping.Resource.GroupResource().String()).
		Str("namespace", made.GetNamespace()).Str("name", made.GetName()).Msg("created")
	return output(mapping, made.GetName(), made.GetNamespace()), nil
}

// clientFor sets the namespace of an object that is in one: its own, or the
// argument's.
func (op *operation) clientFor(mapping *meta.RESTMapping, o *unstructured.Unstructured) dynamic.ResourceInterface {
	resource := op.call.Kube.Dynamic.Resource(mapping.Resource)
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		o.SetNamespace("")
		return resource
	}
	if o.GetNamespace() == "" {
		o.SetNamespace(op.Namespace)
	}
	return resource.Namespace(o.GetNamespace())
}

// adopt returns the object that exists if an earlier attempt of this phase made
// it; otherwise the error of the create.
func adopt(ctx context.Context, client dynamic.ResourceInterface, name, mark string, exists error) (*unstructured.Unstructured, error) {
	found, err := client.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("it exists, but cannot be read: %w", err)
	}
	if found.GetAnnotations()[AnnotationJob] != mark {
		return nil, fmt.Errorf("something else made it; delete it, or give the object a generateName: %w", exists)
	}
	return found, nil
}

// mark names the phase, without its attempt, and the document.
func (op *operation) mark(index int) string {
	key := op.call.Key.String()
	return key[:strings.LastIndexByte(key, '.')] + "." + strconv.Itoa(index)
}

// nameFrom is a name as the API server would make it from generateName, but the
// same for the same mark.
func nameFrom(prefix, mark string) string {
	const suffix, longest = 10, 63
	sum := sha256.Sum256([]byte(mark))
	text := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))
	return prefix[:min(len(prefix), longest-suffix)] + text[:suffix]
}
