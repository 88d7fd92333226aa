package natsource

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/bridge/ingress"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

const (
	patience = 3 * time.Minute
	tick     = 5 * time.Millisecond
)

// source is one on a real server.
type source struct {
	t        *testing.T
	js       jetstream.JetStream
	registry *prometheus.Registry
	stop     func()
}

func start(t *testing.T, js jetstream.JetStream, change func(*Config)) *source {
	t.Helper()
	s := &source{t: t, js: js, registry: prometheus.NewRegistry()}
	config := Config{
		JS: js, Store: stream.NewEvents(js), Serves: func(namespace string) bool { return namespace != "foreign" }, Group: "salvor",
		MaxBytes: 4096, Options: Options{Subjects: []string{"salvor.in", "salvor.in.*"}}, Clock: clock.RealClock{}, Log: zerolog.Nop(),
		Metrics: ingress.NewMetrics(s.registry),
	}
	if change != nil {
		change(&config)
	}
	made, err := New(config)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- made.Run(ctx) }()
	s.stop = sync.OnceFunc(func() { cancel(); assert.NoError(t, <-ended) })
	t.Cleanup(s.stop)
	return s
}

// stored are the events on EVENTS by id.
func stored(t *testing.T, js jetstream.JetStream) map[string]*jetstream.RawStreamMsg {
	t.Helper()
	s, err := js.Stream(t.Context(), event.StreamEvents)
	require.NoError(t, err)
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	out := map[string]*jetstream.RawStreamMsg{}
	for sequence := uint64(1); sequence <= info.State.LastSeq; sequence++ {
		msg, err := s.GetMsg(t.Context(), sequence)
		require.NoError(t, err)
		out[msg.Header["ce-id"][0]] = msg
	}
	return out
}

// ask sends a request until somebody listens, and returns the reply.
func (s *source) ask(msg *nats.Msg) map[string]any {
	s.t.Helper()
	var reply *nats.Msg
	require.Eventually(s.t, func() bool {
		var err error
		reply, err = s.js.Conn().RequestMsg(msg, patience)
		return err == nil
	}, patience, tick)
	var out map[string]any
	require.NoError(s.t, json.Unmarshal(reply.Data, &out), string(reply.Data))
	return out
}

func structured(subject, data string, header ...string) *nats.Msg {
	msg := nats.NewMsg(subject)
	msg.Data = []byte(data)
	for i := 0; i < len(header); i += 2 {
		msg.Header[header[i]] = append(msg.Header[header[i]], header[i+1])
	}
	return msg
}

func binary(subject, id, data string, header ...string) *nats.Msg {
	return structured(subject, data, append([]string{"ce-specversion", "1.0", "ce-id", id, "ce-source", "/a", "ce-type", "com.example.saved"}, header...)...)
}

func text(id string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/a","type":"com.example.saved"}`, id)
}

// Both content modes are taken, the namespace from the subject, and the reply says
// that the event is stored; nothing that NATS gives a meaning to gets through.
func TestRequests(t *testing.T) {
	js := natstest.Start(t)
	s := start(t, js, nil)
	accepted := map[string]any{"accepted": 1.0, "duplicates": 0.0}
	assert.Equal(t, accepted, s.ask(binary("salvor.in.shop", "1", `{"n":1}`, "content-type", "application/json", "ce-subject", "gr%C3%B6%C3%9Fe", "ce-ext", "x",
		"Nats-Rollup", "all", "Nats-Expected-Last-Sequence", "99", "Salvor-Sender", `{"user":"admin"}`, "X-Other", "1")))
	assert.Equal(t, accepted, s.ask(structured("salvor.in", text("2"), "Content-Type", "application/cloudevents+json; charset=utf-8")))
	assert.Equal(t, accepted, s.ask(structured("salvor.in.shop", text("3"))), "a message without headers is an event as JSON")
	assert.Equal(t, accepted, s.ask(binary("salvor.in.shop", "4", "", "CE-Flag", "true")))
	assert.Equal(t, map[string]any{"accepted": 2.0, "duplicates": 1.0},
		s.ask(structured("salvor.in.shop", "["+text("3")+","+text("5")+"]", "content-type", "application/cloudevents-batch+json")))
	got := stored(t, js)
	require.Len(t, got, 5)
	assert.Equal(t, "salvor.events.shop.com.example.saved", got["1"].Subject)
	assert.Equal(t, "salvor.events._.com.example.saved", got["2"].Subject)
	for id, msg := range got {
		sender, err := stream.SenderOf(msg.Header)
		require.NoError(t, err)
		assert.Nil(t, sender, id)
		for name := range msg.Header {
			lower := strings.ToLower(name)
			assert.True(t, strings.HasPrefix(lower, "ce-") || lower == "content-type" || name == "Nats-Msg-Id", name)
		}
	}
	first, err := stream.Decode(got["1"].Header, got["1"].Data)
	require.NoError(t, err)
	assert.Equal(t, "größe", first.Subject())
	assert.Equal(t, map[string]any{"ext": "x"}, first.Extensions())
	assert.JSONEq(t, `{"n":1}`, string(first.Data()))
}

