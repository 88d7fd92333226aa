package kubeexec

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	remoteprotocol "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	streaming "k8s.io/streaming/pkg/httpstream"
)

var errLost = errors.New("the connection was lost before the command ended; nobody can know how far it came")

// streamCommand runs the command over SPDY and, where something on the way does
// not let that through, over WebSocket. Nothing has been started when an upgrade is
// refused, so the second try runs the command once.
func streamCommand(ctx context.Context, config *rest.Config, at *url.URL, options remotecommand.StreamOptions) error {
	upgrader := &strictUpgrader{}
	client, err := upgrader.client(config, at)
	if err != nil {
		return err
	}
	err = client.StreamWithContext(ctx, options)
	if err == nil || upgrader.upgraded || ctx.Err() != nil {
		return err
	}
	socket, socketErr := remotecommand.NewWebSocketExecutor(config, http.MethodGet, at.String())
	if socketErr != nil {
		return socketErr
	}
	if socketErr = socket.StreamWithContext(ctx, options); streaming.IsUpgradeFailure(socketErr) {
		return err // it says more
	}
	return socketErr
}

// strictUpgrader makes connections that do not end in silence. client-go takes a
// connection that breaks for a command that ended well, because its error stream
// then ends without a word; in the versions of the protocol that are offered here,
// every kubelet says how the command ended.
type strictUpgrader struct {
	spdy.Upgrader
	upgraded bool
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
	return strictConnection{conn}, nil
}

type strictConnection struct{ httpstream.Connection }

// CreateStream implements httpstream.Connection.
func (c strictConnection) CreateStream(headers http.Header) (httpstream.Stream, error) {
	stream, err := c.Connection.CreateStream(headers)
	if err != nil || headers.Get(corev1.StreamType) != corev1.StreamTypeError {
		return stream, err
	}
	return &talkative{Stream: stream}, nil
}

// talkative is a stream that must not end before it said something.
type talkative struct {
	httpstream.Stream
	spoke bool
}

// Read implements io.Reader.
func (s *talkative) Read(into []byte) (int, error) {
	n, err := s.Stream.Read(into)
	s.spoke = s.spoke || n > 0
	if errors.Is(err, io.EOF) && !s.spoke {
		return n, errLost
	}
	return n, err
}
