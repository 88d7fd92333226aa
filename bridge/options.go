package bridge

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/salvor-io/salvor/bridge/ingress"
	"github.com/salvor-io/salvor/bridge/natsource"
	"github.com/salvor-io/salvor/bridge/sink"
)

// Options of the bridge. Start from DefaultOptions.
type Options struct {
	// Namespaces to watch; none means all. A bridge that watches some needs
	// rights in those only.
	Namespaces []string
	// Resync is the time between two comparisons of all ActionSets with all
	// runs; each costs no request unless something differs. Default 5 m.
	Resync time.Duration
	// RunRetention is how long the dispatcher keeps the record of a run after its
	// end: an ActionSet without a status that is older may have been run. It has no
	// flag here, since it must be the dispatcher's --run-retention. Default 168 h.
	RunRetention time.Duration
	// StatusInterval is the shortest time between two intermediate writes of one
	// ActionSet's status; the end is written at once. Default 1 s.
	StatusInterval time.Duration
	// RetentionInterval is the time between two looks at what triggers do not keep;
	// the end of a run causes one too. Default 10 m.
	RetentionInterval time.Duration
	// RetentionInFlight is how many backups of one trigger are pruned at the same
	// time. Default 2.
	RetentionInFlight int
	// Library is the namespace in which a blueprint is looked up that is not in the
	// ActionSet's own. It has no flag here, since it must be the dispatcher's
	// --library-namespace. Default none.
	Library string
	// Listen is the address of the event endpoint. Default ":8080".
	Listen string
	// MaxEventBytes bounds the body of a request with events. Default 256 KiB, at
	// most 768 KiB.
	MaxEventBytes int64
	// Ingress are the options of the event endpoint: who is let in, and how often.
	Ingress ingress.Options
	// Sink are the options of the HTTP sinks of lifecycle events.
	Sink sink.Options
	// NATS are the subjects and streams that events are taken from besides.
	NATS natsource.Options
}

// mostEventBytes leaves room for attributes below the stream's message size.
const mostEventBytes = 768 << 10

// DefaultOptions are the documented defaults.
func DefaultOptions() Options {
	return Options{
		Resync:         5 * time.Minute,
		RunRetention:   168 * time.Hour,
		StatusInterval: time.Second,
		Listen:         ":8080",
		Ingress:        ingress.DefaultOptions(),
		Sink:           sink.DefaultOptions(),

		RetentionInterval: 10 * time.Minute,
		RetentionInFlight: 2,

		MaxEventBytes: 256 << 10,
	}
}

// BindFlags adds a flag for each option; its present value is the default.
func (o *Options) BindFlags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&o.Namespaces, "namespaces", o.Namespaces, "namespaces whose ActionSets and ActionTriggers are served, separated by commas; none means all")
	fs.DurationVar(&o.Resync, "resync", o.Resync, "time between two comparisons of all ActionSets with all runs")
	fs.DurationVar(&o.StatusInterval, "status-interval", o.StatusInterval, "shortest time between two intermediate writes of one ActionSet's status")
	fs.DurationVar(&o.RetentionInterval, "retention-interval", o.RetentionInterval, "time between two looks at what triggers do not keep")
	fs.IntVar(&o.RetentionInFlight, "retention-in-flight", o.RetentionInFlight, "backups of one trigger that are pruned at the same time")
	fs.StringVar(&o.Listen, "listen", o.Listen, "address of the HTTP endpoint for CloudEvents")
	fs.Int64Var(&o.MaxEventBytes, "max-event-bytes", o.MaxEventBytes, "largest body of a request with CloudEvents, in bytes")
	o.Ingress.BindFlags(fs)
	o.NATS.BindFlags(fs)
	o.Sink.BindFlags(fs)
}

// Validate checks the options; the error names the flag.
func (o *Options) Validate() error {
	var errs []error
	for _, namespace := range o.Namespaces {
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			errs = append(errs, fmt.Errorf("--namespaces: %q is not a namespace: %s", namespace, problems[0]))
		}
	}
	if o.Resync < time.Second {
		errs = append(errs, fmt.Errorf("--resync: %s is too short; the least is 1s, the default 5m", o.Resync))
	}
	if o.RunRetention <= 0 {
		errs = append(errs, fmt.Errorf("--run-retention: %s is not positive", o.RunRetention))
	}
	if o.StatusInterval < 0 {
		errs = append(errs, fmt.Errorf("--status-interval: %s is negative", o.StatusInterval))
	}
	if o.RetentionInterval < time.Second {
		errs = append(errs, fmt.Errorf("--retention-interval: %s is too short; the least is 1s, the default 10m", o.RetentionInterval))
	}
	if o.RetentionInFlight < 1 {
		errs = append(errs, fmt.Errorf("--retention-in-flight: %d is too few; the least is 1", o.RetentionInFlight))
	}
	if _, _, err := net.SplitHostPort(o.Listen); err != nil {
		errs = append(errs, fmt.Errorf("--listen: %q is not an address such as :8080: %w", o.Listen, err))
	}
	if o.MaxEventBytes < 1 || o.MaxEventBytes > mostEventBytes {
		errs = append(errs, fmt.Errorf("--max-event-bytes: %d is not between 1 and %d", o.MaxEventBytes, mostEventBytes))
	}
	errs = append(errs, o.Ingress.Validate(), o.NATS.Validate(), o.Sink.Validate())
	return errors.Join(errs...)
}
