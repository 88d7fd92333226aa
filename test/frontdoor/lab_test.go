package frontdoor

import (
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/fixture/outtest"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/kubetest"
)

var (
	events  = flag.Int("frontdoor.events", 300, "events, each of which is sent three times")
	every   = flag.Duration("frontdoor.kill", 2*time.Second, "how often the bridge is killed")
	program = flag.String("frontdoor.salvor", "", "the program; empty builds it")
)

const (
	// patience bounds every wait. Nothing is expected to take it.
	patience = 3 * time.Minute
	tick     = 100 * time.Millisecond
	// outside is the stream of the senders; the namespace is the last token.
	outside = "OUTSIDE"
	token   = "a-token-for-the-test"
	// signer is the name of the sender that signs.
	signer = "shop"
)

var (
	signingKey = []byte("a key of thirty-two bytes, exact")
	server     *kubetest.Server
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(kubetest.Run(m, func(s *kubetest.Server) error {
		server = s
		if err := s.ApplyCRDs(context.Background(), "../../deploy/chart/files/crds"); err != nil {
			return err
		}
		if *program != "" {
			return nil
		}
		dir, err := os.MkdirTemp("", "frontdoor-")
		if err != nil {
			return err
		}
		*program = filepath.Join(dir, "salvor")
		out, err := exec.CommandContext(context.Background(), "go", "build", "-o", *program, "../../cmd/salvor").CombinedOutput()
		if err != nil {
			return fmt.Errorf("build the program: %w\n%s", err, out)
		}
		return nil
	}))
}

// lab is one broker and one bridge, which is killed again and again.
type lab struct {
	t         *testing.T
	clients   *kube.Clients
	namespace string
	js        jetstream.JetStream
	nc        *nats.Conn
	url       string
	probes    string
	args      []string
	// tokenFile and keyFile are what senders show.
	tokenFile, keyFile string

	log   outtest.Buffer
	kills int
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, namespace: server.Namespace(t)}
	t.Cleanup(func() {
		if t.Failed() {
			text := l.log.String()
			t.Logf("the end of the log:\n%s", text[max(0, len(text)-20_000):])
		}
	})
	var err error
	l.clients, err = kube.New(server.Config())
	require.NoError(t, err)
	broker := freeAddress(t)
	l.process(t.Context(), "serve", "--roles", "broker", "--nats-listen", broker, "--data-dir", filepath.Join(t.TempDir(), "store"),
		"--probe-listen", freeAddress(t))
	require.Eventually(t, func() bool {
		l.nc, err = nats.Connect("nats://"+broker, nats.MaxReconnects(-1))
		return err == nil
	}, patience, 50*time.Millisecond)
	t.Cleanup(l.nc.Close)
	l.js, err = jetstream.New(l.nc)
	require.NoError(t, err)
	_, err = l.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: outside, Subjects: []string{"outside.*"}})
	require.NoError(t, err)

	listen := freeAddress(t)
	l.url, l.probes = "http://"+listen+"/events/"+l.namespace, freeAddress(t)
	secrets := t.TempDir()
	keys := filepath.Join(secrets, "keys")
	l.tokenFile, l.keyFile = filepath.Join(secrets, "token"), filepath.Join(keys, signer)
	require.NoError(t, os.WriteFile(l.tokenFile, []byte(token), 0o600))
	require.NoError(t, os.Mkdir(keys, 0o700))
	require.NoError(t, os.WriteFile(l.keyFile, []byte("whsec_"+base64.StdEncoding.EncodeToString(signingKey)), 0o600))
	l.args = []string{
		"serve", "--roles", "bridge", "--kubeconfig", server.Kubeconfig(t), "--nats", "nats://" + broker, "--namespaces", l.namespace,
		"--listen", listen, "--probe-listen", l.probes, "--ingress-token-file", l.tokenFile, "--ingress-hmac-keys", keys,
		"--nats-events", "in.*", "--nats-events-stream", outside + "/outside.*", "--ingress-rate", "0",
	}
	return l
}

// killing runs the bridge and kills it, until stop is called; the one that runs then
// stays.
func (l *lab) killing() (stop func()) {
	ctx, cancel := context.WithCancel(l.t.Context())
	done := make(chan struct{})
	current := l.process(l.t.Context(), l.args...)
	require.Eventually(l.t, l.ready, patience, 20*time.Millisecond, "the bridge is ready")
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(*every):
			}
			if !l.ready() {
				continue // a machine that is slow must get further than the start
			}
			_ = current.Process.Kill()
			_ = current.Wait() // killed
			l.kills++
			current = l.process(l.t.Context(), l.args...)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func (l *lab) ready() bool {
	request, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, "http://"+l.probes+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// process starts the program. It ends with the test.
func (l *lab) process(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, *program, args...)
	cmd.Stdout, cmd.Stderr = &l.log, &l.log
	if err := cmd.Start(); err != nil {
		l.t.Errorf("start %v: %v", args, err)
	}
	l.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	return cmd
}

func freeAddress(t *testing.T) string {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	return listener.Addr().String()
}
