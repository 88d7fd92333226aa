//go:build chaos

package r3

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const size = 3

// members are the processes.
type members struct {
	binary  string
	dir     string
	clients []string // client ports
	routes  []string
	probes  []string
	running []*exec.Cmd
	logs    []*os.File
}

func startMembers(t *testing.T, binary string) *members {
	t.Helper()
	m := &members{binary: binary, dir: t.TempDir(), running: make([]*exec.Cmd, size)}
	addresses := freeAddresses(t, 3*size)
	m.clients, m.routes, m.probes = addresses[:size], addresses[size:2*size], addresses[2*size:]
	require.NoError(t, os.WriteFile(filepath.Join(m.dir, "clients"), []byte("salvor:for-clients\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(m.dir, "members"), []byte("salvor:for-members\n"), 0o600))
	for i := range size {
		log, err := os.Create(filepath.Join(m.dir, fmt.Sprintf("b%d.log", i)))
		require.NoError(t, err)
		m.logs = append(m.logs, log)
	}
	t.Cleanup(func() {
		for i, cmd := range m.running {
			if cmd != nil {
				_ = cmd.Process.Kill() // it may have ended
				_ = cmd.Wait()         // killed
			}
			if t.Failed() {
				text, _ := os.ReadFile(m.logs[i].Name()) // best effort
				t.Logf("b%d:\n%s", i, tail(string(text), 40))
			}
		}
	})
	for i := range size {
		m.start(t, i)
	}
	for i := range size {
		m.ready(t, i)
	}
	return m
}

func (m *members) start(t *testing.T, i int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), m.binary, "serve", "--roles", "broker",
		"--data-dir", filepath.Join(m.dir, fmt.Sprintf("b%d", i)), "--nats-listen", m.clients[i], "--nats-auth", filepath.Join(m.dir, "clients"),
		"--broker-name", fmt.Sprintf("b%d", i), "--broker-cluster-listen", m.routes[i], "--broker-cluster-auth", filepath.Join(m.dir, "members"),
		"--broker-routes", strings.Join(m.routes, ","), "--probe-listen", m.probes[i])
	cmd.Stdout, cmd.Stderr = m.logs[i], m.logs[i]
	// A test that is killed runs no clean-up, and the members must not outlive it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	m.running[i] = cmd
}

// kill ends a member as the loss of its process does.
func (m *members) kill(t *testing.T, i int) {
	t.Helper()
	require.NoError(t, m.running[i].Process.Signal(syscall.SIGKILL))
	_ = m.running[i].Wait() // killed
	m.running[i] = nil
}

// ready waits until the member says that it is.
func (m *members) ready(t *testing.T, i int) {
	t.Helper()
	require.Eventually(t, func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+m.probes[i]+"/readyz", nil)
		if err != nil {
			return false
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode == http.StatusOK
	}, 3*time.Minute, 50*time.Millisecond, "member %d", i)
}

func (m *members) url() string {
	return "nats://" + strings.Join(m.clients, ",nats://")
}

func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	var addresses []string
	var held []net.Listener // all to the end, so that no port comes twice
	defer func() {
		for _, l := range held {
			require.NoError(t, l.Close())
		}
	}()
	for range n {
		var config net.ListenConfig
		l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		held = append(held, l)
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
