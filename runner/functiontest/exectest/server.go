package exectest

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// Server serves pods and the exec protocol, over HTTP, as the API server does.
type Server struct {
	T *testing.T
	// Pods by name; their namespace is db.
	Pods map[string]*corev1.Pod
	// Secrets by name, in namespace db too.
	Secrets map[string]*corev1.Secret
	// Behave runs a command: it writes frames and returns the exit code.
	Behave func(query url.Values, p Process) int
	// NoSPDY refuses SPDY, as a proxy may that knows only WebSocket.
	NoSPDY bool
	// Away are the answers to the first requests to run a command.
	Away []string

	lock    sync.Mutex
	methods []string
	conns   []net.Conn
}

// Process is a command's side of the stream.
type Process struct {
	// Stdin is nil unless the client gives one.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Pod            string
	// Gone is closed when the client has left.
	Gone <-chan struct{}
}

// Out writes frames to stdout.
func (p Process) Out(frames ...string) {
	for _, f := range frames {
		_, _ = p.Stdout.Write([]byte(f))
	}
}

// Err writes frames to stderr.
func (p Process) Err(frames ...string) {
	for _, f := range frames {
		_, _ = p.Stderr.Write([]byte(f))
	}
}

// Start serves until the test ends and returns how to reach it.
func (s *Server) Start() *rest.Config {
	server := httptest.NewUnstartedServer(s)
	server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		s.lock.Lock()
		defer s.lock.Unlock()
		if state == http.StateNew {
			s.conns = append(s.conns, conn)
		}
	}
	server.Start()
	s.T.Cleanup(server.Close)
	return &rest.Config{Host: server.URL}
}

// Cut breaks every connection, as the end of an API server does.
func (s *Server) Cut() {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, conn := range s.conns {
		_ = conn.Close()
	}
}

// Pod makes a pod that runs, in namespace db.
func Pod(name string, containers ...string) *corev1.Pod {
	p := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "db"},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
	for _, c := range containers {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c})
	}
	return p
}

// Methods are those of the requests to run a command: POST for SPDY, GET for
// WebSocket.
func (s *Server) Methods() []string {
	s.lock.Lock()
	defer s.lock.Unlock()
	return slices.Clone(s.methods)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if name, ok := strings.CutPrefix(r.URL.Path, "/api/v1/namespaces/db/secrets/"); ok && s.Secrets[name] != nil {
		w.Header().Set("Content-Type", "application/json")
		secret := s.Secrets[name].DeepCopy()
		secret.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}
		secret.Name, secret.Namespace = name, "db"
		_ = json.NewEncoder(w).Encode(secret)
		return
	}
	path, isExec := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/db/pods/"), "/exec")
	p := s.Pods[path]
	if p == nil {
		status(w, http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	}
	if !isExec {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p)
		return
	}
	s.lock.Lock()
	s.methods = append(s.methods, r.Method)
	away := ""
	if len(s.Away) > 0 {
		away, s.Away = s.Away[0], s.Away[1:]
	}
	s.lock.Unlock()
	if away != "" {
		http.Error(w, away, http.StatusInternalServerError)
		return
	}
	assert.True(s.T, slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool { return c.Name == r.URL.Query().Get("container") }))
	switch {
	case wsstream.IsWebSocketRequest(r):
		s.overWebSocket(w, r, path)
	case s.NoSPDY:
		status(w, http.StatusBadRequest, metav1.StatusReasonBadRequest)
	default:
		s.overSPDY(w, r, path)
	}
}

func status(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Reason: reason, Code: int32(code), Message: string(reason),
	})
}

func (s *Server) overWebSocket(w http.ResponseWriter, r *http.Request, pod string) {
	stdin := wsstream.IgnoreChannel
	if r.URL.Query().Get("stdin") == "true" {
		stdin = wsstream.ReadChannel
	}
	channels := []wsstream.ChannelType{stdin, wsstream.WriteChannel, wsstream.WriteChannel, wsstream.WriteChannel, wsstream.ReadChannel}
	conn := wsstream.NewConn(map[string]wsstream.ChannelProtocolConfig{"v5.channel.k8s.io": {Binary: true, Channels: channels}})
	_, streams, err := conn.Open(w, r)
	if !assert.NoError(s.T, err) { //nolint:testifylint // not the goroutine of the test
		return
	}
	defer conn.Close()
	gone := make(chan struct{})
	go func() { // the resize channel ends with the connection
		defer close(gone)
		_, _ = streams[4].Read(make([]byte, 1))
	}()
	p := Process{Stdout: streams[1], Stderr: streams[2], Pod: pod, Gone: gone}
	if stdin == wsstream.ReadChannel {
		p.Stdin = streams[0]
	}
	code := s.Behave(r.URL.Query(), p)
	_, _ = streams[3].Write(exitStatus(code))
}

func (s *Server) overSPDY(w http.ResponseWriter, r *http.Request, pod string) {
	_, err := httpstream.Handshake(r, w, []string{"v4.channel.k8s.io"})
	if !assert.NoError(s.T, err) { //nolint:testifylint // not the goroutine of the test
		return
	}
	type opened struct {
		httpstream.Stream
		replied <-chan struct{}
	}
	streams := make(chan opened, 8)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(stream httpstream.Stream, replied <-chan struct{}) error {
		streams <- opened{stream, replied}
		return nil
	})
	if !assert.NotNil(s.T, conn) {
		return
	}
	defer conn.Close()
	byType := map[string]httpstream.Stream{}
	count := 3
	if r.URL.Query().Get("stdin") == "true" {
		count++
	}
	for range count {
		stream := <-streams
		<-stream.replied // nothing may be written before
		byType[stream.Headers().Get(corev1.StreamType)] = stream.Stream
	}
	gone := make(chan struct{})
	go func() { <-conn.CloseChan(); close(gone) }()
	p := Process{Stdout: byType["stdout"], Stderr: byType["stderr"], Pod: pod, Gone: gone}
	if stdin := byType["stdin"]; stdin != nil {
		p.Stdin = stdin
	}
	code := s.Behave(r.URL.Query(), p)
	_, _ = byType["error"].Write(exitStatus(code))
	_ = byType["stdout"].Close()
	_ = byType["stderr"].Close()
	_ = byType["error"].Close()
	<-conn.CloseChan()
}

// exitStatus is what the kubelet says at the end.
func exitStatus(code int) []byte {
	end := metav1.Status{Status: metav1.StatusSuccess}
	if code != 0 {
		text, _ := json.Marshal(code)
		end = metav1.Status{
			Status: metav1.StatusFailure, Reason: "NonZeroExitCode",
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: "ExitCode", Message: string(text)}}},
			Message: "command terminated with non-zero exit code",
		}
	}
	text, _ := json.Marshal(end)
	return text
}
