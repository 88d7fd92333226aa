package trigger

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of the triggers. A nil *Metrics counts nothing.
type Metrics struct {
	actionSets *prometheus.CounterVec
	events     *prometheus.CounterVec
}

// Results of an event, as the metric has them.
const (
	resultMatched   = "matched"
	resultUnmatched = "unmatched"
	resultOwn       = "own"
	resultBroken    = "broken"
)

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	return &Metrics{
		actionSets: f.NewCounterVec(prometheus.CounterOpts{
			Name: "salvor_bridge_trigger_actionsets_total",
			Help: "ActionSets made from events, by result: created, exists (the event came again), refused, retried.",
		}, []string{"result"}),
		events: f.NewCounterVec(prometheus.CounterOpts{
			Name: "salvor_bridge_trigger_events_total",
			Help: "Events looked at, by result: matched, unmatched, own (Salvor's own, never matched), broken (unreadable).",
		}, []string{"result"}),
	}
}

func (m *Metrics) event(result string) {
	if m != nil {
		m.events.WithLabelValues(result).Inc()
	}
}

func (m *Metrics) actionSet(result string) {
	if m != nil {
		m.actionSets.WithLabelValues(result).Inc()
	}
}
