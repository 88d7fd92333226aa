package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/salvor-io/salvor/deploy/local/layout"
)

// What makes the storage class csi-dir, whose volumes can be snapshotted. They run
// beside the kubelet and not in pods: the driver's mounts are then where the
// kubelet makes pods, on a machine whose mounts are private too, and no image is
// needed.
const (
	csiDriver      = "csi-dir"
	csiProvisioner = "csi-provisioner"
	csiSnapshotter = "csi-snapshotter"
	snapshots      = "snapshot-controller"

	driverName  = "csi-dir.salvor.io"
	csiCRDs     = "snapshot-crds"
	csiNodePath = "/apis/storage.k8s.io/v1/csinodes/" + nodeName
)

func csiPrograms() []string {
	return []string{csiProvisioner, csiSnapshotter, snapshots, csiDriver}
}

// CSI starts a CSI driver and what takes snapshots with it, in the cluster that
// runs; those that run already are left as they are.
func (c *Cluster) CSI(ctx context.Context) error {
	if err := c.mine(); err != nil {
		return err
	}
	for _, name := range append(csiPrograms(), csiCRDs) {
		if _, err := os.Stat(c.layout.Program(name)); err != nil {
			return fmt.Errorf("%s is not built; run `make kubernetes`", name)
		}
	}
	api, err := c.api()
	if err != nil {
		return err
	}
	registered := func(ctx context.Context) error { return api.hasDriver(ctx, driverName) }
	return c.runSteps(ctx, []step{
		{"snapshot resources", c.applyCSI},
		{"start the CSI driver and its sidecars", func(context.Context) error { return c.startCSI() }},
		{"CSI driver registered", c.wait(registered, startLimit, csiPrograms()...)},
	})
}

func (c *Cluster) applyCSI(ctx context.Context) error {
	folder := c.layout.Program(csiCRDs)
	admin := []string{"--kubeconfig", c.kubeconfig("admin")}
	for _, args := range [][]string{
		{"apply", "--server-side", "--filename=" + folder},
		{"wait", "--for=condition=Established", "--timeout=60s", "--filename=" + folder},
		{"apply", "--filename=" + filepath.Join(c.layout.Manifests(), "csi.yaml")},
	} {
		if err := run(ctx, "", c.layout.Program("kubectl"), slices.Concat(admin, args)...); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) startCSI() error {
	socket := filepath.Join(layout.Run, "csi.sock")
	client := "--kubeconfig=" + c.kubeconfig("csi")
	sidecar := []string{client, "--csi-address=" + socket, "--retry-interval-start=250ms", "--timeout=10m"}
	args := map[string][]string{
		csiDriver: {
			"-endpoint=" + socket, "-root=" + c.path("csi"), "-node=" + nodeName,
			"-registration=" + c.path("kubelet", "plugins_registry"),
		},
		csiProvisioner: sidecar,
		// A snapshot that is deleted in the instant in which it is taken is seen to at
		// the controllers' next look at everything, by default after 15 minutes.
		csiSnapshotter: append(slices.Clone(sidecar), "--resync-period=10s"),
		snapshots:      {client, "--retry-interval-start=250ms", "--resync-period=10s"},
	}
	var errs []error
	for name, with := range args {
		if !c.programs.Running(name) {
			errs = append(errs, c.start(name, with...))
		}
	}
	return errors.Join(errs...)
}

// hasDriver returns nil when the kubelet knows the CSI driver.
func (a *api) hasDriver(ctx context.Context, name string) error {
	var node struct {
		Spec struct {
			Drivers []struct {
				Name string
			}
		}
	}
	if err := a.get(ctx, csiNodePath, &node); err != nil {
		return err
	}
	for _, driver := range node.Spec.Drivers {
		if driver.Name == name {
			return nil
		}
	}
	return fmt.Errorf("the kubelet does not know the CSI driver %s yet", name)
}
