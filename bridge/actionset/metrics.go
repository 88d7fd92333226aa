package actionset

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/salvor-io/salvor/api/event"
)

// Metrics of the intake. A nil *Metrics counts nothing.
type Metrics struct {
	runs    *prometheus.CounterVec
	refused prometheus.Counter
	asked   *prometheus.CounterVec
	put     *prometheus.CounterVec
}

// What the comparison of ActionSets and runs puts right, as the metric has it.
const (
	// convergedStatus: a status that had fallen behind was written again.
	convergedStatus = "status"
	// convergedRequest: a request without effect was sent again.
	convergedRequest = "request"
	// convergedOrphan: a run without an ActionSet was cancelled.
	convergedOrphan = "orphan"
)

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
		asked: f.NewCounterVec(prometheus.CounterOpts{
			Name: "salvor_bridge_requests_total",
			Help: "Requests sent to the dispatcher, by kind: cancel (asked for, or the ActionSet was deleted), pause, resume, retry.",
		}, []string{"kind"}),
		put: f.NewCounterVec(prometheus.CounterOpts{
			Name: "salvor_bridge_converged_total",
			Help: "What the comparison of ActionSets and runs put right: status (written again), request (sent again), " +
				"orphan (a run without an ActionSet was cancelled). Lost records are in salvor_bridge_runs_created_total.",
		}, []string{"what"}),
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

func (m *Metrics) requested(kind event.ReportKind) {
	if m != nil {
		m.asked.WithLabelValues(string(kind)).Inc()
	}
}

func (m *Metrics) converged(what string) {
	if m != nil {
		m.put.WithLabelValues(what).Inc()
	}
}
