package ingress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/rs/zerolog"
	"golang.org/x/sync/semaphore"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
)

const (
	// retryAfter is what a sender is told to wait while something is away or full.
	retryAfter = 5 * time.Second
	// shutdownTimeout bounds the wait for requests under way at the end.
	shutdownTimeout = 10 * time.Second
	// readTimeout bounds the reading of a request, writeTimeout its answer.
	readTimeout, writeTimeout = 30 * time.Second, 60 * time.Second
	// mostWaiting bounds the requests that wait for what becomes of events.
	mostWaiting = 2000
)

// Store keeps events; *stream.Events is one.
type Store interface {
	PublishFrom(ctx context.Context, namespace string, e cloudevents.Event, sender *event.Sender) (duplicate bool, err error)
}

// Authorizer says what a sender may do; *access.Reviewer is one. A sender that is
// nil may do everything.
type Authorizer interface {
	Allowed(ctx context.Context, sender *event.Sender, right authorizationv1.ResourceAttributes) (bool, error)
}

// Config of a Server. All fields are required but those said to be optional.
type Config struct {
	// Listen is the address, for example ":8080".
	Listen string
	// MaxBytes bounds a request's body.
	MaxBytes int64
	Store    Store
	// Serves reports whether events for a namespace are taken.
	Serves func(namespace string) bool
	// Auth lets in whom any of them lets in; none lets everybody in.
	Auth []Authenticator
	// Outcomes says what became of events. Optional: without it nobody can wait.
	Outcomes *Outcomes
	// Authorizer is optional; without it every sender sees every outcome.
	Authorizer Authorizer
	// Options are those that need no more than themselves.
	Options Options
	// Extra are handlers beside the endpoint's own, by pattern of http.ServeMux. Who
	// asks is authenticated as a sender of events is; access.SenderOf tells who it
	// is. Their requests have no time limit, and end when the server does.
	Extra map[string]http.Handler
	Clock clock.WithTicker
	Log   zerolog.Logger
	// Metrics is optional.
	Metrics *Metrics
}

// Server is the HTTP endpoint.
type Server struct {
	Config

	listening atomic.Pointer[net.TCPAddr]
	limits    *limits
	room      *room
	waiters   *semaphore.Weighted
}

// New returns a server that does not listen before Run is called.
func New(c Config) *Server {
	return &Server{
		Config: c, limits: newLimits(c.Options.Rate, c.Options.Burst, c.Clock), room: newRoom(roomForBodies, c.MaxBytes),
		waiters: semaphore.NewWeighted(mostWaiting),
	}
}

// Addr is the address the server listens on; nil before it does.
func (s *Server) Addr() net.Addr {
	if addr := s.listening.Load(); addr != nil {
		return addr
	}
	return nil
}

// Ready is nil while the server listens.
func (s *Server) Ready() error {
	if s.listening.Load() == nil {
		return fmt.Errorf("the event endpoint does not listen on %s yet", s.Listen)
	}
	return nil
}

// Run serves until ctx ends and the requests under way are answered.
func (s *Server) Run(ctx context.Context) error {
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(debugLog{s.Log}, "", 0),
		// Whoever waits is answered when ctx ends; what is being stored is stored.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	serve := server.Serve
	if s.Options.TLSCert != "" {
		config, err := serverTLS(s.Options.TLSCert, s.Options.TLSKey, s.Log)
		if err != nil {
			return err // it names the flag
		}
		server.TLSConfig = config
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return fmt.Errorf("listen for events (--listen): %w", err)
	}
	if addr, ok := listener.Addr().(*net.TCPAddr); ok {
		s.listening.Store(addr)
	}
	defer s.listening.Store(nil)
	if len(s.Auth) == 0 {
		s.Log.Warn().Str("listen", s.Listen).Msg("anybody who can reach this address can send events and so start backups and restores; " +
			"set --ingress-token-file, --ingress-token-audience, --ingress-hmac-keys or --ingress-tls-client-ca, or restrict who reaches it with a NetworkPolicy")
	}
	closed := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		// Requests under way may still be answered, so their time is not ctx's.
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		closed <- server.Shutdown(grace)
	})
	err = serve(listener)
	if stop() {
		return fmt.Errorf("serve events on %s: %w", s.Listen, err)
	}
	if err := <-closed; err != nil {
		_ = server.Close() // the grace is over
		s.Log.Warn().Err(err).Msg("requests were still under way when the event endpoint was closed")
	}
	return nil
}

// Handler is the endpoint as a handler.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, path := range []string{"/events", "/events/{namespace}"} {
		mux.HandleFunc(path, s.events)
	}
	// A namespace may be called "outcome"; events are sent to it by POST.
	mux.HandleFunc("GET /events/outcome", s.outcome)
	mux.HandleFunc("/events/{namespace}/outcome", s.outcome)
	for pattern, handler := range s.Extra {
		mux.Handle(pattern, s.guard(handler))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		s.refuse(w, refuse(http.StatusNotFound, reasonPath, "POST CloudEvents to /events, or to /events/<namespace>"))
	})
	return mux
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		s.post(w, r)
	case http.MethodOptions:
		s.handshake(w, r)
	default:
		w.Header().Set("Allow", allowed)
		s.refuse(w, refuse(http.StatusMethodNotAllowed, reasonMethod, "%s is not allowed here; POST CloudEvents", r.Method))
	}
}

// enter authenticates a request and takes it from its sender's share.
func (s *Server) enter(ctx context.Context, c Credentials) (*Grant, error) {
	grant := &Grant{Key: remote(c.Request)}
	if len(s.Auth) > 0 {
		found, err := anyOf(s.Auth).authenticate(ctx, c)
		if err != nil {
			return nil, err // a *RefusedError, or logged by who answers
		}
		grant = found
	}
	if refused := s.limits.take(grant.Key, 1); refused != nil {
		grant.undo(ctx)
		return nil, refused
	}
	return grant, nil
}

func (g *Grant) undo(ctx context.Context) {
	if g.Undo != nil {
		g.Undo(ctx)
	}
}

// namespace is the one that a request addresses, "" for all.
func (s *Server) namespace(r *http.Request) (string, error) {
	namespace := r.PathValue("namespace")
	if namespace != "" && (!ValidNamespace(namespace) || !s.Serves(namespace)) {
		return "", NoNamespace(namespace)
	}
	return namespace, nil
}

func (s *Server) answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // <namespace> is for people to read, and nobody takes JSON for HTML
	if err := encoder.Encode(body); err != nil {
		s.Log.Debug().Err(err).Msg("the sender did not wait for the answer")
	}
}

// debugLog takes what net/http has to say of connections, such as handshakes of TLS
// that failed.
type debugLog struct{ log zerolog.Logger }

// Write logs a line.
func (d debugLog) Write(line []byte) (int, error) {
	d.log.Debug().Msg(strings.TrimSpace(string(line)))
	return len(line), nil
}

// extend lets a request take longer than the server's limits; 0 takes them away.
func (s *Server) extend(w http.ResponseWriter, by time.Duration) {
	control, until := http.NewResponseController(w), time.Time{}
	if by > 0 {
		until = s.Clock.Now().Add(by)
	}
	if err := errors.Join(control.SetReadDeadline(until), control.SetWriteDeadline(until)); err != nil {
		s.Log.Debug().Err(err).Msg("a request keeps its time limit")
	}
}

// methods that an answer 405 or OPTIONS names.
const allowed = "OPTIONS, POST"

func isMethod(r *http.Request, methods ...string) bool { return slices.Contains(methods, r.Method) }
