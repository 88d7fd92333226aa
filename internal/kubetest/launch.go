package kubetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	startTimeout  = 3 * time.Minute
	probeInterval = 50 * time.Millisecond
)

var errPortTaken = errors.New("a port that was free was taken by another process")

// launch makes one attempt to run both programs on ports that are free now.
func launch(ctx context.Context, bin binaries, dir, token string) (_ *Server, err error) {
	if err := writeFiles(dir, token); err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	client, peer, secure := ports[0], ports[1], ports[2]
	server := &Server{dir: dir, programs: programs{
		bin: bin, etcd: etcdArgs(dir, client, peer), apiArgs: apiserverArgs(dir, client, secure),
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, server.Stop())
		}
	}()
	etcd, err := startProcess(dir, bin.etcd, server.programs.etcd...)
	if err != nil {
		return nil, err
	}
	server.processes = []*process{etcd}
	api, err := startProcess(dir, bin.apiserver, server.programs.apiArgs...)
	if err != nil {
		return nil, err
	}
	// The API server goes first at the end: it would complain about a lost etcd.
	server.processes = []*process{api, etcd}
	server.config = &rest.Config{
		Host:            "https://" + address(secure),
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(dir, "pki", "apiserver.crt")},
		QPS:             -1,
	}
	err = server.waitReady(ctx)
	return server, err
}

// waitReady probes /readyz: the API server has no other way to say it is up.
func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var last error
	err := wait.PollUntilContextCancel(ctx, probeInterval, true, func(ctx context.Context) (bool, error) {
		for _, p := range s.processes {
			if err := p.died(); err != nil {
				return false, err
			}
		}
		last = s.probe(ctx)
		return last == nil, nil
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("the API server is not ready after %s: %w\n%s", startTimeout, last, s.processes[0].tail())
	}
	return err
}

func (s *Server) probe(ctx context.Context) error {
	// The certificate is made by the server itself, shortly after it starts.
	if _, err := os.Stat(s.config.CAFile); err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(s.config)
	if err != nil {
		return err
	}
	// The namespace is made by a hook after /readyz has turned good.
	if err := client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
		return err
	}
	return client.RESTClient().Get().AbsPath("/api/v1/namespaces/default").Do(ctx).Error()
}

func etcdArgs(dir string, client, peer int) []string {
	return []string{
		"--name=kubetest",
		"--data-dir=" + filepath.Join(dir, "etcd"),
		"--listen-client-urls=http://" + address(client),
		"--advertise-client-urls=http://" + address(client),
		"--listen-peer-urls=http://" + address(peer),
		"--initial-advertise-peer-urls=http://" + address(peer),
		"--initial-cluster=kubetest=http://" + address(peer),
		"--log-level=warn",
		"--unsafe-no-fsync", // nothing outlives the test
	}
}

func apiserverArgs(dir string, etcd, secure int) []string {
	pki := filepath.Join(dir, "pki")
	return []string{
		"--etcd-servers=http://" + address(etcd),
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", secure),
		"--cert-dir=" + pki, // the server makes its own certificate there
		"--token-auth-file=" + filepath.Join(dir, "tokens.csv"),
		"--authorization-mode=RBAC",
		"--service-cluster-ip-range=10.0.0.0/24",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + filepath.Join(pki, "sa.key"),
		"--service-account-key-file=" + filepath.Join(pki, "sa.key"),
		"--allow-privileged=true",
		"--disable-admission-plugins=ServiceAccount",
		"--endpoint-reconciler-type=none",
	}
}

// writeFiles makes the folders, the administrator's token and the key that
// signs service-account tokens.
func writeFiles(dir, token string) error {
	pki := filepath.Join(dir, "pki")
	if err := os.MkdirAll(pki, 0o700); err != nil {
		return err
	}
	line := token + ",admin,admin,\"system:masters\"\n"
	if err := os.WriteFile(filepath.Join(dir, "tokens.csv"), []byte(line), 0o600); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	return os.WriteFile(filepath.Join(pki, "sa.key"), encoded, 0o600)
}

func address(port int) string {
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// freePorts finds n distinct ports that are free at the moment of the call.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer listener.Close() //nolint:gocritic // all are held until the last is found, so that they differ
		addr, ok := listener.Addr().(*net.TCPAddr)
		if !ok {
			return nil, fmt.Errorf("find a free port: unexpected address %s", listener.Addr())
		}
		ports = append(ports, addr.Port)
	}
	return ports, nil
}
