package cluster

import (
	"fmt"
	"os"
	"time"

	"github.com/salvor-io/salvor/deploy/local/pki"
)

// serving and clients are the certificates of the cluster. The names are those
// that RBAC's built-in bindings and the Node authorizer know.
func serving() map[string]pki.Subject {
	return map[string]pki.Subject{
		"apiserver": {Name: "kube-apiserver", Hosts: []string{
			bridgeAddress, apiService, "127.0.0.1", "localhost",
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + dnsDomain,
		}},
		"etcd":            {Name: "etcd", Hosts: []string{"127.0.0.1", "localhost"}},
		"kubelet-serving": {Name: "system:node:" + nodeName, Hosts: []string{bridgeAddress, nodeName}},
	}
}

func clients() map[string]pki.Subject {
	return map[string]pki.Subject{
		"admin":            {Name: "admin", Groups: []string{"system:masters"}},
		"apiserver-client": {Name: "kube-apiserver", Groups: []string{"system:masters"}},
		"controller":       {Name: "system:kube-controller-manager"},
		"scheduler":        {Name: "system:kube-scheduler"},
		"proxy":            {Name: "system:kube-proxy"},
		"csi":              {Name: "csi"},
		"kubelet":          {Name: "system:node:" + nodeName, Groups: []string{"system:nodes"}},
	}
}

func (c *Cluster) makeCerts() error {
	if err := os.MkdirAll(c.path("pki"), 0o700); err != nil {
		return err
	}
	authority, err := pki.NewAuthority(time.Now())
	if err != nil {
		return err
	}
	if err := c.writePair("ca", authority.Pair); err != nil {
		return err
	}
	for name, subject := range serving() {
		pair, err := authority.Issue(subject)
		if err != nil {
			return err
		}
		if err := c.writePair(name, pair); err != nil {
			return err
		}
	}
	for name, subject := range clients() {
		if err := c.makeClient(authority, name, subject); err != nil {
			return err
		}
	}
	private, public, err := pki.NewSigningKey()
	if err != nil {
		return err
	}
	return c.writePair("sa", pki.Pair{Cert: public, Key: private})
}

func (c *Cluster) makeClient(authority *pki.Authority, name string, subject pki.Subject) error {
	pair, err := authority.Issue(subject)
	if err != nil {
		return err
	}
	if err := c.writePair(name, pair); err != nil {
		return err
	}
	kubeconfig := pki.Kubeconfig(serverURL(), subject.Name, authority.Cert, pair)
	return os.WriteFile(c.kubeconfig(name), kubeconfig, 0o600)
}

func (c *Cluster) writePair(name string, pair pki.Pair) error {
	if err := os.WriteFile(c.cert(name), pair.Cert, 0o644); err != nil {
		return fmt.Errorf("write the certificate of %s: %w", name, err)
	}
	return os.WriteFile(c.key(name), pair.Key, 0o600)
}

func (c *Cluster) cert(name string) string       { return c.path("pki", name+".crt") }
func (c *Cluster) key(name string) string        { return c.path("pki", name+".key") }
func (c *Cluster) kubeconfig(name string) string { return c.path("pki", name+".kubeconfig") }
