package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/salvor-io/salvor/deploy/local/layout"
	"github.com/salvor-io/salvor/deploy/local/process"
)

// stopPatience is how long a program may take to end by itself. All data is
// thrown away afterwards, so nothing is lost by an end by force.
const stopPatience = 3 * time.Second

// Down stops the cluster and removes all of it but the programs and the cached
// images. It fails, naming what is left, when something is.
func (c *Cluster) Down(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("stopping the local cluster needs root, as starting it did")
	}
	if err := c.checkOwner(); err != nil {
		return err
	}
	if err := c.runSteps(ctx, c.removeSteps()); err != nil {
		return err
	}
	if err := os.Remove(c.layout.Kubeconfig()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := c.out.Step(ctx, "look for anything left", c.leftovers); err != nil {
		return err
	}
	c.out.Total("local cluster down, nothing left")
	return nil
}

func (c *Cluster) removeSteps() []step {
	return []step{
		{"stop the programs", c.stopPrograms},
		{"stop the containers", c.stopContainers},
		{"stop containerd", c.stopRuntime},
		{"unmount", func(context.Context) error { return c.unmountAll() }},
		{"remove network and cgroups", func(ctx context.Context) error {
			return errors.Join(removeNetwork(ctx), removeCgroups())
		}},
		{"remove state", func(context.Context) error { return c.removeState() }},
	}
}

// remove does what Down does, silently and without the look afterwards.
func (c *Cluster) remove(ctx context.Context) error {
	for _, s := range c.removeSteps() {
		if err := s.work(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return nil
}

// stopPrograms stops all but containerd, which is still needed by nobody but
// must outlive its containers: it would take note of their ends.
func (c *Cluster) stopPrograms(ctx context.Context) error {
	names := append(csiPrograms(), kubelet, proxy, scheduler, controller, apiserver, etcd)
	errs := make([]error, len(names))
	var stopping sync.WaitGroup
	for i, name := range names {
		stopping.Go(func() { errs[i] = c.programs.Stop(ctx, name, stopPatience) })
	}
	stopping.Wait()
	return errors.Join(errs...)
}

// stopContainers kills what runs in our cgroups or on a root file system of
// ours, but not containerd and its shims, which take in their dead children.
func (c *Cluster) stopContainers(ctx context.Context) error {
	marked, err := c.programs.Marked()
	if err != nil {
		return err
	}
	var keep []int
	for _, identity := range marked {
		keep = append(keep, identity.PID)
	}
	if err := killCgroups(keep); err != nil {
		return err
	}
	rooted, err := process.Rooted(c.layout.State())
	if err != nil {
		return err
	}
	return process.Stop(ctx, rooted, 0)
}

// stopRuntime stops containerd, then everything else that carries our mark:
// the shims, and programs whose record was lost.
func (c *Cluster) stopRuntime(ctx context.Context) error {
	if err := c.programs.Stop(ctx, containerd, stopPatience); err != nil {
		return err
	}
	marked, err := c.programs.Marked()
	if err != nil {
		return err
	}
	return errors.Join(process.Stop(ctx, marked, stopPatience), killCgroups(nil))
}

func (c *Cluster) removeState() error {
	if left, err := c.ownMounts(); err != nil || len(left) > 0 {
		// Removing through a mount would remove what is mounted.
		return errors.Join(err, fmt.Errorf("still mounted: %s", strings.Join(left, ", ")))
	}
	return errors.Join(c.restoreFootprint(), os.RemoveAll(c.layout.State()), os.RemoveAll(layout.Run))
}

// leftovers looks for everything a cluster makes.
func (c *Cluster) leftovers(ctx context.Context) error {
	var left []string
	marked, err := c.programs.Marked()
	rooted, rootErr := process.Rooted(c.layout.State())
	for _, identity := range slices.Concat(marked, rooted) {
		left = append(left, fmt.Sprintf("process %d", identity.PID))
	}
	mounts, mountErr := c.ownMounts()
	for _, target := range mounts {
		left = append(left, "mount "+target)
	}
	nft, nftErr := ownTables(ctx)
	for _, table := range nft {
		left = append(left, "nft table "+table)
	}
	dirs, dirErr := cgroupDirs()
	for _, dir := range dirs {
		left = append(left, "cgroup "+dir)
	}
	if interfaceExists(bridge) {
		left = append(left, "interface "+bridge)
	}
	for _, path := range []string{c.layout.State(), layout.Run, c.layout.Kubeconfig()} {
		if _, err := os.Lstat(path); err == nil {
			left = append(left, path)
		}
	}
	if err := errors.Join(err, rootErr, mountErr, nftErr, dirErr); err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("left behind: %s", strings.Join(left, "; "))
	}
	return nil
}
