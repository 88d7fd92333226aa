package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/salvor-io/salvor/deploy/local/layout"
	"github.com/salvor-io/salvor/deploy/local/progress"
)

func TestParseMounts(t *testing.T) {
	mounts := parseMounts(strings.Join([]string{
		`22 1 8:1 / / rw,relatime - ext4 /dev/vda rw`,
		`30 22 0:26 / /sys/fs/cgroup/memory rw shared:9 master:2 - cgroup cgroup rw,memory`,
		`40 22 0:40 / /repo\040x/.local/cluster/kubelet/pods/1/v rw - tmpfs tmpfs rw`,
		`41 40 0:41 / /repo\040x/.local/cluster/kubelet/pods/1/v/sub rw - tmpfs tmpfs rw`,
		`42 22 0:42 / /repo\040x/.local/cluster2 rw - tmpfs tmpfs rw`,
		`cut`,
	}, "\n"))
	require.Len(t, mounts, 5)
	require.Equal(t, mount{target: "/sys/fs/cgroup/memory", kind: "cgroup"}, mounts[1])
	require.Equal(t, []string{"/repo x/.local/cluster/kubelet/pods/1/v/sub", "/repo x/.local/cluster/kubelet/pods/1/v"},
		below(mounts, "/repo x/.local/cluster"), "inner mounts first, and no neighbour")
}

func TestFindListener(t *testing.T) {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer listener.Close()
	tcp, ok := listener.Addr().(*net.TCPAddr)
	require.True(t, ok)
	number := tcp.Port
	require.Contains(t, holder(number), fmt.Sprintf("process %d ", os.Getpid()))

	const table = "  sl local_address rem_address st\n" +
		"0: 0100007F:403B 00000000:0000 01 0:0 0:0 0 0 0 111 1\n" +
		"1: 0100007F:403B 00000000:0000 0A 0:0 0:0 0 0 0 222 1\n"
	require.Equal(t, "222", findListener(table, 0x403B), "the listener, not a connection")
	require.Empty(t, findListener(table, 80))
}

func TestUpstream(t *testing.T) {
	require.True(t, upstream("search x\nnameserver 10.0.0.2\n"))
	require.False(t, upstream("nameserver 127.0.0.53\nnameserver ::1\n"))
	require.False(t, upstream("# nameserver 10.0.0.2\n"))
	require.False(t, upstream(""))
}

func TestConfigsCarryTheSettingsThatMatter(t *testing.T) {
	require.Contains(t, containerdConfig("/state"), "restrict_oom_score_adj = true")
	require.Contains(t, containerdConfig("/state"), `root = "/state/containerd"`)
	require.NotContains(t, containerdConfig("/state"), "%!")
	require.NotContains(t, kubeletConfig("/state"), "%!")
	// Read as the kubelet reads it: the spelling of a value is not what matters.
	var kubelet struct {
		CgroupRoot   string            `yaml:"cgroupRoot"`
		EvictionHard map[string]string `yaml:"evictionHard"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(kubeletConfig("/state")), &kubelet))
	require.Equal(t, "/"+cgroupName, kubelet.CgroupRoot)
	require.Equal(t, map[string]string{"nodefs.available": "10Mi", "imagefs.available": "10Mi"}, kubelet.EvictionHard,
		"nothing else evicts, memory least of all")
	var cni struct {
		Plugins []struct {
			Bridge string `json:"bridge"`
		} `json:"plugins"`
	}
	require.NoError(t, json.Unmarshal([]byte(cniConfig("/state")), &cni))
	require.Equal(t, bridge, cni.Plugins[0].Bridge)
}

func TestAddressesFitTheirNetworks(t *testing.T) {
	_, pods, err := net.ParseCIDR(podNetwork)
	require.NoError(t, err)
	require.True(t, pods.Contains(net.ParseIP(bridgeAddress)))
	_, svc, err := net.ParseCIDR(services)
	require.NoError(t, err)
	for _, address := range []string{apiService, dnsService} {
		require.True(t, svc.Contains(net.ParseIP(address)), address)
	}
	seen := map[int]string{}
	for _, p := range ports() {
		require.Empty(t, seen[p.number], "port %d twice", p.number)
		seen[p.number] = p.user
	}
}

func TestManifestsRender(t *testing.T) {
	for _, upstream := range []bool{true, false} {
		values := map[string]any{
			"DNSImage": "dns:1", "DNSService": dnsService, "DNSDomain": dnsDomain, "Upstream": upstream,
			"ProvisionerImage": "p:1", "ShellImage": "sh:1", "Volumes": "/v",
		}
		for _, file := range []string{"dns.yaml", "storage.yaml"} {
			parsed, err := template.New(file).Option("missingkey=error").ParseFiles(filepath.Join("..", "manifests", file))
			require.NoError(t, err)
			var rendered strings.Builder
			require.NoError(t, parsed.Execute(&rendered, values))
			require.NotContains(t, rendered.String(), "<no value>")
			if file == "dns.yaml" {
				require.Equal(t, upstream, strings.Contains(rendered.String(), "forward . /etc/resolv.conf"))
			}
		}
	}
}

func TestCertificatesAreMadeForEveryProgram(t *testing.T) {
	c := New(layout.Layout{Repo: t.TempDir()}, progress.New(io.Discard))
	require.NoError(t, os.MkdirAll(c.layout.State(), 0o700))
	require.NoError(t, c.makeCerts())
	for name := range clients() {
		info, err := os.Stat(c.kubeconfig(name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	require.NoError(t, c.publishKubeconfig())
	info, err := os.Stat(c.layout.Kubeconfig())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestFootprintIsNotForgottenByASecondStart(t *testing.T) {
	c := New(layout.Layout{Repo: t.TempDir()}, progress.New(io.Discard))
	require.NoError(t, c.rememberFootprint())
	before, err := os.ReadFile(c.footprintFile())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(c.footprintFile(), append(before, '\n'), 0o600))
	require.NoError(t, c.rememberFootprint())
	after, err := os.ReadFile(c.footprintFile())
	require.NoError(t, err)
	require.Equal(t, append(before, '\n'), after, "the note of the first start stays")
}

func TestEveryProgramCanBeStartedAgain(t *testing.T) {
	c := New(layout.Layout{Repo: t.TempDir()}, progress.New(io.Discard))
	starters := c.starters()
	for _, name := range Programs() {
		require.Contains(t, starters, name)
	}
	require.Len(t, starters, len(Programs()))
}

func TestNothingIsKilledWithoutACluster(t *testing.T) {
	c := New(layout.Layout{Repo: t.TempDir()}, progress.New(io.Discard))
	require.Error(t, c.Kill(t.Context(), kubelet))
	require.Error(t, c.Start(t.Context(), kubelet))
}
