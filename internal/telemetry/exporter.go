package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	// exportTimeout bounds one export, its repetitions included.
	exportTimeout = 30 * time.Second
	// batchTimeout is how long spans wait for others.
	batchTimeout = 2 * time.Second
	// queueSize is how many spans wait; more are dropped.
	queueSize = 4096
	// valueLimit bounds the value of an attribute, in bytes: names are users' text.
	valueLimit = 253
	// shutdownTimeout bounds the wait for what is still to be exported.
	shutdownTimeout = time.Second
)

// tracesPath is what the endpoint of all signals has below it for traces.
const tracesPath = "/v1/traces"

// Config of an Exporter.
type Config struct {
	// Endpoint is the URL of an OTLP receiver over HTTP, for example
	// http://collector:4318; traces go to /v1/traces below it, unless it ends in
	// /traces.
	Endpoint string
	// Version of the program.
	Version string
	Log     zerolog.Logger
	// Metrics may be nil.
	Metrics prometheus.Registerer
}

// Exporter exports spans. Nil is one that does nothing.
type Exporter struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	gate     *gate
	once     sync.Once
}

// CheckEndpoint says what is wrong with an endpoint.
func CheckEndpoint(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return fmt.Errorf("%q is not a URL: %w", text, err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("%q is not an http or https URL such as http://collector:4318; OTLP over gRPC is not spoken", text)
	}
	return nil
}

// New returns an exporter, nil if there is no endpoint. Nothing is contacted before
// the first span.
func New(ctx context.Context, c Config) (*Exporter, error) {
	if c.Endpoint == "" {
		return nil, nil //nolint:nilnil // a nil exporter does nothing
	}
	if err := CheckEndpoint(c.Endpoint); err != nil {
		return nil, err
	}
	endpoint := strings.TrimSuffix(c.Endpoint, "/")
	if !strings.HasSuffix(endpoint, "/traces") {
		endpoint += tracesPath
	}
	otlp, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
	if err != nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "salvor"), attribute.String("service.version", c.Version)),
		resource.WithFromEnv())
	if err != nil && about == nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	g := &gate{SpanExporter: otlp, log: c.Log, hard: make(chan struct{}), spans: counter(c.Metrics)}
	limits := sdktrace.NewSpanLimits()
	limits.AttributeValueLengthLimit = valueLimit
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(about),
		sdktrace.WithIDGenerator(ids{}),
		sdktrace.WithSampler(sdktrace.AlwaysSample()), // those that are not wanted do not come here
		sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithBatcher(g, sdktrace.WithMaxQueueSize(queueSize), sdktrace.WithBatchTimeout(batchTimeout), sdktrace.WithExportTimeout(exportTimeout)),
	)
	return &Exporter{provider: provider, tracer: provider.Tracer("github.com/salvor-io/salvor"), gate: g}, nil
}

// Export takes spans and returns at once. Spans of a trace that its maker does not
// sample are left out.
func (e *Exporter) Export(ctx context.Context, spans ...Span) {
	if e == nil {
		return
	}
	for i := range spans {
		s := &spans[i]
		if !s.Parent.IsSampled() {
			continue
		}
		options := []trace.SpanStartOption{trace.WithTimestamp(s.Start), trace.WithAttributes(s.Attributes...)}
		within := context.WithValue(context.WithoutCancel(ctx), idsKey{}, identity{s.Parent.TraceID(), s.ID})
		if s.Root {
			options = append(options, trace.WithNewRoot())
		} else {
			within = trace.ContextWithRemoteSpanContext(within, s.Parent)
		}
		_, span := e.tracer.Start(within, s.Name, options...)
		if s.Failed != "" {
			span.SetStatus(codes.Error, s.Failed)
		}
		span.End(trace.WithTimestamp(latest(s.Start, s.End)))
	}
}

// Shutdown exports what waits, for a second at most. Whatever then is not exported is
// lost.
func (e *Exporter) Shutdown(ctx context.Context) {
	if e != nil {
		e.once.Do(func() { e.shutdown(ctx) })
	}
}

func (e *Exporter) shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { close(e.gate.hard) })
	defer stop()
	if err := e.provider.Shutdown(ctx); err != nil {
		e.gate.log.Warn().Err(err).Msg("the last traces could not be exported")
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ids takes the ids of spans from the context, since they are hashes.
type ids struct{}

type idsKey struct{}

type identity struct {
	trace trace.TraceID
	span  trace.SpanID
}

// NewIDs returns those of a root.
func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id, _ := ctx.Value(idsKey{}).(identity)
	return id.trace, id.span
}

// NewSpanID returns that of a child.
func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	id, _ := ctx.Value(idsKey{}).(identity)
	return id.span
}

// gate says in our log what the SDK would tell a handler of the whole process, and
// ends an export when there is no more time for it.
type gate struct {
	sdktrace.SpanExporter

	log   zerolog.Logger
	hard  chan struct{}
	spans *prometheus.CounterVec
	// failing says that the last export failed, so that this is logged once.
	failing atomic.Bool
}

// ExportSpans never fails: what is lost is counted.
func (g *gate) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done, watching := make(chan struct{}), make(chan struct{})
	go func() { // ends with the export
		defer close(watching)
		select {
		case <-g.hard:
			cancel()
		case <-done:
		}
	}()
	err := g.SpanExporter.ExportSpans(ctx, spans)
	close(done)
	<-watching
	result := "exported"
	if err != nil {
		result = "lost"
	}
	if g.spans != nil {
		g.spans.WithLabelValues(result).Add(float64(len(spans)))
	}
	switch before := g.failing.Swap(err != nil); {
	case err != nil && !before:
		g.log.Warn().Err(short(err)).Int("spans", len(spans)).Msg("traces cannot be exported; they are dropped until the collector answers")
	case err == nil && before:
		g.log.Info().Msg("traces are exported again")
	}
	return nil
}

// short is the error without what a collector may have answered at length.
func short(err error) error {
	const limit = 500
	if text := err.Error(); len(text) > limit {
		return errors.New(text[:limit] + "…")
	}
	return err
}

func counter(r prometheus.Registerer) *prometheus.CounterVec {
	if r == nil {
		return nil
	}
	return promauto.With(r).NewCounterVec(prometheus.CounterOpts{
		Name: "salvor_trace_spans_total", Help: "Spans by what became of them: exported, lost (the collector did not take them).",
	}, []string{"result"})
}
