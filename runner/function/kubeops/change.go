package kubeops

import (
	"context"
	"encoding/json"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/object"
)

// remove deletes the object and waits until it is gone.
func (op *operation) remove(ctx context.Context) (map[string]any, error) {
	target, err := op.find()
	if err != nil {
		return nil, err
	}
	client := target.Client(op.call.Kube)
	done := output(target.Mapping, target.Name, target.Namespace)
	// The UID tells this object from one that is made anew.
	now, err := client.Get(ctx, target.Name, metav1.GetOptions{})
	if err == nil {
		uid := now.GetUID()
		background := metav1.DeletePropagationBackground
		err = client.Delete(ctx, target.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background,
		})
	}
	if apierrors.IsNotFound(err) {
		op.call.Log.Info().Stringer("object", target).Msg("nothing to delete: it does not exist")
		return done, nil
	}
	if err != nil && !apierrors.IsConflict(err) { // a conflict: already made anew
		return nil, function.FromAPI(err, "delete %s", target)
	}
	follower := object.Follower{Resource: client, Clock: op.call.Clock, Log: op.call.Log}
	err = follower.Object(ctx, target.Name, func(o *unstructured.Unstructured) (bool, error) {
		return o == nil || o.GetUID() != now.GetUID(), nil
	})
	if err != nil {
		return nil, function.FromAPI(err, "wait until %s is gone", target)
	}
	op.call.Log.Info().Stringer("object", target).Msg("deleted")
	return done, nil
}

// patch merges the spec into the object.
func (op *operation) patch(ctx context.Context) (map[string]any, error) {
	target, body, err := op.patchTarget()
	if err != nil {
		return nil, err
	}
	client := target.Client(op.call.Kube)
	options := metav1.PatchOptions{FieldManager: fieldManager}
	_, err = client.Patch(ctx, target.Name, types.StrategicMergePatchType, body, options)
	if apierrors.IsUnsupportedMediaType(err) {
		// Custom resources have no strategic merge.
		_, err = client.Patch(ctx, target.Name, types.MergePatchType, body, options)
	}
	if err != nil {
		return nil, function.FromAPI(err, "patch %s", target)
	}
	op.call.Log.Info().Stringer("object", target).Msg("patched")
	return output(target.Mapping, target.Name, target.Namespace), nil
}

// patchTarget is the object to patch, by objectReference or, without one, by what
// the patch says of itself, and the patch as JSON.
func (op *operation) patchTarget() (*object.Object, []byte, error) {
	patch := map[string]any{}
	if err := yaml.Unmarshal([]byte(op.Spec), &patch); err != nil {
		return nil, nil, function.Errorf(event.ReasonInvalid, `argument "spec" is not YAML: %w`, err)
	}
	if len(patch) == 0 {
		return nil, nil, function.Errorf(event.ReasonInvalid, `argument "spec" is empty: operation %s needs the fields to change as YAML`, op.Operation)
	}
	if self := (&unstructured.Unstructured{Object: patch}); op.Reference == nil && self.GetKind() != "" && self.GetName() != "" {
		op.Reference = &object.Reference{
			APIVersion: self.GetAPIVersion(), Kind: self.GetKind(), Name: self.GetName(), Namespace: self.GetNamespace(),
		}
	}
	target, err := op.find()
	if err != nil {
		return nil, nil, err
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return nil, nil, function.Errorf(event.ReasonInvalid, `argument "spec" cannot be written as JSON: %w`, err)
	}
	return target, body, nil
}
