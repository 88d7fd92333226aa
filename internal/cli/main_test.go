package cli_test

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/internal/cli"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/kubetest"
)

var server *kubetest.Server

func TestMain(m *testing.M) {
	os.Exit(kubetest.Run(m, func(s *kubetest.Server) error {
		server = s
		return s.ApplyCRDs(context.Background(), "../../deploy/chart/files/crds")
	}))
}

// shell runs command lines in a namespace of the test.
type shell struct {
	t         *testing.T
	namespace string
	config    string
	name      string
	stdin     string
	env       map[string]string
	clients   *kube.Clients
}

func newShell(t *testing.T) *shell {
	t.Helper()
	clients, err := kube.New(server.Config())
	require.NoError(t, err)
	return &shell{t: t, namespace: server.Namespace(t), config: server.Kubeconfig(t), name: "salvor", clients: clients}
}

type result struct {
	code     int
	out, err string
}

// run runs one command line, with the namespace and the kubeconfig added.
func (s *shell) run(args ...string) result {
	s.t.Helper()
	return s.runContext(s.t.Context(), args...)
}

func (s *shell) runContext(ctx context.Context, args ...string) result {
	return s.stream(ctx, &bytes.Buffer{}, args...)
}

// stream is runContext with an output that others may watch.
func (s *shell) stream(ctx context.Context, out interface {
	Write(data []byte) (int, error)
	String() string
}, args ...string,
) result {
	var errs bytes.Buffer
	a := &app.App{
		In: strings.NewReader(s.stdin), Out: out, Err: &errs, Clock: clock.RealClock{},
		Getenv: func(name string) string { return s.env[name] },
	}
	if s.config != "" {
		args = append(args, "--kubeconfig", s.config, "--namespace", s.namespace)
	}
	code := cli.Run(ctx, a, cli.Program{Name: s.name, Version: "v1.2.3"}, args)
	return result{code: code, out: out.String(), err: errs.String()}
}

// offline runs command lines that must not need a cluster.
func offline(t *testing.T, args ...string) result {
	t.Helper()
	t.Setenv("KUBECONFIG", "/nonexistent/kubeconfig")
	return (&shell{t: t, name: "salvor"}).run(args...)
}
