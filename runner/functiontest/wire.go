package functiontest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"

	"k8s.io/client-go/rest"
)

// wire loses the runner at one of the requests that a call makes: the request
// travels in the call's context, so that nothing else is counted.
type wire struct {
	// at is the number of the request, from 1.
	at int64
	// answered: the server did what was asked for, and the answer is lost.
	answered bool
	lose     context.CancelCauseFunc
	// made are the requests so far; a call may make several at once.
	made    atomic.Int64
	tripped atomic.Bool
}

type wireKey struct{}

func (w *wire) in(ctx context.Context) context.Context { return context.WithValue(ctx, wireKey{}, w) }

// Wired returns a config whose clients can be lost at each request. Clients and
// WatchingClients wire theirs.
func Wired(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(request *http.Request) (*http.Response, error) {
			w, _ := request.Context().Value(wireKey{}).(*wire)
			if w == nil {
				return next.RoundTrip(request)
			}
			whole, done := w.next()
			if whole {
				return next.RoundTrip(request)
			}
			if done {
				if response, err := next.RoundTrip(request); err == nil {
					_ = response.Body.Close() // the answer is lost
				}
			}
			w.trip()
			return nil, errStop
		})
	})
	return config
}

// next counts a request: it is answered, or it is done and its answer is lost, or
// neither.
func (w *wire) next() (whole, done bool) {
	number := w.made.Add(1)
	return number < w.at, number == w.at && w.answered
}

func (w *wire) trip() {
	w.tripped.Store(true)
	w.lose(errStop)
}

// Gate stands before a server that a function asks with a client of its own: the
// runner is lost at each request that comes through it, too.
type Gate struct{ wire atomic.Pointer[wire] }

func (g *Gate) close(w *wire) {
	if g != nil {
		g.wire.Store(w)
	}
}

// Before returns the server behind the gate.
func (g *Gate) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := g.wire.Load()
		if w == nil {
			next.ServeHTTP(rw, r)
			return
		}
		whole, done := w.next()
		if whole {
			next.ServeHTTP(rw, r)
			return
		}
		if done {
			next.ServeHTTP(httptest.NewRecorder(), r)
		}
		w.trip()
		panic(http.ErrAbortHandler) // the connection breaks
	})
}
