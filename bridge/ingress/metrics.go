package ingress

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Reasons for which a request is refused, as the metric has them.
const (
	reasonPath         = "path"
	reasonMethod       = "method"
	reasonUnauthorized = "unauthorized"
	reasonNamespace    = "namespace"
	reasonTooLarge     = "too_large"
	reasonMalformed    = "malformed"
	reasonFull         = "full"
	reasonUnavailable  = "unavailable"
)

// Metrics of the endpoint. A nil *Metrics counts nothing.
type Metrics struct {
	events  *prometheus.CounterVec
	refused *prometheus.CounterVec
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
			Help: "Requests refused, by reason: path, method, unauthorized, namespace, too_large, malformed, full, unavailable.",
		}, []string{"reason"}),
	}
}

func (m *Metrics) accepted(fresh, duplicates int) {
	if m != nil {
		m.events.WithLabelValues("new").Add(float64(fresh))
		m.events.WithLabelValues("duplicate").Add(float64(duplicates))
	}
}

func (m *Metrics) rejected(reason string) {
	if m != nil {
		m.refused.WithLabelValues(reason).Inc()
	}
}