// What cannot be stored is answered with the reason, and counted.
func TestRefusedRequests(t *testing.T) {
	js := natstest.Start(t)
	s := start(t, js, nil)
	for name, c := range map[string]struct {
		msg    *nats.Msg
		code   float64
		reason string
	}{
		"no event":          {structured("salvor.in", "{"), 400, "malformed"},
		"no version":        {structured("salvor.in", "x", "ce-id", "1"), 400, "malformed"},
		"twice":             {binary("salvor.in", "1", "", "ce-ext", "a", "Ce-Ext", "b"), 400, "malformed"},
		"own source":        {structured("salvor.in", strings.Replace(text("1"), "/a", "/salvor/x", 1)), 400, "malformed"},
		"own extension":     {binary("salvor.in", "1", "", "ce-salvorchain", "x"), 400, "malformed"},
		"another format":    {structured("salvor.in", "x", "content-type", "application/cloudevents+avro"), 415, "media_type"},
		"too large":         {binary("salvor.in", "1", strings.Repeat("x", 4097)), 413, "too_large"},
		"no namespace":      {binary("salvor.in.Shop", "1", ""), 404, "namespace"},
		"the namespace _":   {binary("salvor.in._", "1", ""), 404, "namespace"},
		"empty structured":  {structured("salvor.in", ""), 400, "malformed"},
		"control character": {binary("salvor.in", "1", "", "ce-ext", "a%0D%0ANats-Rollup: all"), 400, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.ask(c.msg)
			assert.Equal(t, c.reason, got["reason"], got)
			assert.InDelta(t, c.code, got["code"], 0)
			assert.NotEmpty(t, got["error"])
		})
	}
	assert.Empty(t, stored(t, js))
	count, err := testutil.GatherAndCount(s.registry, "salvor_bridge_event_requests_rejected_total")
	require.NoError(t, err)
	assert.Equal(t, 4, count, "one counter for each reason")
}

// What is published without a reply is stored too; what is for another bridge is left
// to it.
func TestPublished(t *testing.T) {
	js := natstest.Start(t)
	s := start(t, js, nil)
	s.ask(binary("salvor.in", "0", "")) // it listens
	require.NoError(t, js.Conn().PublishMsg(binary("salvor.in.foreign", "1", "")))
	require.NoError(t, js.Conn().PublishMsg(binary("salvor.in.shop", "2", "")))
	require.Eventually(t, func() bool { return stored(t, js)["2"] != nil }, patience, tick)
	assert.Nil(t, stored(t, js)["1"])
	// Two bridges of one group share the messages.
	start(t, js, nil)
	for i := range 50 {
		s.ask(binary("salvor.in", fmt.Sprint("many", i), ""))
	}
	assert.Len(t, stored(t, js), 52)
}

// All that was delivered before the end is stored.
func TestEndKeepsWhatWasDelivered(t *testing.T) {
	js := natstest.Start(t)
	s := start(t, js, nil)
	s.ask(binary("salvor.in", "0", ""))
	for i := range 500 {
		require.NoError(t, js.Conn().PublishMsg(binary("salvor.in", fmt.Sprint(i), "")))
	}
	require.NoError(t, js.Conn().Flush())
	s.ask(binary("salvor.in", "last", "")) // behind the others on the same connection
	s.stop()
	assert.Len(t, stored(t, js), 501)
}

// A stream's messages are acknowledged after they are stored, those that are no events
// are ended, and a restart goes on where it was.
func TestStream(t *testing.T) {
	js := natstest.Start(t)
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	require.NoError(t, err)
	put := func(msg *nats.Msg) {
		_, err := js.PublishMsg(t.Context(), msg)
		require.NoError(t, err)
	}
	put(binary("orders.shop.done", "1", ""))
	put(structured("orders.shop.done", "{"))
	put(binary("orders.shop.other", "never", ""))
	change := func(c *Config) { c.Options = Options{Streams: []string{"ORDERS/orders.*.done"}} }
	s := start(t, js, change)
	put(structured("orders.shop.done", text("2")))
	require.Eventually(t, func() bool { return len(stored(t, js)) == 2 }, patience, tick)
	orders, err := js.Stream(t.Context(), "ORDERS")
	require.NoError(t, err)
	pending := func() (int, uint64) {
		total, left, consumers := 0, uint64(0), orders.ListConsumers(t.Context())
		for info := range consumers.Info() {
			total, left = total+info.NumAckPending, left+info.NumPending
		}
		require.NoError(t, consumers.Err())
		return total, left
	}
	require.Eventually(t, func() bool { n, left := pending(); return n == 0 && left == 0 }, patience, tick, "also the broken one is settled")
	s.stop()
	put(binary("orders.shop.done", "3", ""))
	start(t, js, change)
	require.Eventually(t, func() bool { return stored(t, js)["3"] != nil }, patience, tick)
	assert.Equal(t, "salvor.events.shop.com.example.saved", stored(t, js)["3"].Subject)
	assert.Nil(t, stored(t, js)["never"])
}

