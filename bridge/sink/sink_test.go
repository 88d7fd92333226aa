package sink_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/bridge/sink"
	"github.com/salvor-io/salvor/internal/fixture/outtest"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

const patience = 3 * time.Minute

// endpoint is a real HTTP server that answers as it is told to and keeps what it got.
type endpoint struct {
	*httptest.Server

	mu     sync.Mutex
	events []cloudevents.Event
	heads  []http.Header
	answer func(n int, w http.ResponseWriter, r *http.Request)
}

// newEndpoint answers each request with answer, which is told how many came before;
// nil takes all.
func newEndpoint(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *endpoint {
	t.Helper()
	e := &endpoint{answer: answer}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := cehttp.NewEventFromHTTPRequest(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
			return
		}
		e.mu.Lock()
		n := len(e.events)
		e.events = append(e.events, *got)
		e.heads = append(e.heads, r.Header.Clone())
		e.mu.Unlock()
		if e.answer != nil {
			e.answer(n, w, r)
		}
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) got() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	ids := []string{}
	for i := range e.events {
		ids = append(ids, e.events[i].ID())
	}
	return ids
}

type world struct {
	t       *testing.T
	js      jetstream.JetStream
	options sink.Options
	clock   clock.WithTicker
	metrics *prometheus.Registry
	stop    func()
	// last is the place of the last event on the stream.
	last uint64
	log  outtest.Buffer
}

func newWorld(t *testing.T, urls ...string) *world {
	t.Helper()
	w := &world{t: t, js: natstest.Start(t), options: sink.DefaultOptions(), clock: clock.RealClock{}}
	w.options.URLs = urls
	return w
}

// start runs the sinks and returns once their consumers are there.
func (w *world) start() *world {
	w.t.Helper()
	w.metrics = prometheus.NewRegistry()
	sinks, err := sink.New(sink.Config{
		Events: stream.NewEvents(w.js), Letters: stream.NewDeadLetters(w.js), Clock: w.clock,
		Log: zerolog.New(io.MultiWriter(zerolog.NewTestWriter(w.t), &w.log)), Options: w.options, Metrics: sink.NewMetrics(w.metrics),
	})
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- sinks.Run(ctx) }()
	var once sync.Once
	w.stop = func() { once.Do(func() { cancel(); assert.NoError(w.t, <-done) }) }
	w.t.Cleanup(w.stop)
	require.Eventually(w.t, func() bool {
		s, err := w.js.Stream(w.t.Context(), event.StreamEvents)
		return err == nil && s.CachedInfo().State.Consumers >= len(w.options.URLs)
	}, patience, 10*time.Millisecond)
	return w
}

func (w *world) publish(run, id string) {
	w.t.Helper()
	e, err := event.NewLifecycleEvent(event.TypePhaseComplete, id, time.Now(), "", &event.Lifecycle{
		UID: run, Namespace: "shop", ActionSet: run, State: event.StateComplete, Action: "sauvegarde d'été",
	})
	require.NoError(w.t, err)
	_, err = stream.NewEvents(w.js).Publish(w.t.Context(), "shop", e)
	require.NoError(w.t, err)
	w.last, err = stream.NewEvents(w.js).Last(w.t.Context())
	require.NoError(w.t, err)
}

func (w *world) eventually(what string, f func() bool) {
	w.t.Helper()
	require.Eventually(w.t, f, patience, 10*time.Millisecond, what)
}

func (w *world) letters() []stream.StoredLetter {
	w.t.Helper()
	letters, err := stream.NewDeadLetters(w.js).List(w.t.Context())
	require.NoError(w.t, err)
	return letters
}

// settled waits until every event is acknowledged.
func (w *world) settled() {
	w.t.Helper()
	w.eventually("events are left", func() bool {
		s, err := w.js.Stream(w.t.Context(), event.StreamEvents)
		require.NoError(w.t, err)
		for info := range s.ListConsumers(w.t.Context()).Info() {
			// What was published a moment ago may not be counted as pending yet.
			if info.NumPending > 0 || info.NumAckPending > 0 || info.Delivered.Stream < w.last {
				return false
			}
		}
		return true
	})
}

func TestAnEventIsDelivered(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, nil)
	w := newWorld(t, e.URL+"/in?token=canary")
	w.options.Overrides = `{"extensions":{"tenant":"blau grün"}}`
	w.start()
	foreign := cloudevents.NewEvent()
	foreign.SetID("foreign")
	foreign.SetSource("/shop")
	foreign.SetType(event.TypeRunCompleted)
	_, err := stream.NewEvents(w.js).Publish(t.Context(), "shop", foreign)
	require.NoError(t, err)
	w.publish("r1", "one")
	w.eventually("the event does not arrive", func() bool { return len(e.got()) > 0 })
	w.settled()
	require.Equal(t, []string{"one"}, e.got(), "only our own events go out")
	head := e.heads[0]
	assert.Equal(t, event.TypePhaseComplete, head.Get("Ce-Type"))
	assert.Equal(t, "application/json", head.Get("Content-Type"))
	assert.Equal(t, "blau%20gr%C3%BCn", head.Get("Ce-Tenant"), "as the HTTP protocol binding wants it")
	assert.Equal(t, "sauvegarde%20d'%C3%A9t%C3%A9", head.Get("Ce-Salvoraction"))
	var l event.Lifecycle
	require.NoError(t, e.events[0].DataAs(&l))
	assert.Equal(t, "r1", l.UID)
}

