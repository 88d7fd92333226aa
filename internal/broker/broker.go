package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// Options of the embedded server.
type Options struct {
	// Name of this server. It is who this member is to the others, so it has to
	// be the same after a restart. Default "salvor", which is for a server alone.
	Name string
	// StoreDir is the data directory. Required.
	StoreDir string
	// MaxStore bounds what JetStream may write, in bytes. 0 means the server's
	// default, three quarters of the disk.
	MaxStore int64
	// Host and Port for clients outside the process. Port 0 means that nothing
	// listens: this process connects without a socket. Port -1 picks a free one.
	// A member of a cluster always listens, then on a port of 127.0.0.1: a server
	// without a listener hands no leadership over when it stops.
	Host string
	Port int
	// Auth is what clients must show; the zero value lets everybody in.
	Auth Auth
	// TLS is for the listeners of clients and of members.
	TLS TLS
	// Cluster makes the server a member of a cluster; nil is a server alone.
	Cluster *Cluster
	// Log is told the server's warnings and errors. The zero value says nothing.
	Log zerolog.Logger
	// NoSync leaves syncing to the operating system. For tests only.
	NoSync bool
}

// Broker is a running server.
type Broker struct {
	server    *server.Server
	auth      Auth
	listens   bool
	clustered bool
	synced    bool
	tls       bool
}

const (
	// readyTimeout bounds the wait for the server's recovery of its store.
	readyTimeout = 60 * time.Second
	// lameDuck is over how long a member that stops closes its clients. Their
	// leaders have moved before, which takes a second.
	lameDuck = 500 * time.Millisecond
)

// Start starts the server and waits until it takes connections. A member of a
// cluster may not have found the others by then; Ready says.
func Start(ctx context.Context, o Options) (*Broker, error) {
	if o.StoreDir == "" {
		return nil, errors.New("broker: the data directory is not set; pass --data-dir")
	}
	// Told here at once; the server itself would only never become ready.
	if err := os.MkdirAll(o.StoreDir, 0o700); err != nil {
		return nil, fmt.Errorf("broker: the data directory %s cannot be used: %w", o.StoreDir, err)
	}
	options, err := o.server()
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	s.SetLoggerV2(logger{log: o.Log}, false, false, false)
	s.Start()
	deadline := readyTimeout
	if at, ok := ctx.Deadline(); ok {
		deadline = min(deadline, time.Until(at)) //nolint:forbidigo // converts a deadline to the server's form
	}
	if !s.ReadyForConnections(deadline) || !s.JetStreamEnabled() {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("broker: the server did not become ready within %s; is %s writable and not in use by another process, and is the port free?", deadline, o.StoreDir)
	}
	return &Broker{
		server: s, auth: Auth{User: options.Username, Password: options.Password, Token: options.Authorization},
		listens: o.Port != 0, clustered: o.Cluster != nil, synced: !o.NoSync, tls: options.TLS,
	}, nil
}

// server translates the options.
func (o *Options) server() (*server.Options, error) {
	s := &server.Options{
		ServerName:        o.Name,
		JetStream:         true,
		StoreDir:          o.StoreDir,
		JetStreamMaxStore: o.MaxStore,
		SyncAlways:        !o.NoSync,
		DontListen:        o.Port == 0,
		Host:              o.Host,
		Port:              o.Port,
		NoSigs:            true,
		MaxPayload:        1 << 20,
		LameDuckDuration:  lameDuck,
		// Negative: without the check that the server makes for waits of minutes.
		LameDuckGracePeriod: -lameDuck / 2,
	}
	if s.ServerName == "" {
		s.ServerName = "salvor"
	}
	o.Auth.apply(s)
	if o.Port != 0 {
		config, err := o.TLS.config(false)
		if err != nil {
			return nil, err
		}
		s.TLSConfig, s.TLS, s.TLSTimeout = config, config != nil, tlsTimeout
	}
	if o.Cluster != nil {
		return s, o.Cluster.apply(s, o)
	}
	return s, nil
}

// Connect connects to the server inside this process.
func (b *Broker) Connect(opts ...nats.Option) (*nats.Conn, error) {
	own := []nats.Option{nats.InProcessServer(b.server)}
	own = append(own, b.auth.Client()...)
	if b.tls {
		// The other end of a pipe inside the process needs no proof of who it is.
		own = append(own, nats.Secure(&tls.Config{InsecureSkipVerify: true})) //nolint:gosec // see above
	}
	nc, err := nats.Connect(b.server.ClientURL(), append(own, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to the embedded broker: %w", err)
	}
	return nc, nil
}

// URL is the address for clients outside the process, empty when nothing listens.
func (b *Broker) URL() string {
	if !b.listens {
		return ""
	}
	return b.server.ClientURL()
}

// Synced says that every message is on the disk before it is acknowledged.
func (b *Broker) Synced() bool { return b.synced }

// Name is the server's name.
func (b *Broker) Name() string { return b.server.Name() }

// Stop stops the server and waits until its store is closed. A member of a
// cluster hands over what it leads first; that takes about two seconds.
func (b *Broker) Stop() {
	if b.clustered {
		b.server.LameDuckShutdown()
	}
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// Kill ends the server without a handover, as near to the loss of its process as
// one can come inside another one. For tests.
func (b *Broker) Kill() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}
