package serve

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/salvor-io/salvor/internal/broker"
)

// roleBroker is the role that is the embedded broker itself: it needs no cluster
// of Kubernetes and no streams.
const roleBroker = "broker"

// Broker are the options of the embedded broker as a member of a cluster.
type Broker struct {
	// Name of this member, the same after each restart. Default: the host's name.
	Name string
	// Cluster is the cluster's name. Default salvor.
	Cluster string
	// ClusterListen is where the other members reach this one, as host:port; empty
	// is a broker alone.
	ClusterListen string
	// Routes are the URLs of all members, this one included.
	Routes []string
	// ClusterAuth is a file with the user:password that members show each other.
	ClusterAuth string
	// TLS are the files of this broker's certificate and of the authority of the
	// members'.
	TLS broker.TLS
}

func (b *Broker) bindFlags(fs *pflag.FlagSet) {
	fs.StringVar(&b.Name, "broker-name", b.Name, "name of the embedded broker in its cluster, the same after each restart (default: $POD_NAME, else the host's name)")
	fs.StringVar(&b.Cluster, "broker-cluster", b.Cluster, "name of the cluster of embedded brokers")
	fs.StringVar(&b.ClusterListen, "broker-cluster-listen", b.ClusterListen, "host:port on which other embedded brokers reach this one; makes it a member of a cluster")
	fs.StringSliceVar(&b.Routes, "broker-routes", b.Routes, "URLs of all members of the cluster, this one included: nats://host:port,…")
	fs.StringVar(&b.ClusterAuth, "broker-cluster-auth", b.ClusterAuth, "file with the user:password that members show each other")
	fs.StringVar(&b.TLS.Cert, "broker-tls-cert", b.TLS.Cert, "certificate of the embedded broker, for clients and members (PEM)")
	fs.StringVar(&b.TLS.Key, "broker-tls-key", b.TLS.Key, "key of --broker-tls-cert (PEM)")
	fs.StringVar(&b.TLS.CA, "broker-tls-ca", b.TLS.CA, "authority of the other members' certificates, which they have to show (PEM)")
}

// Embedded says that the process runs a broker.
func (o *Options) Embedded() bool { return o.NATS == "" }

// member says that the embedded broker is one of several.
func (o *Options) member() bool { return o.Embedded() && o.Broker.ClusterListen != "" }

// brokerOnly says that no role but the broker runs.
func (o *Options) brokerOnly() bool { return len(o.Roles) == 1 && o.Roles[0] == roleBroker }

func (o *Options) validateBroker() error {
	if !o.Embedded() {
		return o.validateNoBroker()
	}
	switch {
	case o.DataDir == "":
		return errors.New("--data-dir is required unless --nats is given")
	case o.NATSCreds != "":
		return errors.New("--nats-creds is for --nats; the embedded broker takes --nats-auth")
	case o.NATSCA != "":
		return errors.New("--nats-ca is for --nats; the embedded broker takes --broker-tls-cert")
	case o.brokerOnly() && o.NATSListen == "":
		return errors.New("--roles broker alone needs --nats-listen: otherwise nobody could use the broker")
	case (o.Broker.TLS.Cert == "") != (o.Broker.TLS.Key == ""):
		return errors.New("--broker-tls-cert and --broker-tls-key belong together")
	}
	if !o.member() {
		return o.validateAlone()
	}
	return o.validateMember()
}

func (o *Options) validateNoBroker() error {
	switch {
	case slices.Contains(o.Roles, roleBroker):
		return errors.New("--nats and --roles broker exclude each other: a process with the broker role uses its own")
	case o.NATSListen != "":
		return errors.New("--nats and --nats-listen exclude each other: the latter is the embedded broker's")
	case o.Broker.ClusterListen != "" || len(o.Broker.Routes) > 0 || o.Broker.ClusterAuth != "" || o.Broker.TLS != broker.TLS{}:
		return errors.New("--nats and the flags --broker-… exclude each other: the latter are the embedded broker's")
	case o.NATSCreds != "" && o.NATSAuth != "":
		return errors.New("--nats-creds and --nats-auth exclude each other")
	}
	return nil
}

