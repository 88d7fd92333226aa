package broker_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/broker"
	"github.com/salvor-io/salvor/internal/natstest"
)

func TestMembersKeepWhatOneOfThemLoses(t *testing.T) {
	t.Parallel()
	nodes := natstest.StartNodes(t, 3)
	js := nodes.Client(t)
	config := jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: 3}
	var (
		s      jetstream.Stream
		leader int
	)
	// A new cluster may not take a stream at once, nor a new stream a message.
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		_, err := js.CreateOrUpdateStream(t.Context(), config)
		require.NoError(c, err)
		_, err = js.Publish(t.Context(), "s", []byte("kept"))
		require.NoError(c, err)
		s, err = js.Stream(t.Context(), "S")
		require.NoError(c, err)
		leader, err = strconv.Atoi(strings.TrimPrefix(s.CachedInfo().Cluster.Leader, "n"))
		require.NoError(c, err)
	}, 3*time.Minute, 100*time.Millisecond)
	nodes.Kill(leader)
	require.Eventually(t, func() bool {
		msg, err := s.GetLastMsgForSubject(t.Context(), "s")
		return err == nil && string(msg.Data) == "kept"
	}, 3*time.Minute, 100*time.Millisecond)
	nodes.Start(t, leader)
	nodes.Ready(t, leader)
}

func TestAMemberAloneIsNotReady(t *testing.T) {
	t.Parallel()
	nodes := natstest.StartNodes(t, 3)
	registry := prometheus.NewRegistry()
	registry.MustRegister(nodes.Broker(0).Collector())
	shows := func(name string, want int) {
		t.Helper()
		// A leader that is elected anew makes a member not ready for a moment, and one
		// learns of the others one after the other.
		require.Eventually(t, func() bool { return gauge(t, registry, "salvor_broker_"+name) == want }, 3*time.Minute, 50*time.Millisecond, name)
	}
	shows("ready", 1)
	shows("members", 3)
	nodes.Stop(1)
	nodes.Stop(2)
	require.Eventually(t, func() bool { return nodes.Broker(0).Ready() != nil }, 3*time.Minute, 50*time.Millisecond)
	shows("ready", 0)
	nodes.Start(t, 2)
	nodes.Ready(t, 0)
	shows("ready", 1)
}

func gauge(t *testing.T, g prometheus.Gatherer, name string) int {
	t.Helper()
	families, err := g.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == name {
			return int(family.GetMetric()[0].GetGauge().GetValue())
		}
	}
	return -1 // it is not known now
}

func TestMetricsHaveGoodNames(t *testing.T) {
	t.Parallel()
	b, _ := start(t, broker.Options{StoreDir: t.TempDir(), NoSync: true})
	defer b.Stop()
	problems, err := testutil.CollectAndLint(b.Collector())
	require.NoError(t, err)
	assert.Empty(t, problems)
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "auth")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	for text, want := range map[string]string{"": "is empty", "a:b\nc:d": "more than one line", ":x": "is empty", "x:": "is empty"} {
		_, err := broker.ReadAuth(file(text))
		require.ErrorContains(t, err, want)
	}
	_, err := broker.ReadAuth(filepath.Join(t.TempDir(), "none"))
	require.ErrorContains(t, err, "read the credentials")

	for _, text := range []string{"salvor:p:w\n", "token\n"} {
		auth, err := broker.ReadAuth(file(text))
		require.NoError(t, err)
		b, js := start(t, broker.Options{StoreDir: t.TempDir(), NoSync: true, Host: "127.0.0.1", Port: -1, Auth: auth})
		t.Cleanup(b.Stop)
		_, err = js.AccountInfo(t.Context())
		require.NoError(t, err, "the process itself is let in")
		_, err = nats.Connect(b.URL())
		require.ErrorIs(t, err, nats.ErrAuthorization)
		nc, err := nats.Connect(b.URL(), auth.Client()...)
		require.NoError(t, err)
		nc.Close()
	}
}

func TestMembersShowEachOtherCredentials(t *testing.T) {
	t.Parallel()
	routes := []*url.URL{{Scheme: "nats", Host: freeAddress(t)}, {Scheme: "nats", Host: freeAddress(t)}}
	member := func(i int, password string) *broker.Broker {
		port, err := strconv.Atoi(routes[i].Port())
		require.NoError(t, err)
		b, err := broker.Start(t.Context(), broker.Options{
			Name: strconv.Itoa(i), StoreDir: t.TempDir(), NoSync: true,
			Cluster: &broker.Cluster{Name: "c", Host: "127.0.0.1", Port: port, Routes: routes, Auth: broker.Auth{User: "member", Password: password}},
		})
		require.NoError(t, err)
		t.Cleanup(b.Kill)
		return b
	}
	first, stranger := member(0, "right"), member(1, "wrong")
	assert.Never(t, func() bool { return first.Ready() == nil || stranger.Ready() == nil }, 2*time.Second, 50*time.Millisecond)
	stranger.Kill()
	second := member(1, "right")
	require.Eventually(t, func() bool { return first.Ready() == nil && second.Ready() == nil }, 3*time.Minute, 50*time.Millisecond)
}

func TestTheStoreOfAServerAloneIsNotEmptied(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, js := start(t, broker.Options{StoreDir: dir, NoSync: true})
	member := broker.Options{StoreDir: dir, NoSync: true, Cluster: &broker.Cluster{
		Name: "c", Host: "127.0.0.1", Port: -1,
		Routes: []*url.URL{{Scheme: "nats", Host: freeAddress(t)}, {Scheme: "nats", Host: freeAddress(t)}},
	}}
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	require.NoError(t, err)
	b.Stop()
	_, err = broker.Start(t.Context(), member)
	require.ErrorIs(t, err, broker.ErrAlone)
	require.ErrorContains(t, err, "--broker-cluster-listen")

	member.StoreDir = t.TempDir()
	b, err = broker.Start(t.Context(), member)
	require.NoError(t, err)
	b.Kill()
	b, err = broker.Start(t.Context(), member)
	require.NoError(t, err, "a member comes back to its own store")
	b.Kill()
}
