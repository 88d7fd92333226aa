package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

const (
	probeInterval = 100 * time.Millisecond
	probeTimeout  = 5 * time.Second
)

// api asks the API server, as the administrator. It is a plain HTTP client: the
// few questions asked here are not worth the clients of Kubernetes.
type api struct {
	client *http.Client
}

func (c *Cluster) api() (*api, error) {
	authority, err := os.ReadFile(c.cert("ca"))
	if err != nil {
		return nil, err
	}
	certificate, err := tls.LoadX509KeyPair(c.cert("admin"), c.key("admin"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	return &api{client: &http.Client{
		Timeout: probeTimeout,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		},
	}}, nil
}

// get reads the object at the path into out, which may be nil.
func (a *api) get(ctx context.Context, path string, out any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, serverURL()+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %.300s", path, response.Status, body)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(body, out)
}

// status is the part of a node's or a deployment's status that is looked at.
type status struct {
	Status struct {
		Conditions []struct {
			Type, Status, Message string
		}
	}
}

// condition returns nil when the object's condition of the type is true.
func (a *api) condition(ctx context.Context, path, kind string) error {
	var object status
	if err := a.get(ctx, path, &object); err != nil {
		return err
	}
	for _, condition := range object.Status.Conditions {
		if condition.Type == kind {
			if condition.Status == "True" {
				return nil
			}
			return fmt.Errorf("%s is not %s: %s", path, kind, condition.Message)
		}
	}
	return fmt.Errorf("%s has no condition %s yet", path, kind)
}

const (
	nodePath        = "/api/v1/nodes/" + nodeName
	dnsPath         = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
	provisionerPath = "/apis/apps/v1/namespaces/local-path-storage/deployments/local-path-provisioner"
	classPath       = "/apis/storage.k8s.io/v1/storageclasses/local-path"
)

// health is what must hold for the cluster to be called up.
func (c *Cluster) health() ([]check, error) {
	api, err := c.api()
	if err != nil {
		return nil, err
	}
	return []check{
		{"API server ready", func(ctx context.Context) error { return api.get(ctx, "/readyz", nil) }},
		{"node Ready", func(ctx context.Context) error { return api.condition(ctx, nodePath, "Ready") }},
		{"DNS answers", answersDNS},
		{"storage class", func(ctx context.Context) error {
			return errors.Join(api.get(ctx, classPath, nil), api.condition(ctx, provisionerPath, "Available"))
		}},
	}, nil
}

type check struct {
	what string
	hold func(context.Context) error
}

// answersDNS asks the cluster's DNS for the API server's name through the
// service address, so that kube-proxy is proved too.
func answersDNS(ctx context.Context) error {
	resolver := &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(dnsService, "53"))
		},
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	found, err := resolver.LookupHost(ctx, "kubernetes.default.svc."+dnsDomain+".")
	if err != nil {
		return err
	}
	if len(found) != 1 || found[0] != apiService {
		return fmt.Errorf("DNS says that the API server is at %v, and not at %s", found, apiService)
	}
	return nil
}

// wait asks until the condition holds. When a program that runs for it ends
// meanwhile, the end of its output is the error.
func (c *Cluster) wait(hold func(context.Context) error, limit time.Duration, programs ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		ticker := time.NewTicker(probeInterval)
		defer ticker.Stop()
		for {
			err := hold(ctx)
			if err == nil {
				return nil
			}
			for _, name := range programs {
				if !c.programs.Running(name) {
					return fmt.Errorf("%s ended; the end of %s:\n%s", name, c.programs.Log(name), c.programs.Tail(name))
				}
			}
			select {
			case <-ctx.Done():
				if errors.Is(ctx.Err(), context.Canceled) {
					return ctx.Err()
				}
				return fmt.Errorf("not after %s: %w", limit, err)
			case <-ticker.C:
			}
		}
	}
}
