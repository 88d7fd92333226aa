package kubeexec

import (
	"errors"
	"io"
	"net/http"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/rest"
	client "k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

var errLost = errors.New("the connection was lost before the command ended; nobody can know how far it came")

// newSPDY makes a client that speaks SPDY. client-go's own takes a connection that
// breaks for a command that ended well: its error stream ends without a word. In
// the versions of the protocol that are offered here, every server says how the
// command ended, so silence is an error.
func newSPDY(config *rest.Config, at *url.URL) (client.Executor, error) {
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	return client.NewSPDYExecutorForProtocols(transport, strictUpgrader{upgrader}, http.MethodPost, at,
		remotecommand.StreamProtocolV5Name, remotecommand.StreamProtocolV4Name)
}

type strictUpgrader struct{ spdy.Upgrader }

// NewConnection implements spdy.Upgrader.
func (u strictUpgrader) NewConnection(response *http.Response) (httpstream.Connection, error) {
	conn, err := u.Upgrader.NewConnection(response)
	if err != nil {
		return nil, err
	}
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
