package csi

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
)

// Names of the functions.
const (
	NameDelete        = "DeleteCSISnapshot"
	NameDeleteContent = "DeleteCSISnapshotContent"
)

// NewDelete returns a DeleteCSISnapshot for one call.
func NewDelete() function.Function { return remove{} }

// NewDeleteContent returns a DeleteCSISnapshotContent for one call.
func NewDeleteContent() function.Function { return removeContent{} }

type remove struct{}

// Execute implements function.Function. A snapshot that is not there is deleted.
func (remove) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		Name      string `mapstructure:"name" arg:"required"`
		Namespace string `mapstructure:"namespace" arg:"required"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	if err := filled(given{"name", args.Name}, given{"namespace", args.Namespace}); err != nil {
		return nil, err
	}
	s, err := newSnapshot(call, args.Name, args.Namespace)
	if err != nil {
		return nil, err
	}
	found, err := s.api.Get(ctx, args.Name, metav1.GetOptions{})
	if err == nil {
		err = s.remove(ctx, found)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, s.failed(ctx, err, "delete %s", s)
	}
	call.Log.Info().Stringer("snapshot", s).Msg("snapshot deleted")
	return nil, nil //nolint:nilnil // nothing is published
}

type removeContent struct{}

// Execute implements function.Function. It does not wait, as Kanister's does not; one
// that is not there is deleted.
func (removeContent) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		Name string `mapstructure:"name" arg:"required"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	if err := filled(given{"name", args.Name}); err != nil {
		return nil, err
	}
	contents, err := resourceOf(call, kindContent, "")
	if err != nil {
		return nil, err
	}
	err = contents.Delete(ctx, args.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, failed(ctx, err, "delete the VolumeSnapshotContent %s", args.Name)
	}
	return nil, nil //nolint:nilnil // nothing is published
}