// flaky is a store that fails at first; a real stream cannot be made to fail for a
// number of calls.
type flaky struct {
	ingress.Store

	mu   sync.Mutex
	left int
	err  error
}

func (f *flaky) PublishFrom(ctx context.Context, namespace string, e cloudevents.Event, sender *event.Sender) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left > 0 {
		f.left--
		return false, f.err
	}
	return f.Store.PublishFrom(ctx, namespace, e, sender)
}

// While EVENTS is full or away a stream's message is kept and comes again.
func TestStreamWaits(t *testing.T) {
	js := natstest.Start(t)
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders"}, Retention: jetstream.WorkQueuePolicy})
	require.NoError(t, err)
	for _, fault := range []error{stream.ErrFull, context.DeadlineExceeded} {
		id := fault.Error()
		_, err = js.PublishMsg(t.Context(), binary("orders", strings.ReplaceAll(id, " ", "-"), ""))
		require.NoError(t, err)
		s := start(t, js, func(c *Config) {
			c.Options = Options{Streams: []string{"ORDERS"}}
			c.Store = &flaky{Store: c.Store, left: 1, err: fault}
		})
		require.Eventually(t, func() bool { return stored(t, js)[strings.ReplaceAll(id, " ", "-")] != nil }, patience, tick)
		s.stop()
	}
	// And its sender is told, over core NATS.
	s := start(t, js, func(c *Config) { c.Store = &flaky{Store: c.Store, left: 1, err: stream.ErrFull} })
	got := s.ask(binary("salvor.in", "full", ""))
	assert.Equal(t, "full", got["reason"])
	assert.InDelta(t, http.StatusTooManyRequests, got["code"], 0)
}

// A stream that does not exist yet is taken up when it is there.
func TestStreamThatComesLater(t *testing.T) {
	js := natstest.Start(t)
	start(t, js, func(c *Config) { c.Options = Options{Streams: []string{"LATER"}} })
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "LATER", Subjects: []string{"later"}})
	require.NoError(t, err)
	_, err = js.PublishMsg(t.Context(), binary("later", "1", ""))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return stored(t, js)["1"] != nil }, patience, tick)
}

func TestOptions(t *testing.T) {
	for pattern, want := range map[string]int{"app.events": -1, "salvor.in.*": 2, "*.backup": 0, "app.*.events.>": 1} {
		got, err := parseSubject(pattern)
		require.NoError(t, err, pattern)
		assert.Equal(t, want, got.namespace, pattern)
	}
	for pattern, says := range map[string]string{
		"": "empty token", "a..b": "empty token", "a.>.b": "last token", "*.*": "two *", "a b": "may not have", "a.b*": "may not have",
		">": "overlaps", "salvor.>": "overlaps", "salvor.events.x": "overlaps", "salvor.*.x": "overlaps", "*.events.>": "overlaps",
		"salvor.timers.1.a.b": "overlaps", "_INBOX.x": "NATS's own", "$KV.LEASES.x": "NATS's own", "$JS.API.>": "NATS's own",
	} {
		o := Options{Subjects: []string{pattern}}
		require.ErrorContains(t, o.Validate(), says, pattern)
		require.ErrorContains(t, o.Validate(), "--nats-events: ", pattern)
	}
	for text, says := range map[string]string{
		"": "not the name", "A.B": "not the name", "EVENTS": "own", "TIMERS/x": "own", "KV_LEASES": "own", "OBJ_BLOBS": "own", "A/": "empty token", "A/b.>.c": "last token",
	} {
		o := Options{Streams: []string{text}}
		require.ErrorContains(t, o.Validate(), says, text)
		require.ErrorContains(t, o.Validate(), "--nats-events-stream: ", text)
	}
	require.NoError(t, (&Options{Subjects: []string{"salvor.in.*"}, Streams: []string{"ORDERS", "ORDERS/orders.*"}}).Validate())
}

