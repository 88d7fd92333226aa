package natstest

import (
	"net"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/broker"
	"github.com/salvor-io/salvor/internal/stream"
)

// Start runs one server with its store in a directory of the test and returns a
// JetStream client, with the streams in place. All ends with the test.
func Start(t testing.TB) jetstream.JetStream {
	t.Helper()
	return StartIn(t, t.TempDir())
}

// StartIn is Start on a store that may exist already.
func StartIn(t testing.TB, dir string) jetstream.JetStream {
	t.Helper()
	b, err := broker.Start(t.Context(), broker.Options{StoreDir: dir, NoSync: true})
	require.NoError(t, err)
	t.Cleanup(b.Stop)
	nc, err := b.Connect()
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	require.NoError(t, stream.Ensure(t.Context(), js, stream.DefaultSettings()))
	return js
}

// Cluster runs three servers that replicate every stream three times, and
// returns a client of one of them.
func Cluster(t testing.TB) jetstream.JetStream {
	t.Helper()
	nodes := StartNodes(t, 3)
	js := nodes.Client(t)
	settings := stream.DefaultSettings()
	settings.Replicas = 3
	Ensure(t, js, settings)
	return js
}

// freePorts returns ports that were free a moment ago.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, 0, n)
	listeners := make([]net.Listener, 0, n)
	for range n {
		var config net.ListenConfig
		l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		listeners = append(listeners, l)
		addr, ok := l.Addr().(*net.TCPAddr)
		require.True(t, ok)
		ports = append(ports, addr.Port)
	}
	for _, l := range listeners {
		require.NoError(t, l.Close())
	}
	return ports
}
