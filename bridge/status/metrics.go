package status

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Results of a status write, as the metric has them.
const (
	resultWritten   = "written"
	resultUnchanged = "unchanged"
	resultGone      = "gone"
	resultError     = "error"
)

// Metrics of the projection. A nil *Metrics counts nothing.
type Metrics struct {
	writes     *prometheus.CounterVec
	lagSeconds prometheus.Histogram
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	return &Metrics{
		writes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "salvor_bridge_status_writes_total",
			Help: "Writes of ActionSet status, by result: written, unchanged (skipped), gone, error.",
		}, []string{"result"}),
		lagSeconds: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "salvor_bridge_status_lag_seconds",
			Help:    "Time from a change of a run to its ActionSet saying so.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 14),
		}),
	}
}

func (m *Metrics) write(result string) {
	if m != nil {
		m.writes.WithLabelValues(result).Inc()
	}
}

func (m *Metrics) lag(d time.Duration) {
	if m != nil {
		m.lagSeconds.Observe(d.Seconds())
	}
}
