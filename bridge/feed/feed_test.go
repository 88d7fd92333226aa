package feed_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/bridge/access"
	"github.com/salvor-io/salvor/bridge/feed"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

// reviewer lets ann watch shop, and cannot tell about bob.
type reviewer struct{ asked atomic.Int64 }

func (r *reviewer) Allowed(_ context.Context, sender *event.Sender, right authorizationv1.ResourceAttributes) (bool, error) {
	r.asked.Add(1)
	switch {
	case sender == nil:
		return true, nil
	case sender.User == "bob":
		return false, errors.New("the API server is away")
	}
	return sender.User == "ann" && right.Namespace == "shop" && right.Verb == "watch" && right.Resource == "actionsets", nil
}

type world struct {
	t    *testing.T
	js   jetstream.JetStream
	url  string
	stop func()
}

func newWorld(t *testing.T, namespaces ...string) *world {
	t.Helper()
	w := &world{t: t, js: natstest.Start(t)}
	f := feed.New(feed.Config{
		Events: stream.NewEvents(w.js), Review: &reviewer{}, Namespaces: namespaces, Clock: clock.RealClock{}, Log: zerolog.New(zerolog.NewTestWriter(t)),
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	ended := false
	w.stop = func() {
		if !ended {
			ended = true
			cancel()
			assert.NoError(t, <-done)
		}
	}
	mux := http.NewServeMux()
	for pattern, handler := range f.Routes() {
		mux.HandleFunc(pattern, func(rw http.ResponseWriter, r *http.Request) {
			if user := r.Header.Get("X-User"); user != "" {
				r = r.WithContext(access.WithSender(r.Context(), &event.Sender{User: user}))
			}
			handler.ServeHTTP(rw, r)
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(func() { w.stop(); server.Close() })
	w.url = server.URL
	return w
}

func (w *world) publish(namespace, typ, id string) {
	w.t.Helper()
	e, err := event.NewLifecycleEvent(typ, id, time.Now(), "", &event.Lifecycle{Namespace: namespace, ActionSet: "as", State: event.StateComplete})
	require.NoError(w.t, err)
	_, err = stream.NewEvents(w.js).Publish(w.t.Context(), namespace, e)
	require.NoError(w.t, err)
}

// answer is a response whose body is closed with the test.
type answer struct {
	code   int
	header http.Header
	body   io.Reader
}

func (w *world) get(path, user string) answer {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+path, nil)
	require.NoError(w.t, err)
	request.Header.Set("X-User", user)
	response, err := http.DefaultClient.Do(request)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = response.Body.Close() })
	return answer{response.StatusCode, response.Header, response.Body}
}

// ids reads the answer to its end, or the first n events of it.
func (w *world) ids(response answer, n int) []string {
	w.t.Helper()
	ids := []string{}
	for scanner := bufio.NewScanner(response.body); (n == 0 || len(ids) < n) && scanner.Scan(); {
		if len(scanner.Bytes()) == 0 {
			continue
		}
		var e cloudevents.Event
		require.NoError(w.t, json.Unmarshal(scanner.Bytes(), &e))
		require.NoError(w.t, e.Validate())
		ids = append(ids, fmt.Sprintf("%s %v", e.ID(), e.Extensions()["sequence"]))
	}
	return ids
}

func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	assert.Empty(t, w.ids(w.get("/lifecycle", ""), 0), "nothing yet")
	foreign := cloudevents.NewEvent()
	foreign.SetID("foreign")
	foreign.SetSource("/shop")
	foreign.SetType(event.TypeRunCompleted)
	_, err := stream.NewEvents(w.js).Publish(t.Context(), "shop", foreign)
	require.NoError(t, err)
	w.publish("shop", event.TypeRunCompleted, "one")
	w.publish("mail", event.TypeRunFailed, "two")
	w.publish("shop", event.TypePhaseComplete, "three")
	w.publish("shop", event.TypeTick, "tick")
	for path, want := range map[string][]string{
		"/lifecycle":                               {"one 2", "two 3", "three 4"},
		"/lifecycle/shop":                          {"one 2", "three 4"},
		"/lifecycle/none":                          {},
		"/lifecycle?after=2":                       {"two 3", "three 4"},
		"/lifecycle?after=4":                       {},
		"/lifecycle?after=99":                      {"one 2", "two 3", "three 4"},
		"/lifecycle?since=1h":                      {"one 2", "two 3", "three 4"},
		"/lifecycle?since=2099-01-01T00:00:00Z":    {},
		"/lifecycle?type=io.salvor.run.failed":     {"two 3"},
		"/lifecycle/shop?type=run&type=phase.fail": {"one 2"},
	} {
		response := w.get(path, "")
		assert.Equal(t, http.StatusOK, response.code, path)
		assert.Equal(t, "application/x-ndjson", response.header.Get("Content-Type"))
		assert.Equal(t, want, w.ids(response, 0), path)
	}
	for _, path := range []string{"/lifecycle/%2A", "/lifecycle/%3E", "/lifecycle/sh.op", "/lifecycle/Shop"} {
		assert.Equal(t, http.StatusNotFound, w.get(path, "").code, "%s names no namespace", path)
	}
}

// Who follows sees what happens, and the end of the bridge ends it.
func TestFollow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish("shop", event.TypeRunCompleted, "before")
	news := w.get("/lifecycle/shop?follow=true", "")
	all := w.get("/lifecycle?follow=true&since=1h", "")
	require.Eventually(t, func() bool { // the answer begins before the consumer is there
		s, err := w.js.Stream(t.Context(), event.StreamEvents)
		return err == nil && s.CachedInfo().State.Consumers == 2
	}, 3*time.Minute, 10*time.Millisecond)
	w.publish("mail", event.TypeRunCompleted, "other")
	w.publish("shop", event.TypeRunCompleted, "after")
	assert.Equal(t, []string{"after 3"}, w.ids(news, 1))
	assert.Equal(t, []string{"before 1", "other 2", "after 3"}, w.ids(all, 3))
	w.stop()
	assert.Empty(t, w.ids(news, 0))
	assert.Empty(t, w.ids(all, 0))
}

