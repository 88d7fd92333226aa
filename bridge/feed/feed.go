package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/bridge/access"
	"github.com/salvor-io/salvor/internal/stream"
)

const (
	// idle is after how long without an event an empty line is written.
	idle = 15 * time.Second
	// writeTimeout is how long a reader may take for what is written to it.
	writeTimeout = 30 * time.Second
)

// headerSequence is the number of the last event when the answer began.
const headerSequence = "Salvor-Sequence"

// Reviewer says who may do what; *access.Reviewer is one.
type Reviewer interface {
	Allowed(ctx context.Context, sender *event.Sender, right authorizationv1.ResourceAttributes) (bool, error)
}

// Config of a Feed. All fields are required but those said to be optional.
type Config struct {
	Events *stream.Events
	// Review is asked about senders that have an identity.
	Review Reviewer
	// Namespaces that are served; none means all.
	Namespaces []string
	Clock      clock.PassiveClock
	Log        zerolog.Logger
}

// Feed is the endpoint.
type Feed struct {
	Config

	seats seats
	// ended is closed when those who follow are to be sent away.
	ended chan struct{}
}

// New returns a feed. Its requests end with Run.
func New(c Config) *Feed {
	return &Feed{Config: c, ended: make(chan struct{})}
}

// Run sends those who follow away when ctx ends. It is called once.
func (f *Feed) Run(ctx context.Context) error {
	<-ctx.Done()
	close(f.ended)
	return nil
}

// Routes are the paths of the feed, as patterns of http.ServeMux.
func (f *Feed) Routes() map[string]http.Handler {
	return map[string]http.Handler{"/lifecycle": f, "/lifecycle/{namespace}": f}
}

// ServeHTTP answers one reader.
func (f *Feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		f.refuse(w, http.StatusMethodNotAllowed, "method", fmt.Errorf("%s is not allowed here; GET lifecycle events", r.Method))
		return
	}
	namespace := r.PathValue("namespace")
	if namespace != "" && !f.serves(namespace) {
		f.refuse(w, http.StatusNotFound, "namespace", fmt.Errorf("%q is not a namespace that is served here", namespace))
		return
	}
	q, err := parse(r.URL.Query(), f.Clock.Now())
	if err != nil {
		f.refuse(w, http.StatusBadRequest, "malformed", err)
		return
	}
	switch allowed, err := f.Review.Allowed(r.Context(), access.SenderOf(r.Context()), access.Watch(namespace)); {
	case err != nil:
		f.Log.Warn().Err(err).Msg("a reader of lifecycle events could not be looked at")
		f.refuse(w, http.StatusServiceUnavailable, "unavailable", errors.New("whether you may see this could not be found out now; ask again later"))
		return
	case !allowed:
		f.refuse(w, http.StatusForbidden, "forbidden", errors.New(forbidden(namespace)))
		return
	}
	code, leave := f.seats.take(reader(r))
	switch code {
	case 0:
		defer leave()
	case http.StatusTooManyRequests:
		f.refuse(w, code, "rate", fmt.Errorf("%d of one reader's requests are served at a time; end another one", readersOfOne))
		return
	default:
		f.refuse(w, code, "full", fmt.Errorf("%d readers are served at a time; come again later", readers))
		return
	}
	f.show(w, r, namespace, q)
}

func (f *Feed) serves(namespace string) bool {
	return len(validation.IsDNS1123Label(namespace)) == 0 && (len(f.Namespaces) == 0 || slices.Contains(f.Namespaces, namespace))
}

func forbidden(namespace string) string {
	if namespace == "" {
		return "you may not watch actionsets.cr.kanister.io of all namespaces; ask for /lifecycle/<namespace>"
	}
	return "you may not watch actionsets.cr.kanister.io in namespace " + namespace
}

func (f *Feed) show(w http.ResponseWriter, r *http.Request, namespace string, q query) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	watching := make(chan struct{})
	go func() { // ends with the request
		defer close(watching)
		select {
		case <-ctx.Done():
		case <-f.ended:
			cancel()
		}
	}()
	defer func() { cancel(); <-watching }()

	out := &lines{to: w, control: http.NewResponseController(w), clock: f.Clock, types: q.types}
	namespaces := f.Namespaces
	if namespace != "" {
		namespaces = []string{namespace}
	}
	last, err := f.Events.Last(ctx)
	if err != nil {
		f.Log.Warn().Err(err).Msg("lifecycle events cannot be shown")
		f.refuse(w, http.StatusServiceUnavailable, "unavailable", errors.New("the events cannot be read now; ask again later"))
		return
	}
	if q.follow && q.since.IsZero() && q.after == 0 {
		// Named, so that nothing is missed until the consumer is there.
		q.after, q.since = last, time.Unix(1, 0)
	}
	w.Header().Set(headerSequence, strconv.FormatUint(last, 10))
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if err := out.flush(); err != nil {
		return // nobody is there any more
	}
	err = f.Events.ViewLifecycle(ctx, stream.LifecycleView{
		Namespaces: namespaces, After: q.after, Since: q.since, Follow: q.follow, Idle: idle,
	}, out)
	if err == nil {
		err = out.flush()
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, errReader) {
		f.Log.Warn().Err(err).Msg("lifecycle events could not be shown")
		// The answer has begun; cutting it off is the only way to say that it is not
		// whole.
		panic(http.ErrAbortHandler)
	}
}

// problem is the body of a refusal, as the event endpoint has it.
type problem struct {
	Error  string `json:"error"`
	Reason string `json:"reason"`
}

func (f *Feed) refuse(w http.ResponseWriter, code int, reason string, err error) {
	if code == http.StatusServiceUnavailable || code == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // <namespace> is for people to read
	if err := encoder.Encode(problem{Error: err.Error(), Reason: reason}); err != nil {
		f.Log.Debug().Err(err).Msg("the reader did not wait for the answer")
	}
}
