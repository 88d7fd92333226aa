package cluster

import (
	"net"
	"path/filepath"
	"strconv"

	"github.com/salvor-io/salvor/deploy/local/layout"
	"github.com/salvor-io/salvor/deploy/local/process"
	"github.com/salvor-io/salvor/deploy/local/progress"
)

// The addresses are unlike those of Docker, podman and other local clusters,
// and so are the ports, so that they can live on the same machine.
const (
	nodeName      = "local"
	bridge        = "salvor0"
	bridgeAddress = "10.188.0.1"
	podNetwork    = "10.188.0.0/16"
	services      = "10.189.0.0/16"
	apiService    = "10.189.0.1" // the first address of services, by definition
	dnsService    = "10.189.0.10"
	dnsDomain     = "cluster.local"
	cniNetwork    = "salvor-local"
	natTable      = "salvor-local"
	cgroupName    = "salvor-local"
)

// port is a TCP port the cluster listens on.
type port struct {
	number int
	user   string
}

const (
	portAPI           = 16443
	portEtcd          = 12379
	portEtcdPeer      = 12380
	portKubelet       = 20250
	portKubeletHealth = 20248
	portController    = 20257
	portScheduler     = 20259
	portProxyHealth   = 20256
	portProxyMetrics  = 20249
)

func ports() []port {
	return []port{
		{portAPI, "kube-apiserver"},
		{portEtcd, "etcd"},
		{portEtcdPeer, "etcd"},
		{portKubelet, "kubelet"},
		{portKubeletHealth, "kubelet"},
		{portController, "kube-controller-manager"},
		{portScheduler, "kube-scheduler"},
		{portProxyHealth, "kube-proxy"},
		{portProxyMetrics, "kube-proxy"},
	}
}

// Cluster is the local cluster of one checkout.
type Cluster struct {
	layout   layout.Layout
	out      *progress.Printer
	programs process.Set
}

// New returns the cluster of the layout; it does nothing yet.
func New(l layout.Layout, out *progress.Printer) *Cluster {
	return &Cluster{layout: l, out: out, programs: process.Set{Dir: l.State()}}
}

// path is a path below the state folder.
func (c *Cluster) path(parts ...string) string {
	return filepath.Join(append([]string{c.layout.State()}, parts...)...)
}

func serverURL() string {
	return "https://" + net.JoinHostPort(bridgeAddress, strconv.Itoa(portAPI))
}