// A sink that fails for a while gets everything, the events of a run in their order,
// and a run that it has trouble with holds up no other.
// A host is sent the token that its file holds at the time, and no other host's; while
// that cannot be read nothing is sent without it.
func TestTheTokenOfAHost(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, nil)
	w := newWorld(t, e.URL)
	w.options.Tokens = t.TempDir()
	file := filepath.Join(w.options.Tokens, "127.0.0.1")
	put := func(path, text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	put(filepath.Join(w.options.Tokens, "localhost"), "of another")
	w.start()
	w.publish("r1", "1")
	w.eventually("delivered", func() bool { return len(e.got()) == 1 })
	put(file, "canary\n")
	w.publish("r1", "2")
	w.eventually("delivered", func() bool { return len(e.got()) == 2 })
	put(file, "\n")
	w.publish("r1", "3")
	w.eventually("tried", func() bool { return strings.Contains(w.log.String(), "holds no bearer token") })
	assert.Len(t, e.got(), 2)
	put(file, "renewed")
	w.eventually("delivered", func() bool { return len(e.got()) == 3 })
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, want := range []string{"", "Bearer canary", "Bearer renewed"} {
		assert.Equal(t, want, e.heads[i].Get("Authorization"))
	}
	assert.NotContains(t, w.log.String(), "canary")
}

// A token that has run out costs no event: it is renewed meanwhile.
func TestATokenIsRenewed(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer fresh" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	w := newWorld(t, e.URL)
	w.options.Tokens = t.TempDir()
	file := filepath.Join(w.options.Tokens, "127.0.0.1")
	require.NoError(t, os.WriteFile(file, []byte("stale"), 0o600))
	w.start()
	w.publish("r1", "1")
	w.eventually("refused", func() bool { return strings.Contains(w.log.String(), "401 Unauthorized") })
	require.NoError(t, os.WriteFile(file, []byte("fresh"), 0o600))
	w.eventually("delivered", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return len(e.heads) > 0 && e.heads[len(e.heads)-1].Get("Authorization") == "Bearer fresh"
	})
	assert.Empty(t, w.letters())
}

func TestOrderWithinARun(t *testing.T) {
	t.Parallel()
	var broken sync.Map
	broken.Store("a1", true)
	e := newEndpoint(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if _, fails := broken.Load(r.Header.Get("Ce-Id")); fails {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	w := newWorld(t, e.URL).start()
	for i := 1; i <= 3; i++ {
		w.publish("a", fmt.Sprintf("a%d", i))
		w.publish("b", fmt.Sprintf("b%d", i))
	}
	w.eventually("the other run waits", func() bool { return count(e.got(), "b3") == 1 })
	assert.Zero(t, count(e.got(), "a2"), "the first of its run is not delivered yet")
	broken.Delete("a1")
	w.settled()
	var order []string
	for _, id := range e.got() {
		if id[0] == 'a' && (len(order) == 0 || order[len(order)-1] != id) {
			order = append(order, id)
		}
	}
	assert.Equal(t, []string{"a1", "a2", "a3"}, order)
	assert.Empty(t, w.letters())
}

func count(ids []string, id string) int {
	n := 0
	for _, one := range ids {
		if one == id {
			n++
		}
	}
	return n
}

// What will be refused again, or goes elsewhere, is set aside at once; another sink
// gets it all the same, and no address is told.
func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	elsewhere := newEndpoint(t, nil)
	refuses := newEndpoint(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	redirects := newEndpoint(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+"/canary", http.StatusTemporaryRedirect)
	})
	takes := newEndpoint(t, nil)
	w := newWorld(t, refuses.URL+"/canary", redirects.URL, takes.URL).start()
	w.publish("r1", "one")
	w.settled()
	assert.Equal(t, []string{"one"}, refuses.got())
	assert.Equal(t, []string{"one"}, redirects.got())
	assert.Equal(t, []string{"one"}, takes.got())
	assert.Empty(t, elsewhere.got())
	letters := w.letters()
	require.Len(t, letters, 2, "one for each sink")
	for _, letter := range letters {
		assert.Equal(t, "shop", letter.Key.Namespace)
		assert.Equal(t, "r1", letter.Key.UID)
		assert.Contains(t, string(letter.Message), `"id":"one"`)
		assert.NotContains(t, letter.Reason+letter.Sink, "canary")
		assert.Regexp(t, `it answered (403 Forbidden|307 Temporary Redirect; redirects are not followed)`, letter.Reason)
	}
}

