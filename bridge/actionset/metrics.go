package actionset

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of the intake. A nil *Metrics counts nothing.
type Metrics struct {
	runs    *prometheus.CounterVec
	refused prometheus.Counter
	cancels prometheus.Counter
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	return &Metrics{
		runs: f.NewCounterVec(prometheus.CounterOpts{
			Name: "salvor_bridge_runs_created_total",
			Help: "Runs created from ActionSets, by cause: new, recovered (the run's record was lost).",
		}, []string{"cause"}),
		refused: f.NewCounter(prometheus.CounterOpts{
			Name: "salvor_bridge_actionsets_refused_total",
			Help: "ActionSets that could never run and were failed at once.",
		}),
		cancels: f.NewCounter(prometheus.CounterOpts{
			Name: "salvor_bridge_runs_cancelled_total",
			Help: "Runs cancelled because their ActionSet was deleted.",
		}),
	}
}

func (m *Metrics) created(recovered bool) {
	if m == nil {
		return
	}
	cause := "new"
	if recovered {
		cause = "recovered"
	}
	m.runs.WithLabelValues(cause).Inc()
}

func (m *Metrics) rejected() {
	if m != nil {
		m.refused.Inc()
	}
}

func (m *Metrics) cancelled() {
	if m != nil {
		m.cancels.Inc()
	}
}
