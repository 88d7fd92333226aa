package serve

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"
)

// Options of the process. Those of the roles are the roles' own.
type Options struct {
	// Roles to run. Default: all.
	Roles []string
	// NATS is the URL of NATS servers, comma-separated; empty runs an embedded
	// broker.
	NATS string
	// NATSCreds is a file with credentials for NATS.
	NATSCreds string
	// DataDir is where the embedded broker keeps its store. Default
	// /var/lib/salvor.
	DataDir string
	// NATSListen is where the embedded broker serves other processes, as
	// host:port; empty serves this process only.
	NATSListen string
	// Replicas of every stream. Default 1; more needs a NATS cluster.
	Replicas int
	// Namespace is Salvor's own. Default $POD_NAMESPACE, else salvor.
	Namespace string
	// LogLevel is one of zerolog's. Default info.
	LogLevel string
	// LogFormat is json or console. Default json.
	LogFormat string
	// ProbeListen is where probes and metrics are served. Default :8081.
	ProbeListen string
	// QPS and Burst bound requests to the API server. Default 200 and 400.
	QPS   float32
	Burst int
	// Grace is how long the roles have to end. Default 10 s.
	Grace time.Duration

	// noSync leaves syncing to the operating system, in tests.
	noSync bool
}

// DefaultOptions returns the defaults. roles are the names of all roles.
func DefaultOptions(roles []string) Options {
	return Options{
		Roles: roles, DataDir: "/var/lib/salvor", Replicas: 1, Namespace: "salvor",
		LogLevel: zerolog.LevelInfoValue, LogFormat: "json", ProbeListen: ":8081",
		QPS: 200, Burst: 400, Grace: 10 * time.Second,
	}
}

// BindFlags defines the flags.
func (o *Options) BindFlags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&o.Roles, "roles", o.Roles, "roles to run in this process")
	fs.StringVar(&o.NATS, "nats", o.NATS, "URLs of NATS servers with JetStream, comma-separated (default: an embedded broker)")
	fs.StringVar(&o.NATSCreds, "nats-creds", o.NATSCreds, "file with the credentials for --nats")
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir, "directory of the embedded broker's store; every acknowledged message is synced to it")
	fs.StringVar(&o.NATSListen, "nats-listen", o.NATSListen, "host:port on which the embedded broker serves other processes (default: this process only)")
	fs.IntVar(&o.Replicas, "replicas", o.Replicas, "replicas of every stream; more than 1 needs --nats and as many servers")
	fs.StringVarP(&o.Namespace, "namespace", "n", o.Namespace, "Salvor's own namespace, in which the library of blueprints is too; $POD_NAMESPACE goes before the default")
	fs.StringVar(&o.LogLevel, "log-level", o.LogLevel, "trace, debug, info, warn or error")
	fs.StringVar(&o.LogFormat, "log-format", o.LogFormat, "json, or console for people")
	fs.StringVar(&o.ProbeListen, "probe-listen", o.ProbeListen, "host:port of /healthz, /readyz and /metrics")
	fs.Float32Var(&o.QPS, "kube-qps", o.QPS, "requests to the API server, per second, lasting")
	fs.IntVar(&o.Burst, "kube-burst", o.Burst, "requests to the API server at once")
	fs.DurationVar(&o.Grace, "shutdown-grace", o.Grace, "how long the roles have to end")
}

// Validate checks the options against each other.
func (o *Options) Validate() error {
	if o.NATS == "" {
		if o.DataDir == "" {
			return fmt.Errorf("--data-dir is required unless --nats is given")
		}
		if o.Replicas != 1 {
			return fmt.Errorf("--replicas %d needs a NATS cluster: the embedded broker is one server; give --nats", o.Replicas)
		}
		if o.NATSCreds != "" {
			return fmt.Errorf("--nats-creds is for --nats; the embedded broker takes none")
		}
	} else if o.NATSListen != "" {
		return fmt.Errorf("--nats and --nats-listen exclude each other: the latter is the embedded broker's")
	}
	if o.Replicas < 1 || o.Replicas > 5 {
		return fmt.Errorf("--replicas %d is not between 1 and 5", o.Replicas)
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

// Durability says in words what an acknowledged event survives.
func (o *Options) Durability() string {
	if o.NATS == "" {
		return "one copy, synced to " + o.DataDir + " before it is acknowledged: survives the loss of the process and of power, not of the disk"
	}
	copies := "one copy"
	if o.Replicas > 1 {
		copies = strconv.Itoa(o.Replicas) + " copies"
	}
	return copies + " on " + strings.TrimSpace(redact(o.NATS)) +
		"; whether each is synced before it is acknowledged is the servers' setting: it should be sync_interval: always"
}