func (o *Options) validateAlone() error {
	switch {
	case len(o.Broker.Routes) > 0 || o.Broker.ClusterAuth != "":
		return errors.New("--broker-routes and --broker-cluster-auth need --broker-cluster-listen, on which the others reach this broker")
	case o.Replicas > 1:
		return fmt.Errorf("--replicas %d needs a NATS cluster: the embedded broker is one server; make it a member of a cluster "+
			"(--broker-cluster-listen, --broker-routes) or give --nats", o.Replicas)
	}
	return nil
}

func (o *Options) validateMember() error {
	b := o.Broker
	if _, port, err := hostPort(b.ClusterListen); err != nil || port == 0 {
		return fmt.Errorf("--broker-cluster-listen: %q is not host:port", b.ClusterListen)
	}
	routes, err := b.routes()
	switch {
	case err != nil:
		return err
	case len(routes) < 2:
		return errors.New("--broker-routes has to name all members of the cluster, this one included: at least 2, better 3")
	case o.Replicas > len(routes):
		return fmt.Errorf("--replicas %d needs as many servers; --broker-routes names %d", o.Replicas, len(routes))
	case b.Name == "" || strings.ContainsAny(b.Name, " \t"):
		return fmt.Errorf("--broker-name: %q is not a name; it has to be one word and the same after each restart", b.Name)
	case b.Cluster == "" || strings.ContainsAny(b.Cluster, " \t"):
		return fmt.Errorf("--broker-cluster: %q is not a name", b.Cluster)
	case b.TLS.Cert != "" && b.TLS.CA == "":
		return errors.New("--broker-tls-cert needs --broker-tls-ca: members show each other certificates")
	}
	return nil
}

func (b *Broker) routes() ([]*url.URL, error) {
	routes := make([]*url.URL, 0, len(b.Routes))
	for _, text := range b.Routes {
		if !strings.Contains(text, "://") {
			text = "nats://" + text
		}
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Hostname() == "" || u.Port() == "":
			return nil, fmt.Errorf("--broker-routes: %q is not nats://host:port", redact(text))
		case u.User != nil:
			return nil, errors.New("--broker-routes: credentials do not belong on a command line; put user:password into a file and name it with --broker-cluster-auth")
		}
		routes = append(routes, u)
	}
	return routes, nil
}

// open lists, for the log, what anybody who reaches the machine may use.
func (o *Options) open() []string {
	var open []string
	if o.Embedded() && o.NATSListen != "" && !loopback(o.NATSListen) && o.NATSAuth == "" {
		open = append(open, "--nats-listen "+o.NATSListen+" lets everybody in who reaches it, to read and to write all there is: set --nats-auth")
	}
	if o.member() && !loopback(o.Broker.ClusterListen) && o.Broker.ClusterAuth == "" && o.Broker.TLS.CA == "" {
		open = append(open, "--broker-cluster-listen "+o.Broker.ClusterListen+" lets everybody in who reaches it, as a member: set --broker-cluster-auth, or --broker-tls-cert with --broker-tls-ca")
	}
	return open
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// brokerOptions reads the files that the options name.
func (s *Server) brokerOptions() (broker.Options, error) {
	o := s.options
	host, port, err := hostPort(o.NATSListen)
	if err != nil {
		return broker.Options{}, err
	}
	options := broker.Options{
		StoreDir: o.DataDir, Host: host, Port: port, Auth: s.auth, TLS: o.Broker.TLS, Log: s.log, NoSync: o.noSync,
	}
	if !o.member() {
		return options, nil
	}
	options.Name = o.Broker.Name
	cluster := &broker.Cluster{Name: o.Broker.Cluster}
	if cluster.Host, cluster.Port, err = hostPort(o.Broker.ClusterListen); err != nil {
		return broker.Options{}, err
	}
	if cluster.Routes, err = o.Broker.routes(); err != nil {
		return broker.Options{}, err
	}
	if o.Broker.ClusterAuth != "" {
		if cluster.Auth, err = broker.ReadAuth(o.Broker.ClusterAuth); err != nil {
			return broker.Options{}, fmt.Errorf("--broker-cluster-auth: %w", err)
		}
		if cluster.Auth.User == "" {
			return broker.Options{}, fmt.Errorf("--broker-cluster-auth: %s holds a token; members show each other user:password", o.Broker.ClusterAuth)
		}
	}
	options.Cluster = cluster
	return options, nil
}
