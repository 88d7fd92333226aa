package dispatcher_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/dispatcher"
	"github.com/salvor-io/salvor/internal/telemetry"
)

// A run leaves a trace with a collector.
func TestTraceOfARun(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	spans := map[string]int{}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		var export collector.ExportTraceServiceRequest
		assert.NoError(t, proto.Unmarshal(body, &export))
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range export.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				for _, s := range scope.GetSpans() {
					spans[s.GetName()]++
				}
			}
		}
	}))
	t.Cleanup(receiver.Close)
	exporter, err := telemetry.New(t.Context(), telemetry.Config{Endpoint: receiver.URL, Log: zerolog.Nop()})
	require.NoError(t, err)
	t.Cleanup(func() { exporter.Shutdown(t.Context()) })

	s := startServer(t)
	startDispatcher(t, dispatcher.Deps{JS: s.js, Spans: exporter}, options())
	startRunner(t, s.js, &runner{})
	s.create("ns", "u1", action("backup", "quiesce dump"))
	assert.Equal(t, event.StateComplete, ended(t, s.runs, "ns", "u1").State)
	eventually(t, "the spans", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(spans) == 4
	})
	assert.Equal(t, map[string]int{"run backup": 1, "action backup": 1, "phase quiesce": 1, "phase dump": 1}, spans)
}
