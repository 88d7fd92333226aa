//go:build pins

// Package pins names the commands that are built from this module, so that go.mod
// and go.sum carry exactly what they need.
package pins

import (
	_ "github.com/containerd/containerd/v2/cmd/containerd"
	_ "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"
	_ "github.com/containerd/containerd/v2/cmd/ctr"
)
