package trigger

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of the triggers. A nil *Metrics counts nothing.
type Metrics struct {
	actionSets *prometheus.CounterVec
	events     *prometheus.CounterVec
	rejections *prometheus.CounterVec
	gates      prometheus.Counter
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
			Help: "Events looked at, by result: matched, unmatched, own (Salvor's own, that matched nothing), broken (unreadable).",
		}, []string{"result"}),
		rejections: f.NewCounterVec(prometheus.CounterOpts{
			Name: "salvor_bridge_trigger_rejections_total",
			Help: "Events that matched a trigger and started nothing, by result: rejected (concurrency, rate limit, loop), forbidden, refused.",
		}, []string{"result"}),
		gates: f.NewCounter(prometheus.CounterOpts{
			Name: "salvor_bridge_trigger_gate_writes_total",
			Help: "Writes of the records of events that wait or are counted together. Many events may share one.",
		}),
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

func (m *Metrics) rejected(r rejection) {
	if m != nil {
		m.rejections.WithLabelValues(string(r.result)).Inc()
	}
}

func (m *Metrics) gateWritten() {
	if m != nil {
		m.gates.Inc()
	}
}
