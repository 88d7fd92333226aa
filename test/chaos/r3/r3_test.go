//go:build chaos

package r3

import (
	"context"
	"flag"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

var (
	lasting = flag.Duration("r3.for", time.Minute, "how long members are killed")
	every   = flag.Duration("r3.every", 20*time.Second, "how often one is killed")
	program = flag.String("r3.salvor", "", "the program; empty builds it")
)

func TestMembersAreKilledUnderLoad(t *testing.T) {
	m := startMembers(t, binary(t))
	nc, err := nats.Connect(m.url(), nats.UserInfo("salvor", "for-clients"), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	settings := stream.DefaultSettings()
	settings.Replicas = size
	natstest.Ensure(t, js, settings)
	caughtUp(t.Context(), t, js)
	leases, err := stream.NewLeases(t.Context(), js)
	require.NoError(t, err)

	l := newLoad(js)
	consumer, err := l.reports.Consumer(t.Context(), 10*time.Second)
	require.NoError(t, err)
	writing, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan struct{})
	go func() { defer close(done); l.run(writing, leases, consumer) }()

	kills, slowest := 0, time.Duration(0)
	end := time.After(*lasting)
	ticker := time.NewTicker(*every)
	defer ticker.Stop()
	for running := true; running; {
		select {
		case <-end:
			running = false
		case <-ticker.C:
			victim := kills % size
			m.kill(t, victim)
			killed := time.Now()
			m.start(t, victim)
			m.ready(t, victim)
			back := time.Since(killed)
			kills++
			slowest = max(slowest, back)
			t.Logf("b%d killed, ready again after %s", victim, back.Round(10*time.Millisecond))
		}
	}
	stop()
	<-done
	caughtUp(t.Context(), t, js)
	taking, stopTaking := context.WithCancel(t.Context())
	taken := make(chan struct{})
	go func() { defer close(taken); l.take(taking, consumer) }()
	result := l.verify(t)
	stopTaking()
	<-taken

	t.Logf("%s, %d kills (one every %s), slowest member ready again after %s\n%s", *lasting, kills, *every, slowest.Round(10*time.Millisecond), l.table(result))
	require.NotZero(t, kills)
	for _, kind := range kinds {
		assert.NotZero(t, l.tallies[kind].acknowledged, kind)
		assert.Equal(t, found{}, result[kind], kind)
	}
	s, err := js.Stream(t.Context(), event.StreamRuns)
	require.NoError(t, err)
	assert.Equal(t, size, s.CachedInfo().Config.Replicas)
}

func binary(t *testing.T) string {
	t.Helper()
	if *program != "" {
		path, err := filepath.Abs(*program)
		require.NoError(t, err)
		return path
	}
	path := filepath.Join(t.TempDir(), "salvor")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/salvor-io/salvor/cmd/salvor").CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}
