package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/salvor-io/salvor/deploy/local/images"
	"github.com/salvor-io/salvor/deploy/local/layout"
	"github.com/salvor-io/salvor/deploy/local/setup"
)

// containerdConfig renders containerd's configuration.
//
// restrict_oom_score_adj: without CAP_SYS_RESOURCE no process may lower its
// oom_score_adj, and runc would fail with "can't get final child's PID from
// pipe: EOF" for every sandbox. Disabled plugins keep folders of their own
// outside of ours, or need a kernel feature that a plain machine lacks.
func containerdConfig(state string) string {
	return fmt.Sprintf(`version = 3
root = %[1]q
state = %[2]q
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.nri.v1.nri",
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.erofs",
  "io.containerd.differ.v1.erofs",
]

[grpc]
  address = %[3]q
[ttrpc]
  address = "%[4]s.ttrpc"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = %[5]q

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  cdi_spec_dirs = []
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = [%[6]q]
  conf_dir = %[7]q
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = false
  Root = %[8]q
`, filepath.Join(state, "containerd"), filepath.Join(layout.Run, "containerd"),
		filepath.Join(layout.Run, "containerd.sock"), filepath.Join(layout.Run, "containerd.sock"),
		images.Pause, setup.PluginDir, filepath.Join(state, "cni", "conf"), filepath.Join(layout.Run, "runc"))
}

// kubeletConfig renders the kubelet's configuration.
//
// failCgroupV1: machines with cgroup v1 are still around. cgroupRoot: every pod
// lives in our cgroup, so that all of its processes are found after a crash.
// The eviction and image thresholds are loose because a developer's disk is
// often nearly full, and evicting the database of a demonstration helps nobody.
// makeIPTablesUtilChains: kube-proxy uses nftables, and chains nobody reads
// would be left behind.
func kubeletConfig(state string) string {
	pki := filepath.Join(state, "pki")
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[1]s
port: %[2]d
healthzPort: %[3]d
tlsCertFile: %[4]s/kubelet-serving.crt
tlsPrivateKeyFile: %[4]s/kubelet-serving.key
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[4]s/ca.crt}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix://%[5]s
cgroupDriver: cgroupfs
failCgroupV1: false
cgroupsPerQOS: true
cgroupRoot: /%[10]s
enforceNodeAllocatable: []
failSwapOn: false
makeIPTablesUtilChains: false
clusterDomain: %[6]s
clusterDNS: [%[7]s]
maxPods: 250
serializeImagePulls: false
registryPullQPS: 0
eventRecordQPS: 0
imageGCHighThresholdPercent: 100
evictionHard: {nodefs.available: 10Mi, imagefs.available: 10Mi}
evictionPressureTransitionPeriod: 1s
podLogsDir: %[8]s
volumePluginDir: %[9]s
shutdownGracePeriod: 0s
`, bridgeAddress, portKubelet, portKubeletHealth, pki,
		filepath.Join(layout.Run, "containerd.sock"), dnsDomain, dnsService,
		filepath.Join(state, "podlogs"), filepath.Join(state, "kubelet", "volume-plugins"), cgroupName)
}

// cniConfig renders the pod network: a bridge, addresses from a local store,
// and no masquerading of its own (our nft table does that).
func cniConfig(state string) string {
	return fmt.Sprintf(`{
  "cniVersion": "1.0.0",
  "name": %q,
  "plugins": [{
    "type": "bridge",
    "bridge": %q,
    "isGateway": true,
    "ipMasq": false,
    "hairpinMode": true,
    "ipam": {
      "type": "host-local",
      "dataDir": %q,
      "ranges": [[{"subnet": %q, "gateway": %q}]],
      "routes": [{"dst": "0.0.0.0/0"}]
    }
  }]
}
`, cniNetwork, bridge, filepath.Join(state, "cni", "addresses"), podNetwork, bridgeAddress)
}

func (c *Cluster) writeConfigs() error {
	files := map[string]string{
		c.path("containerd.toml"):                         containerdConfig(c.layout.State()),
		c.path("kubelet.yaml"):                            kubeletConfig(c.layout.State()),
		c.path("cni", "conf", "10-salvor-local.conflist"): cniConfig(c.layout.State()),
	}
	for path, content := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// upstream tells whether the machine names a DNS server that pods can reach:
// one that listens on loopback is not the pod's own.
func upstream(resolvConf string) bool {
	for line := range strings.Lines(resolvConf) {
		fields := strings.Fields(line)
		if len(fields) == 2 && fields[0] == "nameserver" &&
			!strings.HasPrefix(fields[1], "127.") && fields[1] != "::1" {
			return true
		}
	}
	return false
}
