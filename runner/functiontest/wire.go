package functiontest

import (
	"context"
	"net/http"
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
			number := w.made.Add(1)
			if number < w.at {
				return next.RoundTrip(request)
			}
			if number == w.at && w.answered {
				if response, err := next.RoundTrip(request); err == nil {
					_ = response.Body.Close() // the answer is lost
				}
			}
			w.tripped.Store(true)
			w.lose(errStop)
			return nil, errStop
		})
	})
	return config
}
