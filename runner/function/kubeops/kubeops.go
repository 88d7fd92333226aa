package kubeops

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
	"github.com/salvor-io/salvor/runner/function/object"
)

// Name of the function.
const Name = "KubeOps"

// fieldManager is what the API server notes as the author of changes.
const fieldManager = "salvor"

// New returns a KubeOps for one call.
func New() function.Function { return &kubeOps{} }

type kubeOps struct{}

type arguments struct {
	Operation string            `mapstructure:"operation" arg:"required"`
	Spec      string            `mapstructure:"spec"`
	Namespace string            `mapstructure:"namespace"`
	Reference *object.Reference `mapstructure:"objectReference"`
}

// operation is one call with its arguments read.
type operation struct {
	arguments
	call *function.Call
}

// Execute implements function.Function.
func (*kubeOps) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	op := operation{call: call}
	if err := arg.Decode(call.Args, &op.arguments); err != nil {
		return nil, err
	}
	if op.Namespace == "" {
		op.Namespace = corev1.NamespaceDefault
	}
	var output map[string]any
	var err error
	switch strings.ToLower(op.Operation) {
	case "create":
		output, err = op.create(ctx)
	case "delete":
		output, err = op.remove(ctx)
	case "patch":
		output, err = op.patch(ctx)
	default:
		return nil, function.Errorf(event.ReasonInvalid, `argument "operation" must be create, delete or patch, not %q`, op.Operation)
	}
	if err != nil && ctx.Err() != nil {
		err = function.FromAPI(context.Cause(ctx), "KubeOps %s was stopped", op.Operation)
	}
	return output, err
}

// find looks up the argument objectReference.
func (op *operation) find() (*object.Object, error) {
	if op.Reference == nil {
		return nil, function.Errorf(event.ReasonInvalid, `argument "objectReference" is missing: operation %s needs apiVersion, group, resource, name and namespace`, op.Operation)
	}
	return object.Find(op.call.Kube, *op.Reference, op.Namespace)
}

// output is what later phases see: the object as an objectReference. All keys are
// there, because templates fail on a missing one.
func output(mapping *meta.RESTMapping, name, namespace string) map[string]any {
	return map[string]any{
		"apiVersion": mapping.Resource.Version,
		"group":      mapping.Resource.Group,
		"resource":   mapping.Resource.Resource,
		"kind":       mapping.GroupVersionKind.Kind,
		"name":       name,
		"namespace":  namespace,
	}
}
