package cluster

import (
	"fmt"

	"github.com/salvor-io/salvor/deploy/local/process"
)

const (
	etcd       = "etcd"
	apiserver  = "kube-apiserver"
	controller = "kube-controller-manager"
	scheduler  = "kube-scheduler"
	containerd = "containerd"
	kubelet    = "kubelet"
	proxy      = "kube-proxy"
)

// programNames lists what runs, in the order in which it is started.
func programNames() []string {
	return []string{etcd, apiserver, containerd, controller, scheduler, kubelet, proxy}
}

func (c *Cluster) start(name string, args ...string) error {
	return c.programs.Start(process.Program{
		Name: name, Path: c.layout.Program(name), Args: args,
		Prepend: []string{c.layout.Bin()}, // containerd finds its shim there
	})
}

func (c *Cluster) startEtcd() error {
	url := func(port int) string { return fmt.Sprintf("https://127.0.0.1:%d", port) }
	return c.start(etcd,
		"--name=local",
		"--data-dir="+c.path("etcd"),
		"--listen-client-urls="+url(portEtcd),
		"--advertise-client-urls="+url(portEtcd),
		"--listen-peer-urls="+url(portEtcdPeer),
		"--initial-advertise-peer-urls="+url(portEtcdPeer),
		"--initial-cluster=local="+url(portEtcdPeer),
		// Secrets lie in there, so who asks must have a certificate of ours.
		"--client-cert-auth", "--trusted-ca-file="+c.cert("ca"),
		"--cert-file="+c.cert("etcd"), "--key-file="+c.key("etcd"),
		"--peer-auto-tls",
		"--log-level=warn",
		"--unsafe-no-fsync", // a cluster that was not stopped in order begins anew
	)
}

func (c *Cluster) startAPIServer() error {
	return c.start(apiserver,
		fmt.Sprintf("--etcd-servers=https://127.0.0.1:%d", portEtcd),
		"--etcd-cafile="+c.cert("ca"),
		"--etcd-certfile="+c.cert("apiserver-client"), "--etcd-keyfile="+c.key("apiserver-client"),
		fmt.Sprintf("--secure-port=%d", portAPI),
		// Pods and this machine reach the bridge; other machines do not.
		"--bind-address="+bridgeAddress, "--advertise-address="+bridgeAddress,
		"--tls-cert-file="+c.cert("apiserver"), "--tls-private-key-file="+c.key("apiserver"),
		"--client-ca-file="+c.cert("ca"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--service-cluster-ip-range="+services,
		"--service-account-key-file="+c.cert("sa"),
		"--service-account-signing-key-file="+c.key("sa"),
		"--service-account-issuer=https://kubernetes.default.svc."+dnsDomain,
		"--kubelet-certificate-authority="+c.cert("ca"),
		"--kubelet-client-certificate="+c.cert("apiserver-client"),
		"--kubelet-client-key="+c.key("apiserver-client"),
		// The node's name is not in any DNS, so exec and logs go by address.
		"--kubelet-preferred-address-types=InternalIP",
		"--allow-privileged=true",
	)
}

func (c *Cluster) startController() error {
	return c.start(controller,
		"--kubeconfig="+c.kubeconfig("controller"),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", portController),
		"--service-account-private-key-file="+c.key("sa"),
		"--root-ca-file="+c.cert("ca"),
		"--cluster-signing-cert-file="+c.cert("ca"), "--cluster-signing-key-file="+c.key("ca"),
		"--use-service-account-credentials",
		"--leader-elect=false",
	)
}

func (c *Cluster) startScheduler() error {
	return c.start(scheduler,
		"--kubeconfig="+c.kubeconfig("scheduler"),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", portScheduler),
		"--leader-elect=false",
	)
}

// startContainerd runs containerd inside the cluster's cgroup, where its shims
// are born too.
func (c *Cluster) startContainerd() error {
	if err := c.start(containerd, "--config="+c.path("containerd.toml")); err != nil {
		return err
	}
	identity, err := c.programs.Recorded(containerd)
	if err != nil {
		return err
	}
	return enterCgroup(identity.PID)
}

func (c *Cluster) startKubelet() error {
	return c.start(kubelet,
		"--config="+c.path("kubelet.yaml"),
		"--kubeconfig="+c.kubeconfig("kubelet"),
		"--hostname-override="+nodeName,
		"--root-dir="+c.path("kubelet"),
		"--node-ip="+bridgeAddress,
	)
}

func (c *Cluster) startProxy(masqueradeAll bool) error {
	return c.start(proxy,
		"--kubeconfig="+c.kubeconfig("proxy"),
		"--proxy-mode=nftables",
		fmt.Sprintf("--masquerade-all=%t", masqueradeAll),
		"--hostname-override="+nodeName,
		"--cluster-cidr="+podNetwork,
		fmt.Sprintf("--healthz-bind-address=127.0.0.1:%d", portProxyHealth),
		fmt.Sprintf("--metrics-bind-address=127.0.0.1:%d", portProxyMetrics),
		// The kernel's connection tracking belongs to the machine, not to us.
		"--conntrack-max-per-core=0", "--conntrack-min=0",
		"--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
	)
}
