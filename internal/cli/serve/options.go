package serve

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"github.com/salvor-io/salvor/internal/telemetry"
)

// Options of the process. Those of the roles are the roles' own.
type Options struct {
	// Roles to run. Default: all but the broker, which is implied when NATS is
	// empty.
	Roles []string
	// NATS is the URL of NATS servers, comma-separated; empty runs an embedded
	// broker.
	NATS string
	// NATSCreds is a file with credentials for NATS.
	NATSCreds string
	// NATSAuth is a file with the user:password or the token that clients show: to
	// NATS, or to the embedded broker.
	NATSAuth string
	// NATSCA is a file with the authority of the certificates of NATS.
	NATSCA string
	// DataDir is where the embedded broker keeps its store. Default
	// /var/lib/salvor.
	DataDir string
	// NATSListen is where the embedded broker serves other processes, as
	// host:port; empty serves this process only.
	NATSListen string
	// Broker makes the embedded broker a member of a cluster.
	Broker Broker
	// Replicas of every stream; more than 1 needs a NATS cluster. The default 0
	// leaves the streams as they are; new ones get 1, in a cluster of embedded
	// brokers 3.
	Replicas int
	// Namespace is Salvor's own. Default $POD_NAMESPACE, else salvor.
	Namespace string
	// LogLevel is one of zerolog's. Default info.
	LogLevel string
	// LogFormat is json or console. Default json.
	LogFormat string
	// ProbeListen is where probes and metrics are served. Default :8081.
	ProbeListen string
	// OTLPEndpoint is the URL of an OTLP receiver over HTTP that gets the traces of
	// runs. Default $OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, then
	// $OTEL_EXPORTER_OTLP_ENDPOINT; empty exports nothing.
	OTLPEndpoint string
	// QPS and Burst bound requests to the API server. Default 200 and 400.
	QPS   float32
	Burst int
	// Grace is how long the roles have to end. Default 7 s: with the connection and
	// the broker, which come after them, the process ends within 10 s.
	Grace time.Duration

	// noSync leaves syncing to the operating system, in tests.
	noSync bool
}

// DefaultOptions returns the defaults. roles are the names of all roles.
func DefaultOptions(roles []string) Options {
	return Options{
		Roles: roles, DataDir: "/var/lib/salvor", Broker: Broker{Cluster: "salvor"}, Namespace: "salvor",
		LogLevel: zerolog.LevelInfoValue, LogFormat: "json", ProbeListen: ":8081",
		QPS: 200, Burst: 400, Grace: 7 * time.Second,
	}
}

// BindFlags defines the flags.
func (o *Options) BindFlags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&o.Roles, "roles", o.Roles, "roles to run in this process: those of the default, and broker, which is implied without --nats")
	fs.StringVar(&o.NATS, "nats", o.NATS, "URLs of NATS servers with JetStream, comma-separated (default: an embedded broker)")
	fs.StringVar(&o.NATSCreds, "nats-creds", o.NATSCreds, "file with the credentials for --nats")
	fs.StringVar(&o.NATSAuth, "nats-auth", o.NATSAuth, "file with the user:password, or token, that clients show to --nats or to the embedded broker")
	fs.StringVar(&o.NATSCA, "nats-ca", o.NATSCA, "authority of the certificates of --nats (PEM)")
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir, "directory of the embedded broker's store; every acknowledged message is synced to it")
	fs.StringVar(&o.NATSListen, "nats-listen", o.NATSListen, "host:port on which the embedded broker serves other processes (default: this process only)")
	o.Broker.bindFlags(fs)
	fs.IntVar(&o.Replicas, "replicas", o.Replicas, "replicas of every stream, which are changed to it; more than 1 needs as many servers (default: as they are; new ones 1, in a cluster of embedded brokers 3)")
	fs.StringVarP(&o.Namespace, "namespace", "n", o.Namespace, "Salvor's own namespace, in which the library of blueprints is too; $POD_NAMESPACE goes before the default")
	fs.StringVar(&o.LogLevel, "log-level", o.LogLevel, "trace, debug, info, warn or error")
	fs.StringVar(&o.LogFormat, "log-format", o.LogFormat, "json, or console for people")
	fs.StringVar(&o.ProbeListen, "probe-listen", o.ProbeListen, "host:port of /healthz, /readyz and /metrics")
	fs.StringVar(&o.OTLPEndpoint, "otlp-endpoint", o.OTLPEndpoint, "URL of an OTLP receiver over HTTP for the traces of runs, such as http://collector:4318 (default: $OTEL_EXPORTER_OTLP_ENDPOINT, else nowhere)")
	fs.Float32Var(&o.QPS, "kube-qps", o.QPS, "requests to the API server, per second, lasting")
	fs.IntVar(&o.Burst, "kube-burst", o.Burst, "requests to the API server at once")
	fs.DurationVar(&o.Grace, "shutdown-grace", o.Grace, "how long the roles have to end")
}

// Validate checks the options against each other.
func (o *Options) Validate() error {
	if o.Replicas < 0 || o.Replicas > 5 {
		return fmt.Errorf("--replicas %d is not between 1 and 5, or 0 for as they are", o.Replicas)
	}
	if err := o.validateBroker(); err != nil {
		return err
	}
	if _, _, err := hostPort(o.NATSListen); err != nil {
		return fmt.Errorf("--nats-listen: %w", err)
	}
	if _, _, err := hostPort(o.ProbeListen); err != nil || o.ProbeListen == "" {
		return fmt.Errorf("--probe-listen: %q is not host:port", o.ProbeListen)
	}
	if _, err := zerolog.ParseLevel(o.LogLevel); err != nil || o.LogLevel == "" {
		return fmt.Errorf("--log-level: %q is not one of trace, debug, info, warn, error", o.LogLevel)
	}
	if o.LogFormat != "json" && o.LogFormat != "console" {
		return fmt.Errorf("--log-format: %q is neither json nor console", o.LogFormat)
	}
	if o.OTLPEndpoint != "" {
		if err := telemetry.CheckEndpoint(o.OTLPEndpoint); err != nil {
			return fmt.Errorf("--otlp-endpoint: %w", err)
		}
	}
	if o.Namespace == "" {
		return fmt.Errorf("--namespace is empty")
	}
	if o.Grace <= 0 {
		return fmt.Errorf("--shutdown-grace %s is not positive", o.Grace)
	}
	if o.QPS <= 0 || o.Burst < 1 {
		return fmt.Errorf("--kube-qps and --kube-burst must be positive")
	}
	return nil
}

// hostPort splits host:port; nothing stays nothing.
func hostPort(text string) (host string, port int, err error) {
	if text == "" {
		return "", 0, nil
	}
	host, number, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not host:port: %w", text, err)
	}
	port, err = strconv.Atoi(number)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%q is not host:port: the port is not a number up to 65535", text)
	}
	return host, port, nil
}
