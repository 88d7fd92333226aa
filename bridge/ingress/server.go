package ingress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/salvor-io/salvor/internal/stream"
)

const (
	// parallel is how many events of one batch are stored at the same time.
	parallel = 16
	// storeTimeout bounds the wait for the stream to acknowledge one event.
	storeTimeout = 5 * time.Second
	// retryAfter is what a sender is told to wait, in seconds.
	retryAfter = 5
	// shutdownTimeout bounds the wait for requests under way at the end.
	shutdownTimeout = 10 * time.Second
)

// Store keeps events; *stream.Events is one.
type Store interface {
	Publish(ctx context.Context, namespace string, e cloudevents.Event) (duplicate bool, err error)
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
	// Auth is optional; without it everybody is let in.
	Auth Authenticator
	Log  zerolog.Logger
	// Metrics is optional.
	Metrics *Metrics
}

// Server is the HTTP endpoint.
type Server struct {
	Config

	listening atomic.Pointer[net.TCPAddr]
}

// New returns a server that does not listen before Run is called.
func New(c Config) *Server { return &Server{Config: c} }

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
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return fmt.Errorf("listen for events (--listen): %w", err)
	}
	if addr, ok := listener.Addr().(*net.TCPAddr); ok {
		s.listening.Store(addr)
	}
	defer s.listening.Store(nil)
	if s.Auth == nil {
		s.Log.Warn().Str("listen", s.Listen).Msg("anybody who can reach this address can send events and so start backups and restores; " +
			"set --ingress-token-file, or restrict who reaches it with a NetworkPolicy")
	}
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	closed := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		// Requests under way may still be answered, so their time is not ctx's.
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		closed <- server.Shutdown(grace)
	})
	err = server.Serve(listener)
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
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, "") })
	mux.HandleFunc("/events/{namespace}", func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, r.PathValue("namespace")) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, refusal{http.StatusNotFound, reasonPath, errors.New("POST CloudEvents to /events, or to /events/<namespace>")})
	})
	return mux
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, namespace string) {
	events, refused := s.read(w, r, namespace)
	if refused.err != nil {
		s.refuse(w, refused)
		return
	}
	duplicates, refused := s.store(r.Context(), namespace, events)
	if refused.err != nil {
		s.refuse(w, refused)
		return
	}
	s.Metrics.accepted(len(events)-duplicates, duplicates)
	s.answer(w, http.StatusAccepted, accepted{Accepted: len(events), Duplicates: duplicates})
}

// read returns the events of a request, or why it is refused.
func (s *Server) read(w http.ResponseWriter, r *http.Request, namespace string) ([]cloudevents.Event, refusal) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, refusal{http.StatusMethodNotAllowed, reasonMethod, fmt.Errorf("%s is not allowed here; POST CloudEvents", r.Method)}
	}
	if s.Auth != nil {
		if err := s.Auth.Authenticate(r); errors.Is(err, errUnauthorized) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			return nil, refusal{http.StatusUnauthorized, reasonUnauthorized, err}
		} else if err != nil {
			s.Log.Error().Err(err).Msg("senders cannot be authenticated")
			return nil, refusal{http.StatusServiceUnavailable, reasonUnavailable, errors.New("senders cannot be authenticated now; see the server's log")}
		}
	}
	if namespace != "" && (len(validation.IsDNS1123Label(namespace)) > 0 || !s.Serves(namespace)) {
		return nil, refusal{http.StatusNotFound, reasonNamespace, fmt.Errorf("%q is not a namespace that this server serves", namespace)}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.MaxBytes))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, refusal{http.StatusRequestEntityTooLarge, reasonTooLarge, fmt.Errorf("the body is over the limit of %d bytes (--max-event-bytes)", s.MaxBytes)}
	case err != nil:
		return nil, refusal{http.StatusBadRequest, reasonMalformed, fmt.Errorf("the body ended early: %w", err)}
	}
	events, err := decode(r.Context(), r.Header, body)
	switch {
	case errors.Is(err, errMediaType):
		return nil, refusal{http.StatusUnsupportedMediaType, reasonMalformed, err}
	case err != nil:
		return nil, refusal{http.StatusBadRequest, reasonMalformed, err}
	}
	return events, refusal{}
}

// store returns once all events are durable.
func (s *Server) store(ctx context.Context, namespace string, events []cloudevents.Event) (duplicates int, refused refusal) {
	var repeated atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i := range events {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, storeTimeout)
			defer cancel()
			duplicate, err := s.Store.Publish(ctx, namespace, events[i])
			if duplicate {
				repeated.Add(1)
			}
			return err // it names the event
		})
	}
	err := group.Wait()
	switch {
	case err == nil:
		return int(repeated.Load()), refusal{}
	case errors.Is(err, stream.ErrFull):
		s.Log.Error().Err(err).Msg("events are refused because the stream is full; give it more room or keep events for a shorter time")
		return 0, refusal{http.StatusTooManyRequests, reasonFull, errors.New("there is no room for events now; send it again later")}
	case tooLarge(err):
		return 0, refusal{http.StatusRequestEntityTooLarge, reasonTooLarge, errors.New("an event is larger than the stream takes")}
	}
	s.Log.Error().Err(err).Msg("events are refused because the stream cannot be reached")
	return 0, refusal{http.StatusServiceUnavailable, reasonUnavailable, errors.New("the event could not be stored now; send it again later")}
}

// codeTooLarge is the server's code for a message above the stream's limit.
const codeTooLarge jetstream.ErrorCode = 10054

func tooLarge(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, nats.ErrMaxPayload) || (errors.As(err, &api) && api.ErrorCode == codeTooLarge)
}

// refusal is an answer other than 202.
type refusal struct {
	code   int
	reason string
	err    error
}

// accepted is the body of a 202.
type accepted struct {
	// Accepted counts the events of the request; all are stored.
	Accepted int `json:"accepted"`
	// Duplicates are those that had been stored a short while before.
	Duplicates int `json:"duplicates"`
}

// problem is the body of every other answer.
type problem struct {
	Error string `json:"error"`
	// Attribute at fault, when it is one.
	Attribute string `json:"attribute,omitempty"`
	// Event is the index in a batch of the event at fault.
	Event *int `json:"event,omitempty"`
}

func (s *Server) refuse(w http.ResponseWriter, r refusal) {
	s.Metrics.rejected(r.reason)
	body := problem{Error: r.err.Error()}
	if badEvent, ok := errors.AsType[*BadEventError](r.err); ok {
		body.Attribute = badEvent.Attribute
		if badEvent.Index >= 0 {
			body.Event = &badEvent.Index
		}
	}
	if r.code == http.StatusTooManyRequests || r.code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	s.Log.Debug().Int("code", r.code).Err(r.err).Msg("request refused")
	s.answer(w, r.code, body)
}

func (s *Server) answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.Log.Debug().Err(err).Msg("the sender did not wait for the answer")
	}
}