// Nobody listens at the address: the attempts run out. A second sink has nothing to
// do with that.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(nil)
	gone.Close()
	takes := newEndpoint(t, nil)
	w := newWorld(t, gone.URL+"/canary", takes.URL)
	w.options.Attempts = 2
	w.start()
	w.publish("r1", "one")
	w.eventually("the good sink waits for the dead one", func() bool { return len(takes.got()) == 1 })
	w.settled()
	letters := w.letters()
	require.Len(t, letters, 1)
	assert.Contains(t, letters[0].Reason, "attempt 2, the last")
	assert.Contains(t, letters[0].Reason, "connection refused")
	assert.NotContains(t, letters[0].Reason, "canary")
}

// A sink that never answers costs its time limit and nobody else anything.
func TestASinkThatHangs(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	hangs := newEndpoint(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	takes := newEndpoint(t, nil)
	w := newWorld(t, hangs.URL, takes.URL)
	w.options.Timeout = 500 * time.Millisecond
	w.start()
	for i := range 20 {
		w.publish(fmt.Sprintf("r%d", i), fmt.Sprintf("e%d", i))
	}
	w.eventually("the good sink waits for the slow one", func() bool { // which may have to be sent one again
		got := takes.got()
		slices.Sort(got)
		return len(slices.Compact(got)) == 20
	})
	w.eventually("it is tried again", func() bool { return len(hangs.got()) > 20 })
	close(release)
	w.settled()
	assert.Empty(t, w.letters())
}

// Retry-After is waited for, by all events of the sink.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 0 {
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	w := newWorld(t, e.URL)
	fake := clocktesting.NewFakeClock(time.Now())
	w.clock = fake
	w.start()
	w.publish("r1", "one")
	// The ticker for signs of life, and the pause after the first attempt.
	w.eventually("the first attempt", func() bool { return len(e.got()) == 1 && fake.Waiters() == 2 })
	w.publish("r2", "two")
	w.eventually("the other event waits as well", func() bool { return fake.Waiters() == 3 })
	fake.Step(2 * time.Second) // the backoff alone is over
	w.eventually("it waits for the rest", func() bool { return fake.Waiters() == 3 })
	assert.Len(t, e.got(), 1)
	fake.Step(2 * time.Minute)
	w.eventually("both are delivered", func() bool { return len(e.got()) == 3 })
}

// An event that is older than the limit is not tried again.
func TestTooOld(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	w := newWorld(t, e.URL)
	fake := clocktesting.NewFakeClock(time.Now())
	w.clock = fake
	w.start()
	w.publish("r1", "one")
	w.eventually("the first attempt", func() bool { return len(e.got()) == 1 && fake.Waiters() == 2 })
	fake.Step(25 * time.Hour)
	w.settled()
	assert.Len(t, e.got(), 2)
	require.Len(t, w.letters(), 1)
	assert.Contains(t, w.letters()[0].Reason, "(--sink-max-age)")
}

// What was not delivered when the bridge ended is delivered by the next one, and so
// is what happened in between.
func TestRestart(t *testing.T) {
	t.Parallel()
	var up sync.Map
	e := newEndpoint(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		if _, ok := up.Load("up"); !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	w := newWorld(t, e.URL).start()
	w.publish("r1", "one")
	w.publish("r1", "two")
	w.eventually("an attempt", func() bool { return len(e.got()) > 0 })
	w.stop()
	w.publish("r2", "three")
	up.Store("up", true)
	before := len(e.got())
	w.start()
	w.settled()
	got := e.got()[before:]
	slices.Sort(got) // an attempt of before may have come after
	assert.Equal(t, []string{"one", "three", "two"}, slices.Compact(got))
	assert.Empty(t, w.letters())
}

// What is in hand at the end is sent by the next process in the order in which it
// happened.
func TestOrderAfterARestart(t *testing.T) {
	var away atomic.Bool
	away.Store(true)
	e := newEndpoint(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		if away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	w := newWorld(t, e.URL).start()
	want := []string{}
	for i := range 40 {
		want = append(want, fmt.Sprint(i))
		w.publish("a", fmt.Sprint(i))
	}
	w.eventually("all are in hand", func() bool {
		families, err := w.metrics.Gather()
		require.NoError(t, err)
		for _, family := range families {
			if family.GetName() == "salvor_bridge_sink_in_hand" {
				return int(family.GetMetric()[0].GetGauge().GetValue()) == len(want)
			}
		}
		return false
	})
	w.stop()
	before := len(e.got())
	away.Store(false)
	w.start()
	w.settled()
	assert.Equal(t, want, slices.Compact(e.got()[before:])) // an attempt of before may have come after
}
