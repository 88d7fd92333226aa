package ingress

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clocktesting "k8s.io/utils/clock/testing"
)

// One sender's flood is refused with the time to come again; another's events pass.
func TestRate(t *testing.T) {
	fake := clocktesting.NewFakeClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	e := newEndpoint(t, func(c *Config) { c.Clock, c.Options.Rate, c.Options.Burst = fake, 0.5, 3 })
	one := func(id int) (int, http.Header) {
		code, header, _ := e.post("/events", map[string]string{"Ce-Specversion": "1.0", "Ce-Id": fmt.Sprint(id), "Ce-Source": "/a", "Ce-Type": "t"}, "")
		return code, header
	}
	for i := range 3 {
		code, _ := one(i)
		require.Equal(t, http.StatusAccepted, code)
	}
	code, header := one(4)
	assert.Equal(t, http.StatusTooManyRequests, code)
	assert.Equal(t, "2", header.Get("Retry-After"))
	assert.InDelta(t, 1, testutil.ToFloat64(e.metrics.refused.WithLabelValues(reasonRate)), 0)
	assert.Nil(t, e.server.limits.take("another", 1))
	fake.Step(2 * time.Second)
	code, _ = one(5)
	assert.Equal(t, http.StatusAccepted, code)
	// A batch counts as its events, of which not one is stored when it is refused.
	fake.Step(4 * time.Second)
	const batch = `[{"specversion":"1.0","id":"b1","source":"/a","type":"t"},{"specversion":"1.0","id":"b2","source":"/a","type":"t"},{"specversion":"1.0","id":"b3","source":"/a","type":"t"}]`
	stored := len(e.stored())
	code, _, body := e.post("/events", map[string]string{"Content-Type": "application/cloudevents-batch+json"}, batch)
	assert.Equal(t, http.StatusTooManyRequests, code, body)
	assert.Len(t, e.stored(), stored)
	fake.Step(time.Minute)
	code, _, body = e.post("/events", map[string]string{"Content-Type": "application/cloudevents-batch+json"}, batch)
	assert.Equal(t, http.StatusAccepted, code, body)
	// One with more events than the burst takes all of it: otherwise it never could pass.
	fake.Step(time.Minute)
	const large = `[{"specversion":"1.0","id":"c1","source":"/a","type":"t"},{"specversion":"1.0","id":"c2","source":"/a","type":"t"},` +
		`{"specversion":"1.0","id":"c3","source":"/a","type":"t"},{"specversion":"1.0","id":"c4","source":"/a","type":"t"}]`
	code, _, body = e.post("/events", map[string]string{"Content-Type": "application/cloudevents-batch+json"}, large)
	assert.Equal(t, http.StatusAccepted, code, body)
	code, _ = one(6)
	assert.Equal(t, http.StatusTooManyRequests, code)
	// Who comes again when it was told to is let in.
	fake.Step(4 * time.Second)
	code, header, _ = e.post("/events", map[string]string{"Content-Type": "application/cloudevents-batch+json"}, batch)
	require.Equal(t, http.StatusTooManyRequests, code)
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	require.NoError(t, err)
	fake.Step(time.Duration(seconds) * time.Second)
	code, _, body = e.post("/events", map[string]string{"Content-Type": "application/cloudevents-batch+json"}, batch)
	assert.Equal(t, http.StatusAccepted, code, body)
}

// Whoever has a million addresses takes no more memory than the limit allows.
func TestRateKeepsFewSenders(t *testing.T) {
	fake := clocktesting.NewFakeClock(time.Unix(0, 0))
	l := newLimits(1, 1, fake)
	for i := range 3 * sendersKept {
		assert.Nil(t, l.take(fmt.Sprintf("ip:10.%d.%d.%d", i>>16, i>>8&0xff, i&0xff), 1))
	}
	assert.LessOrEqual(t, len(l.senders.Keys()), sendersKept)
	assert.Nil(t, newLimits(0, 0, fake).take("x", 1000), "0 is no limit")
	assert.Nil(t, l.take("y", 1000), "more than the burst counts as the burst")
}

func TestRemote(t *testing.T) {
	for address, want := range map[string]string{
		"10.1.2.3:4711": "ip:10.1.2.3", "[::ffff:10.1.2.3]:1": "ip:10.1.2.3",
		"[2001:db8:1:2:3:4:5:6]:1": "ip:2001:db8:1:2::/64", "[fe80::1%eth0]:1": "ip:fe80::/64", "odd": "ip:odd",
	} {
		assert.Equal(t, want, remote(&http.Request{RemoteAddr: address}))
	}
}

// The handshake of webhooks: what is allowed is said, what is not is refused, and
// nothing is called back.
func TestHandshake(t *testing.T) {
	e := newEndpoint(t, func(c *Config) {
		c.Options.Rate, c.Options.WebhookOrigins = 10, []string{"events.example.com", "other.example.com"}
		c.Auth = []Authenticator{&TokenFile{path: "/none"}} // who asks need not show who it is
	})
	ask := func(header map[string]string) (int, http.Header) {
		code, answer, _ := e.send(http.MethodOptions, "/events/shop", header, "")
		return code, answer
	}
	for rate, want := range map[string]string{"": "600", "*": "600", "120": "120", "9999": "600"} {
		header := map[string]string{"WebHook-Request-Origin": "Events.example.com", "WebHook-Request-Callback": "http://127.0.0.1:1/never"}
		if rate != "" {
			header["WebHook-Request-Rate"] = rate
		}
		code, answer := ask(header)
		assert.Equal(t, http.StatusOK, code)
		assert.Equal(t, "Events.example.com", answer.Get("WebHook-Allowed-Origin"))
		assert.Equal(t, want, answer.Get("WebHook-Allowed-Rate"), rate)
		assert.Equal(t, "OPTIONS, POST", answer.Get("Allow"))
	}
	code, answer := ask(map[string]string{"WebHook-Request-Origin": "evil.example.com"})
	assert.Equal(t, http.StatusForbidden, code)
	assert.Empty(t, answer.Get("WebHook-Allowed-Origin"))
	assert.InDelta(t, 1, testutil.ToFloat64(e.metrics.refused.WithLabelValues(reasonOrigin)), 0)
	for _, rate := range []string{"0", "-1", "many"} {
		code, _ = ask(map[string]string{"WebHook-Request-Origin": "events.example.com", "WebHook-Request-Rate": rate})
		assert.Equal(t, http.StatusBadRequest, code, rate)
	}
	code, answer = ask(nil)
	assert.Equal(t, http.StatusNoContent, code)
	assert.Equal(t, "OPTIONS, POST", answer.Get("Allow"))
	code, _, _ = e.send(http.MethodOptions, "/events/foreign", nil, "")
	assert.Equal(t, http.StatusNotFound, code)
	free := newEndpoint(t, func(c *Config) { c.Options.Rate = 0 })
	_, answer, _ = free.send(http.MethodOptions, "/events", map[string]string{"WebHook-Request-Origin": "any", "WebHook-Request-Rate": "7"}, "")
	assert.Equal(t, []string{"any", "7"}, []string{answer.Get("WebHook-Allowed-Origin"), answer.Get("WebHook-Allowed-Rate")})
	_, answer, _ = free.send(http.MethodOptions, "/events", map[string]string{"WebHook-Request-Origin": "any"}, "")
	assert.Equal(t, "*", answer.Get("WebHook-Allowed-Rate"))
}
