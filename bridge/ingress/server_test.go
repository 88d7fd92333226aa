package ingress

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	ceclient "github.com/cloudevents/sdk-go/v2/client"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

const maxBytes = 4 << 10

// endpoint is a server on a real stream.
type endpoint struct {
	t       *testing.T
	js      jetstream.JetStream
	url     string
	metrics *Metrics
	server  *Server
}

func newEndpoint(t *testing.T, change func(c *Config)) *endpoint {
	t.Helper()
	e := &endpoint{t: t, js: natstest.Start(t), metrics: NewMetrics(prometheus.NewRegistry())}
	config := Config{
		MaxBytes: maxBytes, Store: stream.NewEvents(e.js), Log: zerolog.Nop(), Metrics: e.metrics, Clock: clock.RealClock{}, Options: DefaultOptions(),
		Serves: func(namespace string) bool { return namespace != "foreign" },
	}
	if change != nil {
		change(&config)
	}
	e.server = New(config)
	server := httptest.NewServer(e.server.Handler())
	t.Cleanup(server.Close)
	e.url = server.URL
	return e
}

// stored are the messages on EVENTS.
func (e *endpoint) stored() []*jetstream.RawStreamMsg {
	e.t.Helper()
	s, err := e.js.Stream(e.t.Context(), event.StreamEvents)
	require.NoError(e.t, err)
	info, err := s.Info(e.t.Context())
	require.NoError(e.t, err)
	var out []*jetstream.RawStreamMsg
	for sequence := uint64(1); sequence <= info.State.LastSeq; sequence++ {
		msg, err := s.GetMsg(e.t.Context(), sequence)
		require.NoError(e.t, err)
		out = append(out, msg)
	}
	return out
}

// post sends a raw request and returns the code, the header and the body.
func (e *endpoint) post(path string, header map[string]string, body string) (int, http.Header, string) {
	e.t.Helper()
	return e.send(http.MethodPost, path, header, body)
}

func (e *endpoint) send(method, path string, header map[string]string, body string) (int, http.Header, string) {
	e.t.Helper()
	request, err := http.NewRequestWithContext(e.t.Context(), method, e.url+path, strings.NewReader(body))
	require.NoError(e.t, err)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(e.t, err)
	defer func() { require.NoError(e.t, response.Body.Close()) }()
	got, err := io.ReadAll(response.Body)
	require.NoError(e.t, err)
	return response.StatusCode, response.Header, string(got)
}

func sample(id string) cloudevents.Event {
	e := cloudevents.NewEvent()
	e.SetID(id)
	e.SetSource("/shop/checkout")
	e.SetType("com.example.saved")
	e.SetSubject("orders")
	e.SetTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	e.SetExtension("tenant", "a")
	e.SetExtension("flag", true)
	e.SetExtension("count", 7)
	if err := e.SetData(cloudevents.ApplicationJSON, map[string]string{"k": "v"}); err != nil {
		panic(err)
	}
	return e
}

// The real client sends in all modes, and what arrives is what was sent.
func TestSDKClient(t *testing.T) {
	for name, mode := range map[string]func(context.Context) context.Context{
		"binary": cloudevents.WithEncodingBinary, "structured": cloudevents.WithEncodingStructured,
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			client, err := ceclient.NewHTTP(cehttp.WithTarget(e.url + "/events/shop"))
			require.NoError(t, err)
			sent := sample("1")
			result := client.Send(mode(t.Context()), sent)
			require.True(t, cloudevents.IsACK(result), "%v", result)
			stored := e.stored()
			require.Len(t, stored, 1)
			assert.Equal(t, "salvor.events.shop.com.example.saved", stored[0].Subject)
			got, err := stream.Decode(stored[0].Header, stored[0].Data)
			require.NoError(t, err)
			assert.Equal(t, sent.ID(), got.ID())
			assert.Equal(t, sent.Source(), got.Source())
			assert.Equal(t, sent.Subject(), got.Subject())
			assert.Equal(t, sent.Time(), got.Time())
			assert.Equal(t, sent.DataContentType(), got.DataContentType())
			assert.JSONEq(t, `{"k":"v"}`, string(got.Data()))
			assert.Equal(t, map[string]any{"tenant": "a", "flag": "true", "count": "7"}, got.Extensions())
		})
	}
}

