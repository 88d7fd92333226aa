package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// footprint remembers what the cluster's programs change outside of our
// folders, so that down puts it back.
type footprint struct {
	Kernel  map[string]string `json:"kernel"`  // kernel settings as they were
	Folders []string          `json:"folders"` // folders that did not exist
}

// kernelSettings are what we, the kubelet and kube-proxy set.
func kernelSettings() []string {
	return []string{
		"net/ipv4/ip_forward",
		"net/ipv4/conf/all/route_localnet",
		"net/bridge/bridge-nf-call-iptables",
		"net/bridge/bridge-nf-call-ip6tables",
		"vm/overcommit_memory",
		"vm/panic_on_oom",
		"kernel/panic",
		"kernel/panic_on_oops",
		"kernel/keys/root_maxkeys",
		"kernel/keys/root_maxbytes",
	}
}

// outsideFolders are made by programs whose paths are not a setting.
func outsideFolders() []string {
	return []string{
		"/var/log/containers", "/var/log/pods", "/var/lib/kubelet", "/var/lib/cni",
		"/opt/containerd", "/opt/cni", "/run/containerd", "/run/cni", "/var/run/nri", "/etc/cni", "/etc/cdi",
	}
}

func (c *Cluster) footprintFile() string { return c.path("footprint.json") }

// rememberFootprint notes how things are before anything is changed. A note
// that is there stays: it tells how they were before a cluster that crashed.
func (c *Cluster) rememberFootprint() error {
	if _, err := os.Stat(c.footprintFile()); err == nil {
		return nil
	}
	before := footprint{Kernel: map[string]string{}}
	for _, name := range kernelSettings() {
		if value, err := os.ReadFile(filepath.Join("/proc/sys", name)); err == nil {
			before.Kernel[name] = strings.TrimSpace(string(value))
		}
	}
	for _, folder := range outsideFolders() {
		if _, err := os.Lstat(folder); errors.Is(err, os.ErrNotExist) {
			before.Folders = append(before.Folders, folder)
		}
	}
	content, err := json.MarshalIndent(before, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.layout.State(), 0o755); err != nil {
		return err
	}
	return os.WriteFile(c.footprintFile(), content, 0o600)
}

// restoreFootprint puts back what rememberFootprint noted.
func (c *Cluster) restoreFootprint() error {
	content, err := os.ReadFile(c.footprintFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var before footprint
	if err := json.Unmarshal(content, &before); err != nil {
		// Cut short by a crash: then nothing had been changed yet.
		return os.Remove(c.footprintFile())
	}
	var errs []error
	for name, value := range before.Kernel {
		errs = append(errs, setKernel(name, value))
	}
	for _, folder := range before.Folders {
		errs = append(errs, os.RemoveAll(folder))
	}
	errs = append(errs, c.removeLogLinks(), c.removeCNIResults())
	return errors.Join(errs...)
}

func setKernel(name, value string) error {
	path := filepath.Join("/proc/sys", name)
	now, err := os.ReadFile(path)
	if err != nil || strings.TrimSpace(string(now)) == value {
		return nil //nolint:nilerr // a setting this kernel lacks needs no value
	}
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		return fmt.Errorf("set %s to %s: %w", name, value, err)
	}
	return nil
}

// removeLogLinks removes the kubelet's links to our logs from the folder that
// it shares with any other kubelet.
func (c *Cluster) removeLogLinks() error {
	links, err := filepath.Glob("/var/log/containers/*.log")
	if err != nil {
		return err
	}
	var errs []error
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, c.layout.State()+"/") {
			errs = append(errs, os.Remove(link))
		}
	}
	return errors.Join(errs...)
}

// removeCNIResults removes what the CNI library remembers of our network.
func (c *Cluster) removeCNIResults() error {
	results, err := filepath.Glob("/var/lib/cni/results/" + cniNetwork + "-*")
	if err != nil {
		return err
	}
	var errs []error
	for _, result := range results {
		errs = append(errs, os.Remove(result))
	}
	return errors.Join(errs...)
}
