package broker

import (
	"context"
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
	// StoreDir is the data directory. Required.
	StoreDir string
	// MaxStore bounds what JetStream may write, in bytes. 0 means the server's
	// default, three quarters of the disk.
	MaxStore int64
	// Host and Port for clients outside the process. Port 0 means that nothing
	// listens: this process connects without a socket. Port -1 picks a free one.
	Host string
	Port int
	// Log is told the server's warnings and errors. The zero value says nothing.
	Log zerolog.Logger
	// NoSync leaves syncing to the operating system. For tests only.
	NoSync bool
}

// Broker is a running server.
type Broker struct {
	server  *server.Server
	listens bool
}

// readyTimeout bounds the wait for the server's recovery of its store.
const readyTimeout = 60 * time.Second

// Start starts the server and waits until it is ready.
func Start(ctx context.Context, o Options) (*Broker, error) {
	if o.StoreDir == "" {
		return nil, errors.New("broker: the data directory is not set; pass --data-dir")
	}
	// Told here at once; the server itself would only never become ready.
	if err := os.MkdirAll(o.StoreDir, 0o700); err != nil {
		return nil, fmt.Errorf("broker: the data directory %s cannot be used: %w", o.StoreDir, err)
	}
	options := &server.Options{
		ServerName:        "salvor",
		JetStream:         true,
		StoreDir:          o.StoreDir,
		JetStreamMaxStore: o.MaxStore,
		SyncAlways:        !o.NoSync,
		DontListen:        o.Port == 0,
		Host:              o.Host,
		Port:              o.Port,
		NoSigs:            true,
		MaxPayload:        1 << 20,
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
		return nil, fmt.Errorf("broker: the server did not become ready within %s; is %s writable and not in use by another process?", deadline, o.StoreDir)
	}
	return &Broker{server: s, listens: !options.DontListen}, nil
}

// Connect connects to the server inside this process.
func (b *Broker) Connect(opts ...nats.Option) (*nats.Conn, error) {
	nc, err := nats.Connect(b.server.ClientURL(), append([]nats.Option{nats.InProcessServer(b.server)}, opts...)...)
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

// Stop stops the server and waits until its store is closed.
func (b *Broker) Stop() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}
