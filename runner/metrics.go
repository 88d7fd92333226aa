package runner

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a runner. The func label has the names of known functions only:
// anything else is a user's text.
type metrics struct {
	busy     prometheus.Gauge
	jobs     *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer, slots int) (*metrics, error) {
	total := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "salvor_runner_slots", Help: "Jobs that this runner can work on at once.",
	})
	total.Set(float64(slots))
	m := &metrics{
		busy: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "salvor_runner_busy_slots", Help: "Jobs that this runner works on.",
		}),
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "salvor_runner_jobs_total", Help: "Jobs that this runner took, by function and by what became of them.",
		}, []string{"func", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "salvor_runner_job_duration_seconds", Help: "Time from taking a job to acknowledging it, for jobs that were reported on.",
			Buckets: prometheus.ExponentialBuckets(0.05, 3, 12),
		}, []string{"func"}),
	}
	if registry == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{total, m.busy, m.jobs, m.duration} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register the runner's metrics: %w", err)
		}
	}
	return m, nil
}
