//go:build pins

// Package pins names the commands that are built from this module, so that go.mod
// and go.sum carry exactly what they need.
package pins

import (
	_ "github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner"
)