func TestSDKBatch(t *testing.T) {
	e := newEndpoint(t, nil)
	request, err := cehttp.NewHTTPRequestFromEvents(t.Context(), e.url+"/events", []cloudevents.Event{sample("1"), sample("2"), sample("1")})
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Equal(t, http.StatusAccepted, response.StatusCode)
	assert.JSONEq(t, `{"accepted":3,"duplicates":1}`, string(body))
	assert.Len(t, e.stored(), 2)
	assert.Equal(t, "salvor.events._.com.example.saved", e.stored()[0].Subject)
}

func TestTheSameEventAgainIsADuplicate(t *testing.T) {
	e := newEndpoint(t, nil)
	header := map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/a", "Ce-Type": "t"}
	for i, want := range []string{`{"accepted":1,"duplicates":0}`, `{"accepted":1,"duplicates":1}`} {
		code, _, body := e.post("/events", header, "")
		assert.Equal(t, http.StatusAccepted, code, i)
		assert.JSONEq(t, want, body)
	}
	// Another namespace is another event.
	_, _, body := e.post("/events/shop", header, "")
	assert.JSONEq(t, `{"accepted":1,"duplicates":0}`, body)
	assert.InDelta(t, 2, testutil.ToFloat64(e.metrics.events.WithLabelValues("new")), 0)
	assert.InDelta(t, 1, testutil.ToFloat64(e.metrics.events.WithLabelValues("duplicate")), 0)
}

// No header that NATS gives a meaning to gets through, in any mode.
func TestNATSHeadersNeverPass(t *testing.T) {
	e := newEndpoint(t, nil)
	code, _, body := e.post("/events", map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/a", "Ce-Type": "t",
		"Nats-Rollup": "all", "Nats-Msg-Id": "x", "Nats-Schedule": "@every 1s", "Nats-Expected-Last-Sequence": "99",
	}, "")
	require.Equal(t, http.StatusAccepted, code, body)
	code, _, body = e.post("/events", map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": "2", "Ce-Source": "/a", "Ce-Type": "t", "Ce-Ext": "x%0D%0ANats-Rollup: all",
	}, "")
	assert.Equal(t, http.StatusBadRequest, code)
	assert.Contains(t, body, `"attribute":"ext"`)
	stored := e.stored()
	require.Len(t, stored, 1)
	for name := range stored[0].Header {
		if strings.HasPrefix(strings.ToLower(name), "nats-") {
			assert.Equal(t, "Nats-Msg-Id", name)
			assert.NotEqual(t, "x", stored[0].Header.Get(name), "ours, not the sender's")
		}
	}
}

