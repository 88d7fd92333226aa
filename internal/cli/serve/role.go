package serve

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/spf13/pflag"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/telemetry"
)

// Role is a running part of Salvor: bridge, dispatcher or runner.
type Role interface {
	// Run blocks until ctx ends and everything it started has ended.
	Run(ctx context.Context) error
	// Ready returns nil while the role works, else why it does not.
	Ready() error
}

// Deps are what a role is made of.
type Deps struct {
	JS jetstream.JetStream
	// Clients is nil when no role of the process needs the cluster.
	Clients *kube.Clients
	Clock   clock.WithTicker
	Log     zerolog.Logger
	Metrics prometheus.Registerer
	// Spans takes the traces of runs; nil takes none.
	Spans *telemetry.Exporter
}

// Settings are what the process knows and roles may need among their options.
type Settings struct {
	// Namespace is Salvor's own, in which the library of blueprints is too.
	Namespace string
}

// Constructor makes a role of a kind.
type Constructor struct {
	// Name as in --roles.
	Name string
	// NeedsCluster says that Deps.Clients is used.
	NeedsCluster bool
	// BindFlags defines the role's flags; may be nil.
	BindFlags func(*pflag.FlagSet)
	// Configure completes the role's options after the flags are parsed; may be
	// nil.
	Configure func(Settings)
	// Validate checks the role's options afterwards; may be nil.
	Validate func() error
	// New makes the role. It is called when the streams are in place.
	New func(context.Context, Deps) (Role, error)
}

// pick returns the constructors that --roles names, in the order in which they
// are known, which is that of the flow. The broker is none of them.
func pick(known []Constructor, names []string) ([]Constructor, error) {
	all := make([]string, 0, len(known)+1)
	for i := range known {
		all = append(all, known[i].Name)
	}
	all = append(all, roleBroker)
	if len(names) == 0 {
		return nil, fmt.Errorf("--roles: name at least one of %s", strings.Join(all, ", "))
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("--roles: %q is not one of %s", name, strings.Join(all, ", "))
		}
	}
	var picked []Constructor
	for i := range known {
		if slices.Contains(names, known[i].Name) {
			picked = append(picked, known[i])
		}
	}
	return picked, nil
}
