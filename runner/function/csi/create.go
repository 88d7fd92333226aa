package csi

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
)

// NameCreate is the name of the function.
const NameCreate = "CreateCSISnapshot"

// NewCreate returns a CreateCSISnapshot for one call.
func NewCreate() function.Function { return create{} }

type create struct{}

// Execute implements function.Function.
func (create) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		PVC       string            `mapstructure:"pvc" arg:"required"`
		Namespace string            `mapstructure:"namespace" arg:"required"`
		Class     string            `mapstructure:"snapshotClass" arg:"required"`
		Name      string            `mapstructure:"name"`
		Labels    map[string]string `mapstructure:"labels"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	if err := filled(given{"pvc", args.PVC}, given{"namespace", args.Namespace}, given{"snapshotClass", args.Class}); err != nil {
		return nil, err
	}
	if args.Name == "" {
		args.Name = named(call, args.PVC+"-snapshot-")
	}
	s, err := newSnapshot(call, args.Name, args.Namespace)
	if err != nil {
		return nil, err
	}
	claim, err := call.Kube.Kube.CoreV1().PersistentVolumeClaims(args.Namespace).Get(ctx, args.PVC, metav1.GetOptions{})
	if err != nil {
		return nil, s.failed(ctx, err, "read the claim %s/%s to be snapshotted", args.Namespace, args.PVC)
	}
	o := newObject(call, kindSnapshot, args.Name, map[string]any{
		"volumeSnapshotClassName": args.Class,
		"source":                  map[string]any{"persistentVolumeClaimName": args.PVC},
	})
	o.SetLabels(tidy(args.Labels))
	made, err := s.take(ctx, o)
	if err != nil {
		return nil, err
	}
	output := s.output(made)
	output[outPVC] = args.PVC
	if output[outSize] == "" {
		output[outSize] = sizeOf(claim)
	}
	return output, nil
}

// sizeOf is how large a claim is. A driver need not say how large a snapshot is, and
// a claim of this size holds it.
func sizeOf(claim *corev1.PersistentVolumeClaim) string {
	size, known := claim.Status.Capacity[corev1.ResourceStorage]
	if !known {
		size = claim.Spec.Resources.Requests[corev1.ResourceStorage]
	}
	return size.String()
}

func (s *snapshot) output(made *unstructured.Unstructured) map[string]any {
	size := text(made, "status", "restoreSize")
	if size == "0" { // how the controller says that the driver does not know
		size = ""
	}
	return map[string]any{
		outName: s.name, outNamespace: s.namespace, outSize: size,
		outContent: text(made, "status", "boundVolumeSnapshotContentName"),
	}
}
