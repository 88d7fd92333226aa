package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Programs lists the programs of a cluster by name.
func Programs() []string { return programNames() }

// Kill ends one program of the running cluster without warning. The containers go
// on, also those of a kubelet or containerd that was killed.
func (c *Cluster) Kill(ctx context.Context, name string) error {
	if err := c.mine(); err != nil {
		return err
	}
	return c.programs.Kill(ctx, name)
}

// Start starts one program of the cluster again and returns when the API server
// and the node are ready. One that runs is left as it is.
func (c *Cluster) Start(ctx context.Context, name string) error {
	if err := c.mine(); err != nil {
		return err
	}
	start, known := c.starters()[name]
	if !known {
		return fmt.Errorf("%q is not a program of the cluster", name)
	}
	if !c.programs.Running(name) {
		if err := start(); err != nil {
			return err
		}
	}
	checks, err := c.health()
	if err != nil {
		return err
	}
	// A node that was gone for a moment is still called Ready, which is as good:
	// whoever killed its kubelet looks at what that does himself.
	for _, check := range checks[:2] {
		if err := c.wait(check.hold, startLimit, name)(ctx); err != nil {
			return fmt.Errorf("%s: %w", check.what, err)
		}
	}
	return nil
}

// starters are how each program is started.
func (c *Cluster) starters() map[string]func() error {
	return map[string]func() error{
		etcd: c.startEtcd, apiserver: c.startAPIServer, containerd: c.startContainerd, controller: c.startController,
		scheduler: c.startScheduler, kubelet: c.startKubelet, proxy: func() error { return c.startProxy(!filtersBridge()) },
	}
}

// mine fails unless this checkout's cluster was started.
func (c *Cluster) mine() error {
	if os.Geteuid() != 0 {
		return errors.New("the local cluster runs as root; so must this")
	}
	if err := c.checkOwner(); err != nil {
		return err
	}
	if _, err := os.Stat(c.layout.Kubeconfig()); err != nil {
		return fmt.Errorf("the local cluster does not run; `make cluster` starts it: %w", err)
	}
	return nil
}
