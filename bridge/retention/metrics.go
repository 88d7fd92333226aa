package retention

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of retention. A nil *Metrics counts nothing.
type Metrics struct {
	steps *prometheus.CounterVec
}

// Results of a step, as the metric has them.
const (
	resultBegun     = "begun"
	resultPruned    = "pruned"
	resultRemoved   = "removed"
	resultDiscarded = "discarded"
	resultRefused   = "refused"
	resultFailed    = "failed"
)

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	return &Metrics{steps: promauto.With(r).NewCounterVec(prometheus.CounterOpts{
		Name: "salvor_bridge_retention_total",
		Help: "Steps of retention, by result: begun (an ActionSet that removes data was made), pruned (a backup is gone after its data), " +
			"removed (an ActionSet without data of its own is gone), discarded (one that removed data is gone), refused (told in the trigger's condition), failed.",
	}, []string{"result"})}
}

func (m *Metrics) count(result string) {
	if m != nil {
		m.steps.WithLabelValues(result).Inc()
	}
}
