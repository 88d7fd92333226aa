package runner

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/spf13/pflag"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/pods"
)

// Deps are what a Runner is made from.
type Deps struct {
	JS      jetstream.JetStream
	Clients *kube.Clients
	Clock   clock.WithTicker
	Log     zerolog.Logger
	Metrics prometheus.Registerer
	// Functions that phases may call. Nil means Functions().
	Functions function.Registry
}

// Options say how much and how long.
type Options struct {
	// Pool that jobs are taken from. Default event.DefaultPool.
	Pool string
	// Slots is how many jobs are worked on at once. A slot costs a goroutine and
	// a log stream, not a worker's CPU. Default 32.
	Slots int
	// Name of this runner, the same after a restart (a StatefulSet's pod name),
	// so that it may take up at once what it held before. Required.
	Name string
	// ClaimTTL is how long a job stays claimed by a runner that is gone. Whole
	// seconds, at least 3 s. Default 15 s.
	ClaimTTL time.Duration
	// AckWait is how long the queue waits for a sign of life before it gives the
	// job to another runner, or to the next process after the loss of the only one:
	// it begins again where the queue's server does. All runners of a pool must have
	// the same. Costs two small messages for each running job in that time, which
	// a replicated queue writes to its log; a sign that is late costs a delivery to
	// a runner that finds the job claimed. Default 4 s.
	AckWait time.Duration
	// AllowSecretOutputs lets phases publish values of Secrets, which then stand
	// on the streams and in the status, as Kanister allows. Default false.
	AllowSecretOutputs bool
	// PoisonAfter is how many runners may be lost while they work on a job before
	// it is set aside; 0 means that none ever is. Default 3.
	PoisonAfter int
	// ToolsImage is the image of pods that move data and whose blueprint names none. It
	// has a shell, restic and kando. Default DefaultToolsImage.
	ToolsImage string
	// SweepEvery is how often leftover pods are looked for. Default 5 min.
	SweepEvery time.Duration
	// RDSEndpoint is the URL of Amazon RDS: for servers that speak its protocol, and
	// endpoints in a VPC. Default empty: AWS' own of the region.
	RDSEndpoint string
	// OwnIdentity lets the functions that reach a cloud from this process use its own
	// identity there, where a Profile or a Blueprint has no key: LocationDelete and the
	// functions of RDS, as Kanister does. Default false: whoever may write Profiles or
	// Blueprints would act with it, be it only that of the node.
	OwnIdentity bool
	// Pods are the options of the pod side.
	Pods pods.Options
}

// shutdown bounds: functions that may run once get grace, everything gets hard,
// and Run returns after last at the latest: the process closes its broker after
// that, and all of it fits into ten seconds.
const (
	shutdownGrace = 4500 * time.Millisecond
	shutdownHard  = 5500 * time.Millisecond
	shutdownLast  = 6500 * time.Millisecond
)

// DefaultToolsImage is the tools image of Kanister's own blueprints.
const DefaultToolsImage = "ghcr.io/kanisterio/kanister-tools:0.116.0"

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{
		Pool:     event.DefaultPool,
		Slots:    32,
		ClaimTTL: 15 * time.Second,
		AckWait:  4 * time.Second,

		PoisonAfter: 3,
		ToolsImage:  DefaultToolsImage,

		SweepEvery: 5 * time.Minute,
		Pods:       pods.DefaultOptions(),
	}
}

// BindFlags adds the options' flags, with the present values as defaults.
func (o *Options) BindFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Pool, "runner-pool", o.Pool, "pool that this runner takes jobs from")
	fs.IntVar(&o.Slots, "runner-slots", o.Slots, "how many jobs this runner works on at once")
	fs.StringVar(&o.Name, "runner-name", o.Name, "name of this runner, the same after a restart; empty means the host's name")
	fs.DurationVar(&o.ClaimTTL, "runner-claim-ttl", o.ClaimTTL, "how long a job stays claimed by a runner that is gone, in whole seconds")
	fs.DurationVar(&o.AckWait, "runner-ack-wait", o.AckWait, "how long the queue waits for a sign of life of a job's runner; the same for all runners of a pool")
	fs.IntVar(&o.PoisonAfter, "poison-after", o.PoisonAfter, "how many runners may be lost while they work on a job before it is set aside as a dead letter and its phase fails; 0 for never")
	fs.BoolVar(&o.AllowSecretOutputs, "allow-secret-outputs", o.AllowSecretOutputs, "let phases publish values of Secrets as outputs, for everybody who may read ActionSets to see")
	fs.StringVar(&o.ToolsImage, "tools-image", o.ToolsImage, "image of pods that move data, with a shell, restic and kando, where the blueprint names none; $KANISTER_TOOLS goes before the default")
	fs.StringVar(&o.RDSEndpoint, "rds-endpoint", o.RDSEndpoint, "URL of Amazon RDS, such as that of a VPC endpoint; $AWS_ENDPOINT_URL_RDS goes before the default, which is AWS' own of the region")
	fs.BoolVar(&o.OwnIdentity, "allow-own-identity", o.OwnIdentity, "let LocationDelete and the functions of RDS use the cloud identity of this process where no key is given, for everybody who may write Profiles or Blueprints")
	o.Pods.BindFlags(fs)
}

// Validate checks the options.
func (o *Options) Validate() error {
	switch {
	case o.Pool == "":
		return errors.New("--runner-pool is empty; name a pool, such as " + event.DefaultPool)
	case o.Slots < 1:
		return fmt.Errorf("--runner-slots is %d; it must be at least 1", o.Slots)
	case o.Name == "":
		return errors.New("the runner has no name; pass --runner-name, the same after each restart")
	case o.ClaimTTL < 3*time.Second || o.ClaimTTL%time.Second != 0:
		return fmt.Errorf("--runner-claim-ttl is %s; it must be whole seconds, at least 3s", o.ClaimTTL)
	case o.AckWait < time.Second:
		return fmt.Errorf("--runner-ack-wait is %s; it must be at least 1s", o.AckWait)
	case o.PoisonAfter < 0:
		return fmt.Errorf("--poison-after is %d; it must be 0 (never) or more", o.PoisonAfter)
	case o.ToolsImage == "":
		return errors.New("--tools-image is empty; name an image with a shell, restic and kando, such as " + DefaultToolsImage)
	case o.SweepEvery <= 0:
		return fmt.Errorf("SweepEvery is %s; it must be more than 0", o.SweepEvery)
	}
	if err := o.Pods.Validate(); err != nil {
		return fmt.Errorf("pods: %w", err)
	}
	return nil
}
