package serve

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/broker"
	"github.com/salvor-io/salvor/internal/stream"
)

func TestDurabilityInWords(t *testing.T) {
	t.Parallel()
	always := syncing{known: true, always: true}
	late := syncing{known: true, interval: 2 * time.Minute}
	kept := func(replicas, current int) []stream.Copies {
		return []stream.Copies{{Stream: "RUNS", Replicas: replicas, Current: current}, {Stream: "JOBS", Replicas: replicas, Current: current}}
	}
	for name, c := range map[string]struct {
		copies   []stream.Copies
		sync     syncing
		summary  string
		warnings []string
	}{
		"one copy, synced": {
			kept(1, 1), always,
			"one copy, on the disk before it is acknowledged: survives the loss of the process and of power, not of the disk; 1 replica: RUNS, JOBS", nil,
		},
		"one copy, not synced": {
			kept(1, 1), late,
			"one copy, on the disk within 2m0s after it is acknowledged; 1 replica: RUNS, JOBS",
			[]string{"an acknowledged event is lost when the NATS server's machine fails within 2m0s of it: set sync_interval: always on the NATS servers"},
		},
		"one copy, not known": {
			kept(1, 1),
			syncing{},
			"one copy, whether each is on the disk before it is acknowledged is not known; 1 replica: RUNS, JOBS",
			[]string{"an acknowledged event may be lost when the NATS server's machine fails within its sync_interval. NATS' own default is 2 minutes, and this server may not ask what is set: set sync_interval: always on the NATS servers"},
		},
		"three copies, synced": {
			kept(3, 3), always,
			"3 copies, each on the disk before it is acknowledged: survives the loss of 1 server with the disk, and of power everywhere; 3 replicas: RUNS, JOBS", nil,
		},
		"three copies, not synced": {
			kept(3, 3), late,
			"3 copies, on the disk within 2m0s after it is acknowledged; 3 replicas: RUNS, JOBS",
			[]string{"acknowledged events are lost when the machines of 2 NATS servers fail together (as in a loss of power) within 2m0s of them: set sync_interval: always on the NATS servers"},
		},
		"three copies, not known": {
			kept(3, 3),
			syncing{},
			"3 copies, whether each is on the disk before it is acknowledged is not known; 3 replicas: RUNS, JOBS",
			[]string{"acknowledged events may be lost when the machines of 2 NATS servers fail together (as in a loss of power) within their sync_interval. NATS' own default is 2 minutes, and this server may not ask what is set: set sync_interval: always on the NATS servers"},
		},
		"one of three away": {
			kept(3, 2), always,
			"3 copies, each on the disk before it is acknowledged: survives the loss of 1 server with the disk, and of power everywhere; 3 replicas: RUNS, JOBS",
			[]string{"only 2 of 3 copies are complete now of RUNS, JOBS: a server is away or catches up; the loss of one more server stops Salvor until it is back"},
		},
		"two of three away": {
			kept(3, 1), always,
			"3 copies, each on the disk before it is acknowledged: survives the loss of 1 server with the disk, and of power everywhere; 3 replicas: RUNS, JOBS",
			[]string{"only 1 of 3 copies are complete now of RUNS, JOBS: a server is away or catches up; an acknowledged event is lost if that server's disk is"},
		},
		"two copies": {
			kept(2, 2), always,
			"2 copies, each on the disk before it is acknowledged: survives the loss of 0 servers with the disk, and of power everywhere; 2 replicas: RUNS, JOBS",
			[]string{"2 replicas stop working when either server is away: 3 go on with one of them away"},
		},
		"unlike": {
			[]stream.Copies{{Stream: "RUNS", Replicas: 3, Current: 3}, {Stream: "DLQ", Replicas: 1, Current: 1}},
			always,
			"one copy, on the disk before it is acknowledged: survives the loss of the process and of power, not of the disk; 1 replica: DLQ; 3 replicas: RUNS",
			[]string{"the streams differ in their replicas (1 replica: DLQ; 3 replicas: RUNS): start with --replicas to make them alike"},
		},
		"missing and in memory": {
			[]stream.Copies{{Stream: "RUNS", Missing: true}, {Stream: "DLQ", Replicas: 1, Current: 1, InMemory: true}},
			always,
			"one copy, on the disk before it is acknowledged: survives the loss of the process and of power, not of the disk; 1 replica: DLQ",
			[]string{"the stream RUNS does not exist", "DLQ is kept in memory: it is lost when its servers restart"},
		},
		"nothing": {[]stream.Copies{{Stream: "RUNS", Missing: true}}, always, "there are no streams yet", nil},
	} {
		d := judge(c.copies, c.sync)
		assert.Equal(t, c.summary, d.summary, name)
		assert.Equal(t, c.warnings, d.warnings, name)
	}
}

// TestServersAreAskedWhenTheySync: embedded brokers say it, NATS itself only to
// its system account.
func TestServersAreAskedWhenTheySync(t *testing.T) {
	t.Parallel()
	b, err := broker.Start(t.Context(), broker.Options{StoreDir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(b.Stop)
	nc, err := b.Connect()
	require.NoError(t, err)
	defer nc.Close()
	assert.False(t, askSync(t.Context(), nc, 1).known, "nobody answers")
	require.NoError(t, answer(nc, b))
	assert.Equal(t, syncing{known: true, always: true}, askSync(t.Context(), nc, 1))
	assert.False(t, askSync(t.Context(), nc, 2).known, "the other one does not answer")

	system := server.NewAccount("SYS")
	s, err := server.NewServer(&server.Options{
		Port: server.RANDOM_PORT, Host: "127.0.0.1", JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true, SyncInterval: time.Minute,
		Accounts: []*server.Account{system}, SystemAccount: "SYS", Users: []*server.User{{Username: "admin", Password: "x", Account: system}},
	})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(time.Minute))
	admin, err := nats.Connect(s.ClientURL(), nats.UserInfo("admin", "x"))
	require.NoError(t, err)
	defer admin.Close()
	assert.Equal(t, syncing{known: true, interval: time.Minute}, askSync(t.Context(), admin, 1))
}

func TestWhatIsOpenToEverybodyIsSaid(t *testing.T) {
	t.Parallel()
	o := DefaultOptions(nil)
	assert.Empty(t, o.open())
	o.NATSListen = "127.0.0.1:4222"
	assert.Empty(t, o.open())
	o.NATSListen, o.Broker.ClusterListen = ":4222", "0.0.0.0:6222"
	open := strings.Join(o.open(), "\n")
	assert.Contains(t, open, "--nats-listen :4222 lets everybody in who reaches it, to read and to write all there is: set --nats-auth")
	assert.Contains(t, open, "--broker-cluster-listen 0.0.0.0:6222 lets everybody in who reaches it, as a member: set --broker-cluster-auth")
	o.NATSAuth, o.Broker.ClusterAuth = "a", "b"
	assert.Empty(t, o.open())
	o = DefaultOptions(nil)
	o.NATS, o.NATSListen = "nats://x", ""
	assert.Empty(t, o.open(), "another one's business")
}
