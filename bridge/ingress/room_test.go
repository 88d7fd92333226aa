package ingress

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// However many requests come and however slowly, their bodies take no more memory than
// there is for them; who is too much is told to come again.
func TestSlowBodiesAreBounded(t *testing.T) {
	e := newEndpoint(t, nil)
	const body = `{"specversion":"1.0","id":"1","source":"/a","type":"t"}`
	e.server.room = newRoom(0, int64(len(body)))
	slow, rest := io.Pipe()
	answered := make(chan int, 1)
	go func() {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.url+"/events", slow)
		assert.NoError(t, err)
		request.ContentLength = int64(len(body))
		request.Header.Set("Content-Type", "application/cloudevents+json")
		response, err := http.DefaultClient.Do(request)
		if assert.NoError(t, err) {
			assert.NoError(t, response.Body.Close())
			answered <- response.StatusCode
		}
	}()
	_, err := rest.Write([]byte(body[:10]))
	require.NoError(t, err)
	structured := map[string]string{"Content-Type": "application/cloudevents+json"}
	other := strings.Replace(body, `"1"`, `"2"`, 1)
	require.Eventually(t, func() bool {
		code, header, answer := e.post("/events", structured, other)
		return code == http.StatusTooManyRequests && header.Get("Retry-After") != "" && strings.Contains(answer, `"reason":"full"`)
	}, 3*time.Minute, time.Millisecond)
	assert.Positive(t, testutil.ToFloat64(e.metrics.refused.WithLabelValues(reasonFull)))
	_, err = rest.Write([]byte(body[10:]))
	require.NoError(t, err)
	require.NoError(t, rest.Close())
	assert.Equal(t, http.StatusAccepted, <-answered)
	code, _, answer := e.post("/events", structured, other)
	assert.Equal(t, http.StatusAccepted, code, answer)
	require.Eventually(t, func() bool {
		e.server.room.mu.Lock()
		defer e.server.room.mu.Unlock()
		return len(e.server.room.held) == 0 && e.server.room.left == int64(len(body))
	}, 3*time.Minute, time.Millisecond, "all is given back")
}

// A body that comes too slowly is not what is wrong with it: it may be sent again.
func TestABodyThatDoesNotCome(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, nil)
	hurried := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, http.NewResponseController(w).SetReadDeadline(time.Now().Add(10*time.Millisecond)))
		e.server.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(hurried.Close)
	never, rest := io.Pipe()
	defer func() { assert.NoError(t, rest.Close()) }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, hurried.URL+"/events", never)
	require.NoError(t, err)
	request.ContentLength = 100
	request.Header.Set("Content-Type", "application/cloudevents+json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { assert.NoError(t, response.Body.Close()) }()
	assert.Equal(t, http.StatusRequestTimeout, response.StatusCode)
	assert.NotEmpty(t, response.Header.Get("Retry-After"))
	assert.InDelta(t, 1, testutil.ToFloat64(e.metrics.refused.WithLabelValues(reasonTimeout)), 0)
}

// What says that it is too large is refused before it is sent, and takes no room.
func TestTooLargeIsKnownBefore(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, nil)
	e.server.room = newRoom(0, 1)
	never, rest := io.Pipe()
	defer func() { assert.NoError(t, rest.Close()) }()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url+"/events", never)
	require.NoError(t, err)
	request.ContentLength = 1 << 20 // more than net/http reads before it answers
	request.Header.Set("Content-Type", "application/cloudevents+json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { assert.NoError(t, response.Body.Close()) }()
	assert.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
}

// One sender leaves room for others, and has some at any rate.
func TestRoom(t *testing.T) {
	r := newRoom(100, 10)
	assert.True(t, r.take("a", 25))
	assert.False(t, r.take("a", 1))
	for _, who := range []string{"b", "c", "d"} {
		assert.True(t, r.take(who, 25))
	}
	assert.False(t, r.take("e", 1))
	r.give("a", 5)
	assert.True(t, r.take("e", 5))
	assert.True(t, newRoom(4, 10).take("a", 10))
}