// Every malformed request is refused with 400 and the name of what is wrong, and
// stores nothing.
func TestMalformed(t *testing.T) {
	e := newEndpoint(t, nil)
	const structured, batch = "application/cloudevents+json", "application/cloudevents-batch+json; charset=utf-8"
	good := `{"specversion":"1.0","id":"1","source":"/a","type":"t"}`
	binary := func(change map[string]string) map[string]string {
		header := map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/a", "Ce-Type": "t"}
		for name, value := range change {
			if value == "" {
				delete(header, name)
			} else {
				header[name] = value
			}
		}
		return header
	}
	json := func(text string) (map[string]string, string) {
		return map[string]string{"Content-Type": structured}, text
	}
	type request struct {
		header    map[string]string
		body      string
		attribute string
		says      string
	}
	cases := map[string]request{
		"nothing":                  {nil, "", "", "not a CloudEvent"},
		"plain JSON":               {map[string]string{"Content-Type": "application/json"}, good, "", "not a CloudEvent"},
		"binary without id":        {binary(map[string]string{"Ce-Id": ""}), "", "id", "missing"},
		"binary without type":      {binary(map[string]string{"Ce-Type": ""}), "", "type", "missing"},
		"binary without source":    {binary(map[string]string{"Ce-Source": ""}), "", "source", "missing"},
		"binary without version":   {binary(map[string]string{"Ce-Specversion": ""}), "", "specversion", "missing"},
		"binary of 0.3":            {binary(map[string]string{"Ce-Specversion": "0.3"}), "", "specversion", "not supported"},
		"binary with bad time":     {binary(map[string]string{"Ce-Time": "yesterday"}), "", "time", "is not a time"},
		"binary with a nameless":   {binary(map[string]string{"Ce-": "x"}), "", "", "no attribute name"},
		"binary with a bad name":   {binary(map[string]string{"Ce-My-Ext": "x"}), "", "my-ext", "no attribute name"},
		"binary with own source":   {binary(map[string]string{"Ce-Source": "/salvor/dispatcher"}), "", "source", "reserved"},
		"a control character":      {binary(map[string]string{"Ce-Subject": "a%00b"}), "", "subject", "control character"},
		"not UTF-8":                {binary(map[string]string{"Ce-Subject": "a%ff"}), "", "subject", "UTF-8"},
		"a type that is too long":  {binary(map[string]string{"Ce-Type": strings.Repeat("t", 600)}), "", "type", "longer than 512"},
		"batch is no array":        {map[string]string{"Content-Type": batch}, good, "", "not a JSON array"},
		"batch with a bad second":  {map[string]string{"Content-Type": batch}, "[" + good + `,{"specversion":"1.0","id":"2","source":"/a"}]`, "type", "event 1 of the batch"},
		"batch with a null second": {map[string]string{"Content-Type": batch}, "[" + good + `,null]`, "", "event 1 of the batch"},
	}
	for name, c := range map[string]struct{ body, attribute, says string }{
		"not JSON":             {"{", "", "not a JSON object"},
		"a list":               {"[]", "", "not a JSON object"},
		"null":                 {"null", "", "not a JSON object"},
		"two values":           {good + good, "", "not a JSON object"},
		"no version":           {`{"id":"1","source":"/a","type":"t"}`, "specversion", "missing"},
		"unknown version":      {`{"specversion":"2.0","id":"1","source":"/a","type":"t"}`, "specversion", "not supported"},
		"old version":          {`{"specversion":"0.3","id":"1","source":"/a","type":"t"}`, "specversion", "not supported"},
		"null id":              {`{"specversion":"1.0","id":null,"source":"/a","type":"t"}`, "id", "missing"},
		"empty id":             {`{"specversion":"1.0","id":"","source":"/a","type":"t"}`, "id", "non-empty"},
		"id is a number":       {`{"specversion":"1.0","id":1,"source":"/a","type":"t"}`, "id", "not a string"},
		"bad time":             {`{"specversion":"1.0","id":"1","source":"/a","type":"t","time":"x"}`, "time", "is not a time"},
		"relative dataschema":  {`{"specversion":"1.0","id":"1","source":"/a","type":"t","dataschema":"a b"}`, "dataschema", "3986"},
		"object extension":     {`{"specversion":"1.0","id":"1","source":"/a","type":"t","ext":{"a":1}}`, "ext", "nothing else may be"},
		"float extension":      {`{"specversion":"1.0","id":"1","source":"/a","type":"t","ext":1.5}`, "ext", "nothing else may be"},
		"upper-case extension": {`{"specversion":"1.0","id":"1","source":"/a","type":"t","Ext":"1"}`, "Ext", "lower-case"},
		"both kinds of data":   {`{"specversion":"1.0","id":"1","source":"/a","type":"t","data":1,"data_base64":"YQ=="}`, "data_base64", "one of them"},
		"base64 is a number":   {`{"specversion":"1.0","id":"1","source":"/a","type":"t","data_base64":5}`, "data_base64", "not a string"},
		"broken base64":        {`{"specversion":"1.0","id":"1","source":"/a","type":"t","data_base64":"%"}`, "data_base64", "is not base64"},
		"white space":          {`{"specversion":"1.0","id":" 1","source":"/a","type":"t"}`, "id", "white space"},
		"bad content type":     {`{"specversion":"1.0","id":"1","source":"/a","type":"t","datacontenttype":"a/b/c"}`, "datacontenttype", "2046"},
	} {
		header, body := json(c.body)
		cases["structured, "+name] = request{header, body, c.attribute, c.says}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			code, header, body := e.post("/events", c.header, c.body)
			assert.Equal(t, http.StatusBadRequest, code, body)
			assert.Equal(t, "application/json", header.Get("Content-Type"))
			assert.Contains(t, body, c.says)
			if c.attribute != "" {
				assert.Contains(t, body, fmt.Sprintf("%q:%q", "attribute", c.attribute))
			}
		})
	}
	assert.Empty(t, e.stored())
	assert.InDelta(t, len(cases), testutil.ToFloat64(e.metrics.refused.WithLabelValues(reasonMalformed)), 0)
}

