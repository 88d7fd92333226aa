package sink

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of all sinks. A nil *Metrics counts nothing.
type Metrics struct {
	attempts *prometheus.CounterVec
	inHand   *prometheus.GaugeVec
	duration *prometheus.HistogramVec
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	return &Metrics{
		attempts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "salvor_bridge_sink_attempts_total",
			Help: "Attempts to deliver an event to a sink, by result: delivered, retried, dead (it is on DLQ now).",
		}, []string{"sink", "result"}),
		inHand: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "salvor_bridge_sink_in_hand", Help: "Events that are being delivered to a sink or wait for another attempt.",
		}, []string{"sink"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "salvor_bridge_sink_request_seconds", Help: "Duration of requests to a sink.",
			Buckets: prometheus.ExponentialBuckets(0.002, 3, 9), // to 13 s
		}, []string{"sink"}),
	}
}

func (m *Metrics) attempt(sink string, r result) {
	if m != nil {
		m.attempts.WithLabelValues(sink, string(r)).Inc()
	}
}

func (m *Metrics) holds(sink string, n int) {
	if m != nil {
		m.inHand.WithLabelValues(sink).Set(float64(n))
	}
}

func (m *Metrics) took(sink string, seconds float64) {
	if m != nil {
		m.duration.WithLabelValues(sink).Observe(seconds)
	}
}
