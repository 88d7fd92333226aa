package ingress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/stream"
)

const (
	// parallel is how many events of one batch are stored at the same time.
	parallel = 16
	// storeTimeout bounds the wait for the stream to acknowledge one event.
	storeTimeout = 5 * time.Second
)

// What the log says of faults that are not the sender's.
const (
	whatAuth  = "senders cannot be authenticated"
	whatStore = "the event could not be stored"
)

// Accepted is the body of a 202.
type Accepted struct {
	// Accepted counts the events of the request; all are stored.
	Accepted int `json:"accepted"`
	// Duplicates are those that had been stored a short while before.
	Duplicates int `json:"duplicates"`
}

// post takes the events of a request.
func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := detach(r.Context())
	defer cancel()
	body, done := s.body(w, r)
	defer done()
	credentials := Credentials{Request: r, Body: body}
	grant, err := s.enter(ctx, credentials)
	if err != nil {
		s.refuseErr(w, err, whatAuth)
		return
	}
	taken, duplicates, err := s.take(ctx, credentials, grant)
	if err != nil {
		grant.undo(ctx)
		s.refuseErr(w, err, whatStore)
		return
	}
	s.Metrics.Accepted(len(taken.events)-duplicates, duplicates)
	if taken.wait > 0 && s.answerOutcomes(w, r, taken) {
		return
	}
	s.answer(w, http.StatusAccepted, Accepted{Accepted: len(taken.events), Duplicates: duplicates})
}

// received are the events of a request, and for how long its sender waits until
// they are decided.
type received struct {
	namespace string
	events    []cloudevents.Event
	sender    *event.Sender
	wait      time.Duration
}

// take reads and stores the events of a request.
func (s *Server) take(ctx context.Context, c Credentials, grant *Grant) (taken received, duplicates int, err error) {
	taken = received{sender: grant.Sender, wait: preferredWait(c.Header)}
	if taken.namespace, err = s.namespace(c.Request); err != nil {
		return taken, 0, err
	}
	if encoding := c.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return taken, 0, refuse(http.StatusUnsupportedMediaType, reasonMediaType, "Content-Encoding %s is not read here; send the body as it is", encoding)
	}
	body, err := c.Body()
	if err != nil {
		return taken, 0, err
	}
	if taken.events, err = Decode(ctx, c.Header, body); err != nil {
		return taken, 0, err
	}
	if refused := s.limits.takeRest(grant.Key, len(taken.events)); refused != nil {
		return taken, 0, refused
	}
	duplicates, err = s.store(ctx, taken)
	return taken, duplicates, err
}

func readAll(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return nil, TooLarge(most)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		refused := refuse(http.StatusRequestTimeout, reasonTimeout, "the body did not come within %s; send it again", readTimeout)
		refused.After = time.Second
		return nil, refused
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, reasonMalformed, "the body ended early: %w", err)
	}
	return body, nil
}

// TooLarge refuses a body above the limit.
func TooLarge(most int64) *RefusedError {
	return refuse(http.StatusRequestEntityTooLarge, reasonTooLarge, "the body is over the limit of %d bytes (--max-event-bytes)", most)
}

// ValidNamespace reports whether the text is the name of a namespace.
func ValidNamespace(namespace string) bool { return len(validation.IsDNS1123Label(namespace)) == 0 }

// store returns once all events are durable.
func (s *Server) store(ctx context.Context, r received) (duplicates int, err error) {
	var repeated atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i := range r.events {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, storeTimeout)
			defer cancel()
			duplicate, err := s.Store.PublishFrom(ctx, r.namespace, r.events[i], r.sender)
			if duplicate {
				repeated.Add(1)
			}
			return err // it names the event
		})
	}
	if err := group.Wait(); err != nil {
		return 0, StoreError(err)
	}
	return int(repeated.Load()), nil
}

// StoreError is what a sender is told when the stream does not take an event. An
// error that is no *RefusedError is for the log.
func StoreError(err error) error {
	switch {
	case errors.Is(err, stream.ErrFull):
		refused := refuse(http.StatusTooManyRequests, reasonFull, "there is no room for events now; send it again later")
		refused.After = retryAfter
		return refused
	case tooLarge(err):
		return refuse(http.StatusRequestEntityTooLarge, reasonTooLarge, "an event is larger than the stream takes, with its attributes and the groups of its sender")
	}
	return fmt.Errorf("the stream cannot be reached: %w", err)
}

// Codes of the server for a message above the stream's limit, and for one whose
// headers are above the server's.
const (
	codeTooLarge       jetstream.ErrorCode = 10054
	codeHeaderTooLarge jetstream.ErrorCode = 10097
)

func tooLarge(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return errors.Is(err, nats.ErrMaxPayload) || (ok && (api.ErrorCode == codeTooLarge || api.ErrorCode == codeHeaderTooLarge))
}
