package schedule

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Results of a tick, as the metric has them.
const (
	resultTold      = "told"
	resultDuplicate = "duplicate"
	resultMissed    = "missed"
)

// Metrics of the schedules. A nil *Metrics counts nothing.
type Metrics struct {
	told      *prometheus.CounterVec
	schedules prometheus.Gauge
	delay     prometheus.Histogram
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	return &Metrics{
		told: f.NewCounterVec(prometheus.CounterOpts{
			Name: "salvor_bridge_schedule_ticks_total",
			Help: "Ticks of schedules, by result: told, duplicate (another bridge had told it), missed (passed while Salvor was down).",
		}, []string{"result"}),
		schedules: f.NewGauge(prometheus.GaugeOpts{
			Name: "salvor_bridge_schedules",
			Help: "Schedules that tick.",
		}),
		delay: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "salvor_bridge_schedule_delay_seconds",
			Help:    "Time from when a tick was due, jitter included, until it was stored.",
			Buckets: []float64{0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 3600},
		}),
	}
}

func (m *Metrics) ticks(result string, n int) {
	if m != nil {
		m.told.WithLabelValues(result).Add(float64(n))
	}
}

func (m *Metrics) waiting(n int) {
	if m != nil {
		m.schedules.Set(float64(n))
	}
}

func (m *Metrics) late(d time.Duration) {
	if m != nil {
		m.delay.Observe(d.Seconds())
	}
}