// One reader takes no more than half of the seats, and gives them back.
func TestOneReaderLeavesRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	follow := func(user string) (answer, context.CancelFunc) {
		ctx, leave := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/lifecycle/shop?follow=true", nil)
		require.NoError(t, err)
		request.Header.Set("X-User", user)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		t.Cleanup(func() { leave(); _ = response.Body.Close() })
		return answer{response.StatusCode, response.Header, response.Body}, leave
	}
	var leave context.CancelFunc
	for range 32 {
		var got answer
		got, leave = follow("")
		require.Equal(t, http.StatusOK, got.code)
	}
	refused, _ := follow("")
	assert.Equal(t, http.StatusTooManyRequests, refused.code)
	assert.NotEmpty(t, refused.header.Get("Retry-After"))
	other, _ := follow("ann")
	assert.Equal(t, http.StatusOK, other.code)
	leave()
	require.Eventually(t, func() bool { got, _ := follow(""); return got.code == http.StatusOK }, 3*time.Minute, 10*time.Millisecond)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "shop", "mail")
	w.publish("shop", event.TypeRunCompleted, "one")
	w.publish("else", event.TypeRunCompleted, "two")
	assert.Equal(t, []string{"one 1"}, w.ids(w.get("/lifecycle", ""), 0), "all that are served here")
	assert.Equal(t, []string{"one 1"}, w.ids(w.get("/lifecycle/shop", "ann"), 0))
	for _, tt := range []struct {
		path, user, want string
		code             int
	}{
		{"/lifecycle", "ann", "may not watch actionsets.cr.kanister.io of all namespaces", 403},
		{"/lifecycle/mail", "ann", "in namespace mail", 403},
		{"/lifecycle/shop", "eve", "in namespace shop", 403},
		{"/lifecycle/shop", "bob", "could not be found out now", 503},
		{"/lifecycle/else", "", `"else" is not a namespace that is served here`, 404},
		{"/lifecycle?folow=true", "", "folow is not known here", 400},
		{"/lifecycle?follow=maybe", "", "neither true nor false", 400},
		{"/lifecycle?since=yesterday", "", "neither a length of time", 400},
		{"/lifecycle?since=1h&since=2h", "", "since is given 2 times", 400},
		{"/lifecycle?after=-1", "", "is not the number of an event", 400},
		{"/lifecycle?type=run.begun", "", `nothing begins with "io.salvor.run.begun"`, 400},
	} {
		response := w.get(tt.path, tt.user)
		assert.Equal(t, tt.code, response.code, tt.path)
		var problem struct {
			Error  string `json:"error"`
			Reason string `json:"reason"`
		}
		require.NoError(t, json.NewDecoder(response.body).Decode(&problem), tt.path)
		assert.Contains(t, problem.Error, tt.want)
		assert.NotEmpty(t, problem.Reason)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/lifecycle", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
	assert.Equal(t, "GET", response.Header.Get("Allow"))
}
