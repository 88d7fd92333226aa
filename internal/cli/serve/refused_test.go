package serve

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
)

// TestRefusedForAWhile: credentials are exchanged on the server first. The client
// is refused again and again meanwhile, and must not give up.
func TestRefusedForAWhile(t *testing.T) {
	address, dir := freeAddress(t), t.TempDir()
	host, port, err := hostPort(address)
	require.NoError(t, err)
	nats := func(password string) *server.Server {
		s, err := server.NewServer(&server.Options{
			ServerName: "n", Host: host, Port: port, JetStream: true, StoreDir: dir,
			Username: "salvor", Password: password, NoSigs: true, NoLog: true,
		})
		require.NoError(t, err)
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		require.True(t, s.ReadyForConnections(time.Minute))
		return s
	}
	first := nats("a")
	r := newRole(untilEnd)
	c := options(t, r.constructor("bridge"))
	c.Options.NATS = "nats://salvor:a@" + address
	p := start(t, c)
	<-r.started
	connected := func() bool {
		_, text := get(t, c.Options.ProbeListen, "/readyz")
		return strings.Contains(text, "nats: ok")
	}
	require.Eventually(t, connected, 3*time.Minute, 20*time.Millisecond)

	first.Shutdown()
	first.WaitForShutdown()
	second := nats("b")
	require.Eventually(t, func() bool {
		v, err := second.Varz(nil)
		return err == nil && v.TotalConnections >= 4
	}, 3*time.Minute, 20*time.Millisecond, "the client gave up")
	second.Shutdown()
	second.WaitForShutdown()
	nats("a")
	require.Eventually(t, connected, 3*time.Minute, 20*time.Millisecond)
	p.stop()
	require.NoError(t, p.wait(t))
}
