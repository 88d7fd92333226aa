package serve

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/fixture/outtest"
	"github.com/salvor-io/salvor/internal/kube"
)

// brokers are the configurations of three processes that run the broker only.
func brokers(t *testing.T) (configs []Config, urls string) {
	t.Helper()
	dir := t.TempDir()
	clients, members := filepath.Join(dir, "clients"), filepath.Join(dir, "members")
	require.NoError(t, os.WriteFile(clients, []byte("salvor:secret-of-clients"), 0o600))
	require.NoError(t, os.WriteFile(members, []byte("salvor:secret-of-members"), 0o600))
	var routes, addresses []string
	for range 3 {
		routes = append(routes, freeAddress(t))
		addresses = append(addresses, freeAddress(t))
	}
	for i := range 3 {
		c := options(t)
		c.Clients = func() (*kube.Clients, error) {
			assert.Fail(t, "a broker needs no Kubernetes")
			return nil, nil
		}
		o := &c.Options
		o.Roles, o.NATSListen, o.NATSAuth, o.noSync = []string{"broker"}, addresses[i], clients, false
		o.Broker = Broker{Name: "b" + string(rune('0'+i)), Cluster: "test", ClusterListen: routes[i], Routes: routes, ClusterAuth: members}
		require.NoError(t, o.Validate())
		configs = append(configs, c)
	}
	return configs, strings.Join(addresses, ",")
}

func ready(t *testing.T, c Config) {
	t.Helper()
	var body string
	require.Eventually(t, func() bool {
		var code int
		code, body = get(t, c.Options.ProbeListen, "/readyz")
		return code == 200
	}, 3*time.Minute, 20*time.Millisecond, "%s", &body)
}

// TestBrokersFormACluster: three processes are the NATS of a fourth.
func TestBrokersFormACluster(t *testing.T) {
	configs, urls := brokers(t)
	processes := make([]*process, 3)
	processes[0] = start(t, configs[0])
	require.Eventually(t, func() bool {
		code, body := get(t, configs[0].Options.ProbeListen, "/readyz")
		return code == 503 && strings.Contains(body, "broker: the cluster has no leader: it waits for a majority of its members")
	}, 3*time.Minute, 20*time.Millisecond)
	for i := 1; i < 3; i++ {
		processes[i] = start(t, configs[i])
	}
	for _, c := range configs {
		ready(t, c)
	}
	_, err := nats.Connect("nats://" + configs[0].Options.NATSListen)
	require.ErrorIs(t, err, nats.ErrAuthorization)

	var log outtest.Buffer
	r := newRole(untilEnd)
	c := options(t, r.constructor("bridge"))
	c.Options.NATS, c.Options.NATSAuth, c.Options.Replicas = urls, configs[0].Options.NATSAuth, 3
	c.Log = zerolog.New(&log)
	p := start(t, c)
	<-r.started
	ready(t, c)
	require.Eventually(t, func() bool {
		return strings.Contains(log.String(), "3 copies, each on the disk before it is acknowledged: survives the loss of 1 server")
	}, 3*time.Minute, 20*time.Millisecond)
	require.EventuallyWithT(t, func(c *assert.CollectT) { // a leader that is elected anew makes it untrue for a moment
		_, metrics := get(t, configs[1].Options.ProbeListen, "/metrics")
		assert.Contains(c, metrics, "salvor_broker_members 3")
		assert.Contains(c, metrics, "salvor_broker_ready 1")
	}, 3*time.Minute, 20*time.Millisecond)

	// A member goes as SIGTERM makes it go; the others carry on.
	processes[0].stop()
	require.NoError(t, processes[0].wait(t))
	require.Eventually(t, func() bool {
		_, err := r.deps.JS.Publish(t.Context(), event.EventSubject("shop", "x"), nil)
		return err == nil
	}, 3*time.Minute, 20*time.Millisecond)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "only 2 of 3 copies are complete now") },
		3*time.Minute, 20*time.Millisecond, "it is said")
	processes[0] = start(t, configs[0])
	configs[0].Options.ProbeListen = freeAddress(t)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "all is well again") }, 3*time.Minute, 20*time.Millisecond)

	p.stop()
	require.NoError(t, p.wait(t))
	for _, p := range processes {
		p.stop()
	}
	for _, p := range processes {
		require.NoError(t, p.wait(t))
	}
	assert.NotContains(t, log.String(), "secret-of")
}

// TestMembersWithRolesUseTheirOwnBroker: the broker of a cluster and roles in one
// process, which is how three of them are highly available without more.
func TestMembersWithRolesUseTheirOwnBroker(t *testing.T) {
	configs, _ := brokers(t)
	var processes []*process
	var roles []*role
	for i := range configs {
		r := newRole(untilEnd)
		with := options(t, r.constructor("dispatcher"))
		with.Options.Broker, with.Options.Replicas = configs[i].Options.Broker, 0
		with.Options.Roles = []string{"dispatcher", "broker"}
		configs[i] = with
		roles = append(roles, r)
		processes = append(processes, start(t, with))
	}
	for i, c := range configs {
		<-roles[i].started
		ready(t, c)
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) { // a leader may be elected anew
		_, body := get(t, configs[0].Options.ProbeListen, "/readyz")
		assert.Equal(c, "nats: ok\nbroker: ok\ndispatcher: ok\n", body)
		s, err := roles[0].deps.JS.Stream(t.Context(), event.StreamRuns)
		require.NoError(c, err)
		assert.Equal(c, 3, s.CachedInfo().Config.Replicas, "as many as there are members")
	}, 3*time.Minute, 20*time.Millisecond)
	for _, p := range processes {
		p.stop()
		require.NoError(t, p.wait(t))
	}
}

func TestMoreReplicasThanServersIsSaidAndTriedAgain(t *testing.T) {
	first := newRole(untilEnd)
	c := options(t, first.constructor("bridge"))
	c.Options.NATSListen = freeAddress(t)
	p := start(t, c)
	<-first.started
	ready(t, c)
	var log outtest.Buffer
	other := options(t, newRole(untilEnd).constructor("runner"))
	other.Options.NATS, other.Options.Replicas, other.Log = "nats://"+c.Options.NATSListen, 3, zerolog.New(&log)
	q := start(t, other)
	require.Eventually(t, func() bool {
		_, body := get(t, other.Options.ProbeListen, "/readyz")
		return strings.Count(log.String(), "give NATS 3 servers") > 1 && strings.Contains(body, "start: waiting for the streams: too few servers for 3 replicas of stream EVENTS")
	}, 3*time.Minute, 20*time.Millisecond)
	for _, p := range []*process{q, p} {
		p.stop()
		require.NoError(t, p.wait(t))
	}
}

func TestCredentialsThatAreNone(t *testing.T) {
	configs, _ := brokers(t)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("token"), 0o600))
	c := configs[0]
	c.Options.Broker.ClusterAuth = token
	require.ErrorContains(t, start(t, c).wait(t), "--broker-cluster-auth: "+token+" holds a token")
	c = configs[0]
	c.Options.NATSAuth = "none"
	require.ErrorContains(t, start(t, c).wait(t), "--nats-auth: read the credentials")
}
