//go:build pins

package main

// The commands that are built from this module besides, so that go.mod and go.sum
// carry exactly what they need.
import (
	_ "github.com/kubernetes-csi/external-snapshotter/v8/cmd/csi-snapshotter"
	_ "github.com/kubernetes-csi/external-snapshotter/v8/cmd/snapshot-controller"
)
