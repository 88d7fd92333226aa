package podexec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream" //nolint:staticcheck // spdy.Upgrader is still made of these types
	remoteprotocol "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
	streaming "k8s.io/streaming/pkg/httpstream"

	"github.com/salvor-io/salvor/internal/kube"
)

var errLost = errors.New("the connection was lost before the command ended; nobody can know how far it came")

// errAway marks an error that somebody gave who is away for now, before the
// command was started.
var errAway = errors.New("the command was not started")

// away reports whether the command may be asked for again.
func away(err error) bool { return errors.Is(err, errAway) }

// unstarted marks an error from before the start as one that may pass. What the
// API server says of a kubelet that does not answer, and a kubelet of a pod that it
// does not know yet after its own restart, is text only.
func unstarted(err error) error {
	text := err.Error()
	if kube.Transient(err) || strings.Contains(text, "error dialing backend") || strings.Contains(text, "pod does not exist") {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	return err
}

// streamCommand runs the command over SPDY and, where something on the way does
// not let that through, over WebSocket. The kubelet starts nothing before the
// streams are made, after the upgrade; so when an upgrade is refused, the second try
// runs the command once. An error after that which is not the command's own end is
// errLost.
func streamCommand(ctx context.Context, config *rest.Config, at *url.URL, options remotecommand.StreamOptions) error {
	upgrader := &strictUpgrader{}
	client, err := upgrader.client(config, at)
	if err != nil {
		return err
	}
	err = client.StreamWithContext(ctx, options)
	switch {
	case err == nil, ctx.Err() != nil, upgrader.spoke.Load():
		return err
	case upgrader.upgraded:
		return lost(err)
	}
	if err = unstarted(err); away(err) {
		return err
	}
	socket, socketErr := remotecommand.NewWebSocketExecutor(config, http.MethodGet, at.String())
	if socketErr != nil {
		return socketErr
	}
	if socketErr = socket.StreamWithContext(ctx, options); streaming.IsUpgradeFailure(socketErr) {
		return err // it says more
	}
	if _, own := errors.AsType[exec.CodeExitError](socketErr); socketErr == nil || own {
		return socketErr
	}
	return lost(socketErr)
}

// lost says that nobody knows how the command ended.
func lost(err error) error {
	if errors.Is(err, errLost) {
		return err
	}
	return fmt.Errorf("%w (%w)", errLost, err)
}

// strictUpgrader makes connections that do not end in silence. client-go takes a
// connection that breaks for a command that ended well, because its error stream
// then ends without a word; in the versions of the protocol that are offered here,
// every kubelet says how the command ended.
type strictUpgrader struct {
	spdy.Upgrader
	upgraded bool
	// spoke is set once the kubelet has said how the command ended.
	spoke atomic.Bool
}

func (u *strictUpgrader) client(config *rest.Config, at *url.URL) (remotecommand.Executor, error) {
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	u.Upgrader = upgrader
	return remotecommand.NewSPDYExecutorForProtocols(transport, u, http.MethodPost, at,
		remoteprotocol.StreamProtocolV5Name, remoteprotocol.StreamProtocolV4Name)
}

// NewConnection implements spdy.Upgrader.
func (u *strictUpgrader) NewConnection(response *http.Response) (httpstream.Connection, error) {
	conn, err := u.Upgrader.NewConnection(response)
	if err != nil {
		return nil, err
	}
	u.upgraded = true
	return strictConnection{Connection: conn, spoke: &u.spoke}, nil
}

type strictConnection struct {
	httpstream.Connection

	spoke *atomic.Bool
}

// CreateStream implements httpstream.Connection.
func (c strictConnection) CreateStream(headers http.Header) (httpstream.Stream, error) {
	stream, err := c.Connection.CreateStream(headers)
	if err != nil || headers.Get(corev1.StreamType) != corev1.StreamTypeError {
		return stream, err
	}
	return &talkative{Stream: stream, spoke: c.spoke}, nil
}

// talkative is a stream that must not end before it said something.
type talkative struct {
	httpstream.Stream

	spoke *atomic.Bool
}

// Read implements io.Reader.
func (s *talkative) Read(into []byte) (int, error) {
	n, err := s.Stream.Read(into)
	if n > 0 {
		s.spoke.Store(true)
	}
	if errors.Is(err, io.EOF) && !s.spoke.Load() {
		return n, errLost
	}
	return n, err
}
