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
func Clients(t testing.TB, config *rest.Config) *kube.Clients {
	t.Helper()
	clients, err := kube.New(config)
	if err != nil {
		t.Fatalf("make clients: %v", err)
	}
	return clients
}

// WatchingClients makes clients and a channel that is closed once they have opened
// a watch: a function that waits for the world has then seen its state.
func WatchingClients(t testing.TB, config *rest.Config) (*kube.Clients, <-chan struct{}) {
	t.Helper()
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
	return Clients(t, config), watching
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
