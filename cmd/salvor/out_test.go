package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/cli"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/eventschema/schematest"
	"github.com/salvor-io/salvor/internal/fixture/outtest"
	"github.com/salvor-io/salvor/internal/kube"
)

// The whole program, configured by the environment as Knative and OpenTelemetry do it:
// the end of a run reaches the sink, the collector and who follows the feed.
func TestTheEndOfARunIsTold(t *testing.T) {
	var mu sync.Mutex
	spans, sunk := map[string]bool{}, map[string]string{}
	otlp := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		var export collector.ExportTraceServiceRequest
		assert.NoError(t, proto.Unmarshal(body, &export))
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range export.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				for _, s := range scope.GetSpans() {
					spans[s.GetName()] = true
				}
			}
		}
	}))
	t.Cleanup(otlp.Close)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		mu.Lock()
		defer mu.Unlock()
		if len(sunk) == 0 {
			sunk["first try"] = ""
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		sunk[r.Header.Get("Ce-Type")] = string(body)
		assert.Equal(t, "blue", r.Header.Get("Ce-Tenant"))
	}))
	t.Cleanup(endpoint.Close)
	t.Setenv("K_SINK", endpoint.URL)
	t.Setenv("K_CE_OVERRIDES", `{"extensions":{"tenant":"blue"}}`)

	namespace, config := server.Namespace(t), server.Kubeconfig(t)
	probes, events := freeAddress(t), freeAddress(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log, screen outtest.Buffer
	environment := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": otlp.URL, "SALVOR_EVENTS_URL": "http://" + events + "/events"}
	command := func(ctx context.Context, out io.Writer, args ...string) int {
		a := &app.App{Out: out, Err: out, Clock: clock.RealClock{}, Getenv: func(name string) string { return environment[name] }}
		return cli.Run(ctx, a, cli.Program{Name: "salvor", Version: "test", Roles: roles()}, args)
	}
	done := make(chan int, 2)
	go func() {
		done <- command(ctx, &log, "serve", "--kubeconfig", config, "--namespace", namespace, "--data-dir", t.TempDir(),
			"--probe-listen", probes, "--listen", events, "--runner-name", "test")
	}()
	defer func() {
		if t.Failed() {
			t.Log(log.String() + screen.String())
		}
	}()
	require.Eventually(t, func() bool {
		code, _ := get(t, "http://"+probes+"/readyz")
		return code == http.StatusOK
	}, 3*time.Minute, 50*time.Millisecond)
	go func() { done <- command(ctx, &screen, "events", "-f", "-n", namespace, "--kubeconfig", config) }()

	clients, err := kube.New(server.Config())
	require.NoError(t, err)
	as, err := clients.ActionSets(namespace).Create(t.Context(), &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Name: "x"},
		Spec: &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{
			Name: "backup", Blueprint: "nothing", Object: kanister.ObjectReference{Kind: "namespace", Namespace: namespace, Name: namespace},
		}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return sunk[event.TypeRunFailed] != "" && spans["run backup"] && spans["action backup"] && spans["accept"]
	}, 3*time.Minute, 50*time.Millisecond)
	require.NoError(t, schematest.Check(t, event.TypeRunFailed, []byte(sunk[event.TypeRunFailed])))
	assert.Contains(t, sunk[event.TypeRunFailed], string(as.UID))
	var shown outtest.Buffer
	assert.Equal(t, app.ExitOK, command(t.Context(), &shown, "events", "-n", namespace, "--kubeconfig", config))
	assert.Contains(t, shown.String(), namespace+"/x  run failed: backup namespace "+namespace+"/"+namespace+" with nothing")
	assert.Contains(t, log.String(), `"level":"warn"`)
	assert.Contains(t, log.String(), "it answered 503 Service Unavailable")
	stop()
	for range 2 {
		select {
		case code := <-done:
			assert.Equal(t, app.ExitOK, code)
		case <-time.After(3 * time.Minute):
			assert.Fail(t, "the program did not end")
		}
	}
}