func TestRefusals(t *testing.T) {
	e := newEndpoint(t, nil)
	good := map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/a", "Ce-Type": "t"}
	t.Run("too large", func(t *testing.T) {
		code, _, body := e.post("/events", good, strings.Repeat("x", maxBytes+1))
		assert.Equal(t, http.StatusRequestEntityTooLarge, code)
		assert.Contains(t, body, "limit of 4096 bytes (--max-event-bytes)")
	})
	t.Run("just fits", func(t *testing.T) {
		code, _, body := e.post("/events", good, strings.Repeat("x", maxBytes))
		assert.Equal(t, http.StatusAccepted, code, body)
	})
	t.Run("method", func(t *testing.T) {
		code, header, body := e.send(http.MethodGet, "/events", nil, "")
		assert.Equal(t, http.StatusMethodNotAllowed, code)
		assert.Equal(t, "OPTIONS, POST", header.Get("Allow"))
		assert.Contains(t, body, "POST CloudEvents")
	})
	t.Run("path", func(t *testing.T) {
		for _, path := range []string{"/", "/healthz", "/events/a/b"} {
			code, _, body := e.post(path, good, "")
			assert.Equal(t, http.StatusNotFound, code, path)
			assert.Contains(t, body, "POST CloudEvents to /events, or to /events/<namespace>", "as a person reads it")
		}
	})
	t.Run("namespace", func(t *testing.T) {
		for _, namespace := range []string{"foreign", "_", "Not", "a.b", "%3E"} {
			code, _, body := e.post("/events/"+namespace, good, "")
			assert.Equal(t, http.StatusNotFound, code, namespace)
			assert.Contains(t, body, "not a namespace that this server serves")
		}
	})
	t.Run("format", func(t *testing.T) {
		code, _, body := e.post("/events", map[string]string{"Content-Type": "application/cloudevents+avro"}, "x")
		assert.Equal(t, http.StatusUnsupportedMediaType, code)
		assert.Contains(t, body, "application/cloudevents+json")
	})
}

func TestToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err := NewTokenFile(path)
	require.ErrorContains(t, err, "is empty")
	require.NoError(t, os.WriteFile(path, []byte("old\nnew\n"), 0o600))
	auth, err := NewTokenFile(path)
	require.NoError(t, err)
	e := newEndpoint(t, func(c *Config) { c.Auth = []Authenticator{auth} })
	code := func(authorization string) int {
		header := map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/a", "Ce-Type": "t"}
		if authorization != "" {
			header["Authorization"] = authorization
		}
		code, answer, _ := e.post("/events", header, "")
		if code == http.StatusUnauthorized {
			assert.Equal(t, "Bearer", answer.Get("WWW-Authenticate"))
		}
		return code
	}
	assert.Equal(t, http.StatusUnauthorized, code(""))
	assert.Equal(t, http.StatusUnauthorized, code("Bearer "))
	assert.Equal(t, http.StatusUnauthorized, code("Bearer ol"))
	assert.Equal(t, http.StatusUnauthorized, code("Basic old"))
	assert.Equal(t, http.StatusAccepted, code("Bearer old"))
	assert.Equal(t, http.StatusAccepted, code("bearer new"))
	require.NoError(t, os.WriteFile(path, []byte("newest"), 0o600))
	assert.Equal(t, http.StatusUnauthorized, code("Bearer old"), "a changed file counts at once")
	assert.Equal(t, http.StatusAccepted, code("Bearer newest"))
	require.NoError(t, os.Remove(path))
	assert.Equal(t, http.StatusServiceUnavailable, code("Bearer newest"))
}

// A full stream refuses; it does not drop.
func TestFull(t *testing.T) {
	e := newEndpoint(t, nil)
	settings := stream.DefaultSettings()
	settings.EventsMaxBytes = 4 << 10
	require.NoError(t, stream.Ensure(t.Context(), e.js, settings))
	var (
		code   int
		answer http.Header
		body   string
		stored int
	)
	for i := range 50 {
		code, answer, body = e.post("/events", map[string]string{"Ce-Specversion": "1.0", "Ce-Id": fmt.Sprint(i), "Ce-Source": "/a", "Ce-Type": "t"}, strings.Repeat("x", 500))
		if code != http.StatusAccepted {
			break
		}
		stored++
	}
	assert.Equal(t, http.StatusTooManyRequests, code, body)
	assert.NotEmpty(t, answer.Get("Retry-After"))
	assert.Len(t, e.stored(), stored, "all that was accepted is there")
}

