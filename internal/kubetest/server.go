package kubetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// startAttempts bounds the retries after another process took a port between
// the moment it was found free and the moment the server listened on it.
const startAttempts = 3

// Server is a running API server with its etcd. Its methods may be called from
// tests that run in parallel.
type Server struct {
	dir    string
	config *rest.Config
	// processes are the API server and etcd, in this order.
	processes []*process
	programs  programs
}

// Start runs an API server for t and stops it when t ends. It fails t when the
// server does not come up, and when its binaries have not been built.
func Start(t testing.TB) *Server {
	t.Helper()
	server, err := Launch(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// Run is TestMain's body for a package whose tests share one server: it starts
// one, hands it to use, runs the tests, stops the server and returns the code
// to exit with.
func Run(m *testing.M, use func(*Server) error) int {
	code, err := run(m, use)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func run(m *testing.M, use func(*Server) error) (code int, err error) {
	dir, err := os.MkdirTemp("", "kubetest-")
	if err != nil {
		return 0, fmt.Errorf("make a folder for the API server: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server, err := Launch(context.Background(), dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if err := use(server); err != nil {
		return 0, fmt.Errorf("prepare the API server: %w", err)
	}
	return m.Run(), nil
}

// Launch runs an API server that keeps its files in dir, which must exist, and
// returns once it is ready. The caller stops it; ctx bounds the start only.
func Launch(ctx context.Context, dir string) (*Server, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	token := make([]byte, 16)
	if _, err := rand.Read(token); err != nil {
		return nil, fmt.Errorf("make the administrator's token: %w", err)
	}
	for attempt := 1; ; attempt++ {
		attemptDir := filepath.Join(dir, fmt.Sprintf("kubetest-%d", attempt))
		server, err := launch(ctx, bin, attemptDir, hex.EncodeToString(token))
		if err == nil {
			return server, nil
		}
		if attempt == startAttempts || !errors.Is(err, errPortTaken) {
			return nil, fmt.Errorf("start an API server: %w", err)
		}
	}
}

// Config returns a copy of the administrator's configuration. Its client-side
// rate limit is off: a test never waits for a token.
func (s *Server) Config() *rest.Config {
	return rest.CopyConfig(s.config)
}

// ConfigAs returns a configuration that acts as the named user and groups, so
// that a test sees what RBAC allows them. A service account's name is
// system:serviceaccount:NAMESPACE:NAME.
func (s *Server) ConfigAs(user string, groups ...string) *rest.Config {
	config := s.Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return config
}

// Namespace makes a namespace of its own for t and returns its name. It is not
// removed: without a controller-manager its content could not be, and the
// server is gone soon.
func (s *Server) Namespace(t testing.TB) string {
	t.Helper()
	client, err := kubernetes.NewForConfig(s.Config())
	if err != nil {
		t.Fatalf("make a client: %v", err)
	}
	namespace, err := client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("make a namespace: %v", err)
	}
	return namespace.Name
}

// Stop ends both processes and waits until they are gone. A second call does
// nothing.
func (s *Server) Stop() error {
	var errs []error
	for _, p := range s.processes {
		errs = append(errs, p.stop())
	}
	s.processes = nil
	return errors.Join(errs...)
}