// FuzzMessage: whatever arrives over NATS, the decoder neither panics nor lets through
// an event that the stream cannot carry unchanged.
func FuzzMessage(f *testing.F) {
	f.Add("", "", "", "", "", []byte(text("1")))
	f.Add("content-type", "application/cloudevents+json", "", "", "", []byte(text("1")))
	f.Add("Content-Type", "application/cloudevents-batch+json", "", "", "", []byte("["+text("1")+"]"))
	f.Add("content-type", "application/json", "1", "/a", "gr%C3%B6%C3%9Fe", []byte(`{}`))
	f.Add("ce-EXT", "x", "1", "urn:a", `"quoted \" %22"`, []byte{0xff})
	f.Add("Nats-Rollup", "all", "1", "/a", "%0d%0a", []byte(`{}`))
	f.Fuzz(func(t *testing.T, name, value, id, source, extension string, data []byte) {
		header := nats.Header{}
		if name != "" {
			header[name] = []string{value}
		}
		if id != "" {
			header["ce-specversion"], header["ce-type"], header["ce-id"] = []string{"1.0"}, []string{"t"}, []string{id}
			header["ce-source"], header["ce-extra"] = []string{source}, []string{extension}
		}
		events, err := ingress.Decode(t.Context(), headerOf(header), data)
		if err != nil {
			_, isRefusal := refused(err)
			assert.True(t, isRefusal, "%v", err)
			assert.Empty(t, events)
			return
		}
		for i := range events {
			msg, err := stream.Encode(event.EventSubject("", events[i].Type()), events[i])
			require.NoError(t, err)
			for name := range msg.Header {
				assert.True(t, strings.HasPrefix(name, "ce-") || name == "content-type", name)
			}
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

// Whoever may publish to a source may publish to nothing else through it: the answer
// goes to no subject that belongs to Salvor or to NATS itself.
func TestNoReplyToOwnSubjects(t *testing.T) {
	js := natstest.Start(t)
	s := start(t, js, nil)
	s.ask(binary("salvor.in", "0", "")) // it listens
	runs, err := js.Stream(t.Context(), event.StreamRuns)
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), event.RunSubject("shop", "uid"), []byte("{}"))
	require.NoError(t, err)
	for i, reply := range []string{
		"$JS.API.STREAM.PURGE." + event.StreamRuns, "$KV." + event.BucketLeases + ".stolen",
		event.RunSubject("shop", "other"), event.ReportSubject("shop", "uid"), "salvor.in.shop",
	} {
		msg := binary("salvor.in.shop", fmt.Sprint(i+1), "")
		msg.Reply = reply
		require.NoError(t, js.Conn().PublishMsg(msg))
	}
	require.Eventually(t, func() bool { return len(stored(t, js)) == 6 }, patience, tick, "they are stored all the same")
	s.stop() // so that all replies are sent
	info, err := runs.Info(t.Context())
	require.NoError(t, err)
	assert.Equal(t, uint64(1), info.State.Msgs)
	assert.Equal(t, uint64(1), info.State.LastSeq)
	leases, err := js.KeyValue(t.Context(), event.BucketLeases)
	require.NoError(t, err)
	_, err = leases.Get(t.Context(), "stolen")
	require.ErrorIs(t, err, jetstream.ErrKeyNotFound)
	reports, err := js.Stream(t.Context(), event.StreamReports)
	require.NoError(t, err)
	assert.Zero(t, reports.CachedInfo().State.LastSeq)
}

// What a bridge takes from a work queue nobody else gets: that it is for a namespace
// which is not served is said and counted.
func TestForeignOfAWorkQueue(t *testing.T) {
	js := natstest.Start(t)
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, Retention: jetstream.WorkQueuePolicy})
	require.NoError(t, err)
	for id, subject := range map[string]string{"1": "orders.foreign", "2": "orders.shop"} {
		_, err = js.PublishMsg(t.Context(), binary(subject, id, ""))
		require.NoError(t, err)
	}
	s := start(t, js, func(c *Config) { c.Options = Options{Streams: []string{"ORDERS/orders.*"}} })
	require.Eventually(t, func() bool { return stored(t, js)["2"] != nil }, patience, tick)
	require.Eventually(t, func() bool {
		orders, err := js.Stream(t.Context(), "ORDERS")
		require.NoError(t, err)
		return orders.CachedInfo().State.Msgs == 0
	}, patience, tick)
	require.Equal(t, map[string]float64{"namespace": 1}, rejections(t, s.registry))
}

// rejections counts the messages refused, by reason.
func rejections(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "salvor_bridge_event_requests_rejected_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			counts[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return counts
}