func TestStreamAway(t *testing.T) {
	e := newEndpoint(t, nil)
	e.js.Conn().Close()
	code, answer, body := e.post("/events", map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/a", "Ce-Type": "t"}, "")
	assert.Equal(t, http.StatusServiceUnavailable, code, body)
	assert.NotEmpty(t, answer.Get("Retry-After"))
	assert.NotContains(t, body, "nats", "what is inside is nobody's business")
}

// Run listens, warns about an open door, and answers what is under way before it
// ends.
func TestRunEndsGracefully(t *testing.T) {
	var log bytes.Buffer
	entered, release := make(chan struct{}), make(chan struct{})
	s := New(Config{
		Listen: "127.0.0.1:0", MaxBytes: maxBytes, Log: zerolog.New(&log), Serves: func(string) bool { return true },
		Store: slow{entered: entered, release: release}, Clock: clock.RealClock{},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	require.Eventually(t, func() bool { return s.Ready() == nil }, 3*time.Minute, time.Millisecond)
	e := &endpoint{t: t, url: "http://" + s.Addr().String()}
	answered := make(chan int, 1)
	go func() {
		code, _, _ := e.post("/events", map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/a", "Ce-Type": "t"}, "")
		answered <- code
	}()
	<-entered
	cancel()
	close(release)
	assert.Equal(t, http.StatusAccepted, <-answered)
	require.NoError(t, <-ended)
	require.Error(t, s.Ready())
	assert.Equal(t, 1, strings.Count(log.String(), "--ingress-token-file"), log.String())
}

// slow is a store that answers when it is told to; a real stream cannot be made
// to hold an answer.
type slow struct{ entered, release chan struct{} }

func (s slow) PublishFrom(context.Context, string, cloudevents.Event, *event.Sender) (bool, error) {
	close(s.entered)
	<-s.release
	return false, nil
}

// FuzzDecode: whatever arrives, decode neither panics nor lets through an event
// that the stream cannot carry unchanged.
func FuzzDecode(f *testing.F) {
	f.Add("application/cloudevents+json", "", "", "", []byte(`{"specversion":"1.0","id":"1","source":"/a","type":"t","data":{"a":1},"x":true}`))
	f.Add("application/cloudevents-batch+json", "", "", "", []byte(`[{"specversion":"1.0","id":"1","source":"/a","type":"t","data_base64":"YQ=="}]`))
	f.Add("application/json", "1", "/a", "x%0d", []byte(`{}`))
	f.Add("text/plain; charset=utf-8", "%41", "/a b", "größe", []byte("data"))
	f.Add("application/cloudevents+json", "", "", "", []byte(`{"data_base64":5,"specversion":"1.0","id":"1","source":"/a","type":"t"}`))
	f.Fuzz(func(t *testing.T, contentType, id, source, extension string, body []byte) {
		header := http.Header{"Content-Type": {contentType}}
		for name, value := range map[string]string{"Ce-Id": id, "Ce-Source": source, "Ce-Ext": extension} {
			if value != "" {
				header[name] = []string{value}
			}
		}
		if id != "" {
			header["Ce-Specversion"], header["Ce-Type"] = []string{"1.0"}, []string{"t"}
		}
		events, err := Decode(t.Context(), header, body)
		if err != nil {
			assert.Empty(t, events)
			return
		}
		for i := range events {
			msg, err := stream.Encode(event.EventSubject("", events[i].Type()), events[i])
			require.NoError(t, err)
			back, err := stream.Decode(msg.Header, msg.Data)
			require.NoError(t, err)
			assert.Equal(t, events[i].ID(), back.ID())
			assert.Equal(t, events[i].Source(), back.Source())
			assert.Equal(t, events[i].Type(), back.Type())
			assert.Equal(t, string(events[i].Data()), string(back.Data()))
			assert.Len(t, back.Extensions(), len(events[i].Extensions()))
		}
	})
}
