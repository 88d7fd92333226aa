package ingress

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Reasons for which a request is refused, as the metric and the answer have them.
const (
	reasonPath         = "path"
	reasonMethod       = "method"
	reasonUnauthorized = "unauthorized"
	reasonAudience     = "audience"
	reasonSignature    = "signature"
	reasonExpired      = "expired"
	reasonReplayed     = "replayed"
	reasonForbidden    = "forbidden"
	reasonOrigin       = "origin"
	reasonNamespace    = "namespace"
	reasonTimeout      = "timeout"
	reasonTooLarge     = "too_large"
	reasonMediaType    = "media_type"
	reasonMalformed    = "malformed"
	reasonUndecided    = "undecided"
	reasonRate         = "rate"
	reasonFull         = "full"
	reasonUnavailable  = "unavailable"
)

// Metrics of the endpoint. A nil *Metrics counts nothing.
type Metrics struct {
	events  *prometheus.CounterVec
	refused *prometheus.CounterVec
	waiting prometheus.Gauge
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	return &Metrics{
		events: f.NewCounterVec(prometheus.CounterOpts{
			Name: "salvor_bridge_events_accepted_total",
			Help: "CloudEvents stored, by result: new, duplicate.",
		}, []string{"result"}),
		refused: f.NewCounterVec(prometheus.CounterOpts{
			Name: "salvor_bridge_event_requests_rejected_total",
			Help: "Requests and NATS messages refused, by reason: path, method, unauthorized, audience, signature, expired, replayed, " +
				"forbidden, origin, namespace, timeout, too_large, media_type, malformed, undecided, rate, full, unavailable, dropped (core NATS only).",
		}, []string{"reason"}),
		waiting: f.NewGauge(prometheus.GaugeOpts{
			Name: "salvor_bridge_event_requests_waiting",
			Help: "Requests that wait for what becomes of their events.",
		}),
	}
}

// Accepted counts stored events.
func (m *Metrics) Accepted(fresh, duplicates int) {
	if m != nil {
		m.events.WithLabelValues("new").Add(float64(fresh))
		m.events.WithLabelValues("duplicate").Add(float64(duplicates))
	}
}

// Rejected counts a refusal.
func (m *Metrics) Rejected(reason string) {
	if m != nil {
		m.refused.WithLabelValues(reason).Inc()
	}
}

func (m *Metrics) waits(n float64) {
	if m != nil {
		m.waiting.Add(n)
	}
}
