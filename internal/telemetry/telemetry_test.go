package telemetry_test

import (
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/telemetry"
)

const incoming = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

var at = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

func after(d time.Duration) *time.Time {
	t := at.Add(d)
	return &t
}

// receiver is a real OTLP receiver over HTTP.
type receiver struct {
	*httptest.Server

	mu    sync.Mutex
	spans map[string]*tracev1.Span
	about map[string]string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{spans: map[string]*tracev1.Span{}, about: map[string]string{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		assert.NoError(t, err)
		assert.Equal(t, "/v1/traces", request.URL.Path)
		var export collector.ExportTraceServiceRequest
		if !assert.NoError(t, proto.Unmarshal(body, &export)) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, resource := range export.GetResourceSpans() {
			for _, a := range resource.GetResource().GetAttributes() {
				r.about[a.GetKey()] = a.GetValue().GetStringValue()
			}
			for _, scope := range resource.GetScopeSpans() {
				for _, s := range scope.GetSpans() {
					r.spans[s.GetName()] = s
				}
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(r.Close)
	return r
}

func newExporter(t *testing.T, endpoint string, registry prometheus.Registerer) *telemetry.Exporter {
	t.Helper()
	e, err := telemetry.New(t.Context(), telemetry.Config{Endpoint: endpoint, Version: "v1", Log: zerolog.New(zerolog.NewTestWriter(t)), Metrics: registry})
	require.NoError(t, err)
	t.Cleanup(func() { e.Shutdown(t.Context()) })
	return e
}

// states are a run whose phase is tried twice: while the first attempt runs, after
// it failed, and at the end.
func states(traceparent string) (first, retried, ended *event.Run) {
	run := func(change func(r *event.Run, p *event.Phase)) *event.Run {
		r := &event.Run{
			UID: "u1", Namespace: "shop", Name: "backup-1", Traceparent: traceparent, State: event.StateRunning,
			Labels:    map[string]string{salvor.LabelTrigger: "closed"},
			CreatedAt: at, UpdatedAt: at.Add(time.Second),
			Actions: []event.Action{{
				Spec: kanister.ActionSpec{Name: "backup", Blueprint: "pg"}, State: event.StateRunning, StartedAt: after(time.Second),
				Phases: []event.Phase{{Name: "dump", Func: "KubeTask", State: event.StateRunning, Attempt: 1, StartedAt: after(time.Second)}},
			}},
		}
		change(r, &r.Actions[0].Phases[0])
		return r
	}
	first = run(func(*event.Run, *event.Phase) {})
	retried = run(func(r *event.Run, p *event.Phase) {
		p.State, p.StartedAt, r.UpdatedAt = event.StatePending, nil, *after(2 * time.Second)
		p.Attempts = []event.AttemptRecord{{Attempt: 1, EndedAt: *after(2 * time.Second), Failure: event.Failure{Reason: event.ReasonTimeout, Message: "canary"}}}
	})
	ended = run(func(r *event.Run, p *event.Phase) {
		p.State, p.Attempt, p.StartedAt, p.EndedAt = event.StateComplete, 2, after(5*time.Second), after(9*time.Second)
		r.State, r.Actions[0].State, r.Actions[0].EndedAt, r.UpdatedAt = event.StateComplete, event.StateComplete, after(9*time.Second), *after(9 * time.Second)
	})
	return first, retried, ended
}

func TestSpansReachTheCollector(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	e := newExporter(t, r.URL, nil)
	first, retried, ended := states(incoming)
	second := *retried
	second.Actions = []event.Action{retried.Actions[0]}
	second.Actions[0].Phases = []event.Phase{ended.Actions[0].Phases[0]}
	second.Actions[0].Phases[0].State = event.StateRunning

	spans := telemetry.Ended(first, retried)
	require.Len(t, spans, 1, "the attempt that failed")
	assert.Equal(t, "Timeout", spans[0].Failed)
	assert.Equal(t, at.Add(time.Second), spans[0].Start)
	assert.Equal(t, at.Add(2*time.Second), spans[0].End)
	assert.Empty(t, telemetry.Ended(retried, &second))
	assert.Empty(t, telemetry.Ended(ended, ended), "what was told is not told again")

	e.Export(t.Context(), telemetry.Accepted(ended, at.Add(-time.Second)))
	e.Export(t.Context(), telemetry.Ended(&second, ended)...)
	e.Shutdown(t.Context())
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Len(t, r.spans, 4)
	assert.Equal(t, "salvor", r.about["service.name"])
	assert.Equal(t, "v1", r.about["service.version"])
	run, action, phase, accept := r.spans["run backup"], r.spans["action backup"], r.spans["phase dump"], r.spans["accept"]
	for _, s := range r.spans {
		assert.Equal(t, "0af7651916cd43dd8448eb211c80319c", hex.EncodeToString(s.GetTraceId()))
		for _, a := range s.GetAttributes() {
			assert.NotContains(t, a.GetValue().GetStringValue(), "canary")
		}
	}
	assert.Equal(t, "b7ad6b7169203331", hex.EncodeToString(run.GetParentSpanId()), "it continues the event's trace")
	assert.Equal(t, "b7ad6b7169203331", hex.EncodeToString(accept.GetParentSpanId()))
	assert.Equal(t, run.GetSpanId(), action.GetParentSpanId())
	assert.Equal(t, action.GetSpanId(), phase.GetParentSpanId())
	assert.Equal(t, uint64(at.UnixNano()), run.GetStartTimeUnixNano())
	assert.Equal(t, uint64(at.Add(9*time.Second).UnixNano()), run.GetEndTimeUnixNano())
	key := event.Key{UID: "u1", Namespace: "shop", Kind: event.KindCore, Attempt: 2}
	assert.Equal(t, "00-0af7651916cd43dd8448eb211c80319c-"+hex.EncodeToString(phase.GetSpanId())+"-01", telemetry.ForAttempt(incoming, key),
		"what the pod was told")
}

// A run that nobody gave a context has a trace all the same, of which it is the root.
func TestARunWithoutContext(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	e := newExporter(t, r.URL+"/v1/traces", nil)
	for _, traceparent := range []string{"", telemetry.ForRun("u1")} {
		first, _, ended := states(traceparent)
		spans := telemetry.Ended(first, ended)
		require.Len(t, spans, 3)
		e.Export(t.Context(), spans...)
	}
	e.Shutdown(t.Context())
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.spans["run backup"]
	assert.Empty(t, run.GetParentSpanId())
	assert.Equal(t, telemetry.ForRun("u1"), "00-"+hex.EncodeToString(run.GetTraceId())+"-"+hex.EncodeToString(run.GetSpanId())+"-01")
	assert.Equal(t, run.GetSpanId(), r.spans["action backup"].GetParentSpanId())
}

// Asked to go on, a run gets spans of their own for the new round.
func TestRounds(t *testing.T) {
	t.Parallel()
	first, _, ended := states(incoming)
	one := telemetry.Ended(first, ended)
	for _, run := range []*event.Run{first, ended} {
		run.Retry = &event.Retry{Round: 1, At: at.Add(3 * time.Second)}
	}
	two := telemetry.Ended(first, ended)
	require.Len(t, two, 3)
	assert.Equal(t, one[0].ID, two[0].ID, "an attempt is the same in any round")
	assert.NotEqual(t, one[1].ID, two[1].ID)
	assert.NotEqual(t, one[2].ID, two[2].ID)
	assert.Equal(t, at.Add(3*time.Second), two[2].Start)
}

// What the sender of the event does not sample is not exported.
func TestNotSampled(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	e := newExporter(t, r.URL, nil)
	first, _, ended := states("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
	e.Export(t.Context(), telemetry.Ended(first, ended)...)
	e.Shutdown(t.Context())
	assert.Empty(t, r.spans)
}

// A collector that takes connections and never answers holds up nobody, and neither
// does one that is not there.
func TestADeadCollector(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	first, _, ended := states(incoming)
	for _, endpoint := range []string{"http://" + listener.Addr().String(), "http://127.0.0.1:1"} {
		registry := prometheus.NewRegistry()
		e := newExporter(t, endpoint, registry)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 10_000 { // more than the queue holds
				e.Export(t.Context(), telemetry.Ended(first, ended)...)
			}
			e.Shutdown(t.Context())
			e.Shutdown(t.Context())
		}()
		select {
		case <-done:
		case <-time.After(3 * time.Minute):
			require.Fail(t, "it waits for the collector")
		}
		require.Eventually(t, func() bool {
			n, err := testutil.GatherAndCount(registry, "salvor_trace_spans_total")
			return err == nil && n == 1
		}, 3*time.Minute, 10*time.Millisecond, "what was lost is counted")
	}
}

func TestWithoutAnEndpoint(t *testing.T) {
	t.Parallel()
	e, err := telemetry.New(t.Context(), telemetry.Config{})
	require.NoError(t, err)
	first, _, ended := states(incoming)
	e.Export(t.Context(), telemetry.Ended(first, ended)...)
	e.Shutdown(t.Context())
	for _, wrong := range []string{"collector:4318", "grpc://collector:4317", "http://", "http://%"} {
		_, err := telemetry.New(t.Context(), telemetry.Config{Endpoint: wrong})
		require.Error(t, err, wrong)
	}
}

func TestTraceparents(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		incoming: true, telemetry.ForRun("x"): true, "": false, "x": false,
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":   false,
		"00-00000000000000000000000000000000-b7ad6b7169203331-01":   false,
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01":   false,
		"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01":   false,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n": false,
	} {
		assert.Equal(t, want, telemetry.Valid(text), text)
	}
	assert.NotEqual(t, telemetry.ForRun("x"), telemetry.ForRun("y"))
	k := event.Key{UID: "x", Attempt: 1}
	assert.Equal(t, telemetry.ForAttempt("", k), telemetry.ForAttempt(telemetry.ForRun("x"), k))
	assert.Equal(t, telemetry.ForAttempt("rubbish", k), telemetry.ForAttempt("", k))
}
