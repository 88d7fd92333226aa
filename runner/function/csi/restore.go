package csi

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
)

// NameRestore is the name of the function.
const NameRestore = "RestoreCSISnapshot"

// NewRestore returns a RestoreCSISnapshot for one call.
func NewRestore() function.Function { return restore{} }

type restore struct{}

type restoreArguments struct {
	Name        string                              `mapstructure:"name" arg:"required"`
	PVC         string                              `mapstructure:"pvc" arg:"required"`
	Namespace   string                              `mapstructure:"namespace" arg:"required"`
	Class       string                              `mapstructure:"storageClass" arg:"required"`
	Size        string                              `mapstructure:"restoreSize" arg:"required"`
	AccessModes []corev1.PersistentVolumeAccessMode `mapstructure:"accessModes"`
	VolumeMode  corev1.PersistentVolumeMode         `mapstructure:"volumeMode"`
	Labels      map[string]string                   `mapstructure:"labels"`
}

// Execute implements function.Function. It does not wait until the claim is bound,
// which may be only once a pod uses it.
func (restore) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args restoreArguments
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	claim, err := args.claim(call)
	if err != nil {
		return nil, err
	}
	if err := args.fits(ctx, call, claim.Spec.Resources.Requests[corev1.ResourceStorage]); err != nil {
		return nil, err
	}
	api := call.Kube.Kube.CoreV1().PersistentVolumeClaims(args.Namespace)
	_, err = api.Create(ctx, claim, metav1.CreateOptions{FieldManager: fieldManager})
	if apierrors.IsAlreadyExists(err) {
		found, getErr := api.Get(ctx, args.PVC, metav1.GetOptions{})
		switch {
		case getErr != nil:
			err = fmt.Errorf("it exists, but cannot be read: %w", getErr)
		case ours(call, found):
			err = nil
		default:
			err = fmt.Errorf("something else made it; delete it and wait until it is gone, as KubeOps does, before the restore: %w", err)
		}
	}
	if err != nil {
		return nil, failed(ctx, err, "make the claim %s/%s", args.Namespace, args.PVC)
	}
	call.Log.Info().Str("namespace", args.Namespace).Str("pvc", args.PVC).Str("snapshot", args.Name).Msg("claim made from a snapshot")
	return nil, nil //nolint:nilnil // nothing is published
}

// claim is the claim to make.
func (a *restoreArguments) claim(call *function.Call) (*corev1.PersistentVolumeClaim, error) {
	err := filled(given{"name", a.Name}, given{"pvc", a.PVC}, given{"namespace", a.Namespace},
		given{"storageClass", a.Class}, given{"restoreSize", a.Size})
	if err != nil {
		return nil, err
	}
	size, err := resource.ParseQuantity(a.Size)
	if err != nil || size.Sign() <= 0 {
		return nil, function.Errorf(event.ReasonInvalid, `argument "restoreSize" must be a size such as 1Gi, not %q`, a.Size)
	}
	if len(a.AccessModes) == 0 {
		a.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce, corev1.ReadOnlyMany, corev1.ReadWriteMany}
	for _, mode := range a.AccessModes {
		if !slices.Contains(modes, mode) {
			return nil, function.Errorf(event.ReasonInvalid, `argument "accessModes" can have ReadWriteOnce, ReadOnlyMany and ReadWriteMany, not %q`, mode)
		}
	}
	if a.VolumeMode == "" {
		a.VolumeMode = corev1.PersistentVolumeFilesystem
	}
	if a.VolumeMode != corev1.PersistentVolumeFilesystem && a.VolumeMode != corev1.PersistentVolumeBlock {
		return nil, function.Errorf(event.ReasonInvalid, `argument "volumeMode" must be Filesystem or Block, not %q`, a.VolumeMode)
	}
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name: a.PVC, Namespace: a.Namespace, Labels: a.Labels,
			Annotations: map[string]string{AnnotationJob: markOf(call)},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: a.AccessModes, VolumeMode: &a.VolumeMode, StorageClassName: &a.Class,
			DataSource: &corev1.TypedLocalObjectReference{APIGroup: new(Group), Kind: kindSnapshot, Name: a.Name},
			Resources:  corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: size}},
		},
	}, nil
}

// fits looks at the snapshot first: a claim from one that is not there, or needs
// more room, would stay pending for ever, with the reason in an event only.
func (a *restoreArguments) fits(ctx context.Context, call *function.Call, size resource.Quantity) error {
	s, err := newSnapshot(call, a.Name, a.Namespace)
	if err != nil {
		return err
	}
	found, err := s.api.Get(ctx, a.Name, metav1.GetOptions{})
	if err != nil {
		return s.failed(ctx, err, "read %s to be restored", s)
	}
	needs, err := resource.ParseQuantity(text(found, "status", "restoreSize"))
	if err == nil && size.Cmp(needs) < 0 {
		return function.Errorf(event.ReasonInvalid, `argument "restoreSize" is %s, but %s needs %s`, a.Size, s, needs.String())
	}
	return nil
}
