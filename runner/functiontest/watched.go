package functiontest

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/salvor-io/salvor/internal/kube"
)

// Clients makes clients for the API server.
func Clients(tb testing.TB, config *rest.Config) *kube.Clients {
	tb.Helper()
	clients, err := kube.New(Wired(config))
	if err != nil {
		tb.Fatalf("make clients: %v", err)
	}
	return clients
}

// WatchingClients makes clients and a channel that is closed once they have opened
// a watch: a function that waits for the world has then seen its state.
func WatchingClients(tb testing.TB, config *rest.Config) (*kube.Clients, <-chan struct{}) {
	tb.Helper()
	watching := make(chan struct{})
	opened := sync.OnceFunc(func() { close(watching) })
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(request *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(request)
			if err == nil && strings.Contains(request.URL.RawQuery, "watch=true") {
				opened()
			}
			return response, err
		})
	})
	return Clients(tb, config), watching
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
