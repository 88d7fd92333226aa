package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/cli"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/fixture/outtest"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/kubetest"
)

var server *kubetest.Server

func TestMain(m *testing.M) {
	if os.Getenv(helper) != "" {
		os.Exit(m.Run())
	}
	os.Exit(kubetest.Run(m, func(s *kubetest.Server) error {
		server = s
		return s.ApplyCRDs(context.Background(), "../../deploy/chart/files/crds")
	}))
}

func salvor(ctx context.Context, out io.Writer, args ...string) int {
	a := &app.App{Out: out, Err: out, Clock: clock.RealClock{}, Getenv: func(string) string { return "" }}
	return cli.Run(ctx, a, cli.Program{Name: "salvor", Version: "test", Roles: roles()}, args)
}

// The whole program with all its roles and the broker: it becomes ready, an
// ActionSet goes all the way round, and it ends when it is told.
func TestServeAllRoles(t *testing.T) {
	namespace, config := server.Namespace(t), server.Kubeconfig(t)
	probes, events := freeAddress(t), freeAddress(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log outtest.Buffer
	done := make(chan int, 1)
	go func() {
		done <- salvor(ctx, &log, "serve", "--kubeconfig", config, "--namespace", namespace, "--data-dir", t.TempDir(),
			"--probe-listen", probes, "--listen", events, "--runner-name", "test", "--log-level", "debug")
	}()
	defer func() {
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	var ready string
	if !assert.Eventually(t, func() bool {
		var code int
		code, ready = get(t, "http://"+probes+"/readyz")
		return code == http.StatusOK
	}, 3*time.Minute, 50*time.Millisecond) {
		t.Log(ready)
	}
	assert.Equal(t, "nats: ok\nbridge: ok\ndispatcher: ok\nrunner: ok\n", ready)

	clients, err := kube.New(server.Config())
	require.NoError(t, err)
	_, err = clients.ActionSets(namespace).Create(t.Context(), &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Name: "x"},
		Spec: &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{
			Name: "backup", Blueprint: "nothing", Object: kanister.ObjectReference{Kind: "namespace", Namespace: namespace, Name: namespace},
		}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	var screen outtest.Buffer
	assert.Equal(t, app.ExitFailed, salvor(t.Context(), &screen, "wait", "x", "--kubeconfig", config, "-n", namespace, "--timeout", "3m"))
	assert.Contains(t, screen.String(), "nothing", "the error names the blueprint that is missing")

	stop()
	select {
	case code := <-done:
		assert.Equal(t, app.ExitOK, code)
	case <-time.After(3 * time.Minute):
		assert.Fail(t, "the program did not end")
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { require.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	if err != nil { // it was cut off
		return 0, err.Error()
	}
	return response.StatusCode, string(body)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}
