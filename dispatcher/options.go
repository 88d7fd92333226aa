package dispatcher

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// Options of the dispatcher. The zero value is not valid; use DefaultOptions.
type Options struct {
	// Window is how many actions may be under way at once, all namespaces
	// together. What waits beyond it waits fairly; what is inside stands in
	// line for the runners in the order of its release, so it should not be
	// much more than they have slots. Default 64.
	Window int
	// Weights are the shares of namespaces in the release of actions; a
	// namespace that is not named has 1. Default none.
	Weights map[string]int
	// Library is the namespace in which a blueprint is looked up when the
	// ActionSet's own has none of that name. Empty means nowhere else.
	Library string
	// Workers is how many runs may be decided upon at once. Each waits for the
	// stream most of the time. Default 32.
	Workers int
	// Planners is how many actions may be planned (blueprint and objects read
	// from the API server) at once. Default 16.
	Planners int
	// PlanTimeout bounds one attempt to plan an action. Default 30 s.
	PlanTimeout time.Duration
	// PlanRetryFor is how long an action is planned again when the API server
	// does not answer, before it fails. Default 1 h.
	PlanRetryFor time.Duration
	// RunRetention is how long the record of a run is kept after its end.
	// Contents in BLOBS that then no run names go about a day later.
	// Default 168 h.
	RunRetention time.Duration
	// SweepInterval is how often records are looked through for those past
	// RunRetention. Default 10 min.
	SweepInterval time.Duration
	// RecheckInterval is how often runs that are under way are checked for a
	// job or a mark that was lost with another dispatcher; it costs a few
	// requests for each. Default 1 min.
	RecheckInterval time.Duration
	// ReportAckWait is after how long a report that was not acknowledged is
	// delivered again. Default 30 s.
	ReportAckWait time.Duration
}

// DefaultOptions are the defaults named at the fields.
func DefaultOptions() Options {
	return Options{
		Window:          64,
		Workers:         32,
		Planners:        16,
		PlanTimeout:     30 * time.Second,
		PlanRetryFor:    time.Hour,
		RunRetention:    168 * time.Hour,
		SweepInterval:   10 * time.Minute,
		RecheckInterval: time.Minute,
		ReportAckWait:   30 * time.Second,
	}
}

// BindFlags makes the options settable on the command line.
func (o *Options) BindFlags(fs *pflag.FlagSet) {
	fs.IntVar(&o.Window, "window", o.Window, "how many actions may be under way at once, all namespaces together")
	fs.StringToIntVar(&o.Weights, "namespace-weight", o.Weights, "share of a namespace, as namespace=weight; others have 1")
	fs.StringVar(&o.Library, "library-namespace", o.Library, "namespace whose blueprints may be used from every namespace")
	fs.IntVar(&o.Workers, "dispatch-workers", o.Workers, "how many runs may be decided upon at once")
	fs.IntVar(&o.Planners, "planners", o.Planners, "how many actions may be planned at once")
	fs.DurationVar(&o.PlanTimeout, "plan-timeout", o.PlanTimeout, "time limit of one attempt to plan an action")
	fs.DurationVar(&o.PlanRetryFor, "plan-retry-for", o.PlanRetryFor, "how long planning is tried again while the API server does not answer")
	fs.DurationVar(&o.RunRetention, "run-retention", o.RunRetention, "how long the record of a run is kept after its end")
	fs.DurationVar(&o.SweepInterval, "sweep-interval", o.SweepInterval, "how often records past their retention are removed")
	fs.DurationVar(&o.RecheckInterval, "recheck-interval", o.RecheckInterval, "how often runs under way are checked for lost jobs")
	fs.DurationVar(&o.ReportAckWait, "report-ack-wait", o.ReportAckWait, "after how long a report that was not acknowledged comes again")
}

// Validate says which option is wrong and what it has to be.
func (o *Options) Validate() error {
	var errs []error
	positive := func(flag string, n int) {
		if n < 1 {
			errs = append(errs, fmt.Errorf("--%s is %d; set it to 1 or more", flag, n))
		}
	}
	lasting := func(flag string, d time.Duration) {
		if d < time.Second {
			errs = append(errs, fmt.Errorf("--%s is %s; set it to 1s or more", flag, d))
		}
	}
	positive("window", o.Window)
	positive("dispatch-workers", o.Workers)
	positive("planners", o.Planners)
	lasting("plan-timeout", o.PlanTimeout)
	lasting("plan-retry-for", o.PlanRetryFor)
	lasting("run-retention", o.RunRetention)
	lasting("sweep-interval", o.SweepInterval)
	lasting("recheck-interval", o.RecheckInterval)
	lasting("report-ack-wait", o.ReportAckWait)
	for namespace, weight := range o.Weights {
		if namespace == "" || weight < 1 {
			errs = append(errs, fmt.Errorf("--namespace-weight %s=%d: name a namespace and a weight of 1 or more", namespace, weight))
		}
	}
	return errors.Join(errs...)
}
