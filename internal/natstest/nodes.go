package natstest

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/broker"
	"github.com/salvor-io/salvor/internal/stream"
)

// Nodes are the members of a cluster, whom a test stops, kills and starts again.
type Nodes struct {
	options []broker.Options
	brokers []*broker.Broker
}

// StartNodes starts a cluster of n members and waits until all of them work.
// There are no streams yet.
func StartNodes(t testing.TB, n int) *Nodes {
	t.Helper()
	ports := freePorts(t, 2*n)
	nodes := &Nodes{brokers: make([]*broker.Broker, n)}
	routes := make([]*url.URL, n)
	for i := range n {
		routes[i] = &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[i])}
	}
	for i := range n {
		nodes.options = append(nodes.options, broker.Options{
			Name: fmt.Sprintf("n%d", i), StoreDir: t.TempDir(), Host: "127.0.0.1", Port: ports[n+i], NoSync: true,
			Cluster: &broker.Cluster{Name: "test", Host: "127.0.0.1", Port: ports[i], Routes: routes},
		})
	}
	for i := range n {
		nodes.Start(t, i)
	}
	t.Cleanup(func() {
		for _, b := range nodes.brokers {
			if b != nil {
				b.Kill()
			}
		}
	})
	for i := range n {
		nodes.Ready(t, i)
	}
	return nodes
}

// Start starts a member that is not running.
func (n *Nodes) Start(t testing.TB, i int) {
	t.Helper()
	b, err := broker.Start(t.Context(), n.options[i])
	require.NoError(t, err)
	n.brokers[i] = b
}

// Ready waits until the member works.
func (n *Nodes) Ready(t testing.TB, i int) {
	t.Helper()
	require.Eventually(t, func() bool { return n.brokers[i].Ready() == nil }, 3*time.Minute, 50*time.Millisecond, "member %d", i)
}

// Stop stops a member as a process does that is asked to end.
func (n *Nodes) Stop(i int) {
	n.brokers[i].Stop()
	n.brokers[i] = nil
}

// Kill stops a member without a handover.
func (n *Nodes) Kill(i int) {
	n.brokers[i].Kill()
	n.brokers[i] = nil
}

// Broker is a member, nil when it does not run.
func (n *Nodes) Broker(i int) *broker.Broker { return n.brokers[i] }

// URL is the addresses of all members, as --nats takes them.
func (n *Nodes) URL() string {
	urls := make([]string, len(n.options))
	for i := range n.options {
		urls[i] = fmt.Sprintf("nats://127.0.0.1:%d", n.options[i].Port)
	}
	return strings.Join(urls, ",")
}

// Client connects to any of the members, and to another when that one ends.
func (n *Nodes) Client(t testing.TB) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(n.URL(), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

// Ensure creates or changes the streams, and tries until a new cluster takes them.
func Ensure(t testing.TB, js jetstream.JetStream, settings stream.Settings) {
	t.Helper()
	var err error
	require.Eventually(t, func() bool {
		err = stream.Ensure(t.Context(), js, settings)
		return err == nil
	}, 3*time.Minute, 100*time.Millisecond, "%v", &err)
}
