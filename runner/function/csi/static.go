package csi

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
)

// NameCreateStatic is the name of the function.
const NameCreateStatic = "CreateCSISnapshotStatic"

// NewCreateStatic returns a CreateCSISnapshotStatic for one call.
func NewCreateStatic() function.Function { return createStatic{} }

type createStatic struct{}

type staticArguments struct {
	Name      string `mapstructure:"name" arg:"required"`
	Namespace string `mapstructure:"namespace" arg:"required"`
	Driver    string `mapstructure:"driver" arg:"required"`
	Handle    string `mapstructure:"snapshotHandle" arg:"required"`
	Class     string `mapstructure:"snapshotClass" arg:"required"`
}

// Execute implements function.Function.
func (createStatic) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args staticArguments
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	err := filled(given{"name", args.Name}, given{"namespace", args.Namespace}, given{"driver", args.Driver},
		given{"snapshotHandle", args.Handle}, given{"snapshotClass", args.Class})
	if err != nil {
		return nil, err
	}
	s, err := newSnapshot(call, args.Name, args.Namespace)
	if err != nil {
		return nil, err
	}
	content, err := s.makeContent(ctx, args)
	if err != nil {
		return nil, err
	}
	made, err := s.take(ctx, newObject(call, kindSnapshot, args.Name, map[string]any{
		"volumeSnapshotClassName": args.Class,
		"source":                  map[string]any{"volumeSnapshotContentName": content},
	}))
	if err != nil {
		return nil, err
	}
	return s.output(made), nil
}

// makeContent makes the VolumeSnapshotContent, which says where the snapshot is in
// the storage system, unless the phase already has, and returns its name. What is
// done with the snapshot when it is deleted is the class's decision, as it is for
// the snapshots that the class takes.
func (s *snapshot) makeContent(ctx context.Context, args staticArguments) (string, error) {
	classes, err := resourceOf(s.call, kindClass, "")
	if err != nil {
		return "", err
	}
	contents, err := resourceOf(s.call, kindContent, "")
	if err != nil {
		return "", err
	}
	class, err := classes.Get(ctx, args.Class, metav1.GetOptions{})
	if err != nil {
		return "", s.failed(ctx, err, "read the VolumeSnapshotClass %s", args.Class)
	}
	name := named(s.call, args.Name+"-content-")
	o := newObject(s.call, kindContent, name, map[string]any{
		"deletionPolicy":          text(class, "deletionPolicy"),
		"driver":                  args.Driver,
		"source":                  map[string]any{"snapshotHandle": args.Handle},
		"volumeSnapshotClassName": args.Class,
		"volumeSnapshotRef": map[string]any{
			"apiVersion": Group + "/v1", "kind": kindSnapshot, "name": args.Name, "namespace": args.Namespace,
		},
	})
	_, err = contents.Create(ctx, o, metav1.CreateOptions{FieldManager: fieldManager})
	if apierrors.IsAlreadyExists(err) {
		var found *unstructured.Unstructured
		found, getErr := contents.Get(ctx, name, metav1.GetOptions{})
		switch {
		case getErr != nil:
			err = fmt.Errorf("it exists, but cannot be read: %w", getErr)
		case ours(s.call, found):
			err = nil
		}
	}
	if err != nil {
		return "", s.failed(ctx, err, "make the VolumeSnapshotContent %s", name)
	}
	return name, nil
}
