package dispatcher

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/salvor-io/salvor/api/event"
)

type metrics struct {
	runs      *prometheus.GaugeVec
	waiting   *prometheus.GaugeVec
	held      prometheus.Gauge
	window    prometheus.Gauge
	conflicts prometheus.Counter
	reports   *prometheus.CounterVec
	malformed *prometheus.CounterVec
	retries   *prometheus.CounterVec
	timers    *prometheus.CounterVec
	start     prometheus.Histogram
}

const metricsPrefix = "salvor_dispatcher_"

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		runs: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: metricsPrefix + "runs", Help: "Runs on record, by state.",
		}, []string{"state"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: metricsPrefix + "waiting_actions", Help: "Actions that wait for their turn, by tier.",
		}, []string{"tier"}),
		held:   prometheus.NewGauge(prometheus.GaugeOpts{Name: metricsPrefix + "window_used", Help: "Actions under way."}),
		window: prometheus.NewGauge(prometheus.GaugeOpts{Name: metricsPrefix + "window_size", Help: "Actions that may be under way at once."}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: metricsPrefix + "conflicts_total", Help: "Writes of a run that met a newer revision and were decided again.",
		}),
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricsPrefix + "reports_total", Help: "Reports handled, by kind and by what they changed.",
		}, []string{"kind", "outcome"}),
		malformed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricsPrefix + "malformed_total", Help: "Messages that could not be decoded, by stream.",
		}, []string{"stream"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricsPrefix + "retries_total", Help: "Steps that failed and are tried again, by step.",
		}, []string{"step"}),
		timers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricsPrefix + "timers_total", Help: "Timers that fired, by what they changed.",
		}, []string{"outcome"}),
		start: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: metricsPrefix + "start_seconds", Help: "Time from the acceptance of a run to the start of its first action.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 18), // to 11 minutes
		}),
	}
	if r == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.runs, m.waiting, m.held, m.window, m.conflicts, m.reports, m.malformed, m.retries, m.timers, m.start} {
		errs = append(errs, r.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("register the dispatcher's metrics: %w", err)
	}
	return m, nil
}

func (m *metrics) queue(held int, waiting map[int]int) {
	m.held.Set(float64(held))
	for tier, n := range waiting {
		m.waiting.WithLabelValues(strconv.Itoa(tier)).Set(float64(n))
	}
}

func (m *metrics) timer(outcome string) { m.timers.WithLabelValues(outcome).Inc() }

func (m *metrics) report(kind event.ReportKind, outcome string) {
	switch kind {
	case event.ReportProgress, event.ReportSucceeded, event.ReportFailed, event.ReportCancelled,
		event.ReportCancel, event.ReportPause, event.ReportResume, event.ReportRetry:
	default:
		kind = "other" // a label's values are not for the sender to choose
	}
	m.reports.WithLabelValues(string(kind), outcome).Inc()
}
