package dispatcher

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

// store is BLOBS with a collector that sweeps when it is told to.
type store struct {
	t         *testing.T
	js        jetstream.JetStream
	blobs     *stream.Blobs
	clock     *clocktesting.FakeClock
	collector *collector
}

func newStore(t *testing.T) *store {
	t.Helper()
	js := natstest.Start(t)
	require.NoError(t, stream.Ensure(t.Context(), js, stream.DefaultSettings()))
	clk := clocktesting.NewFakeClock(time.Now())
	d, err := New(Deps{JS: js, Planner: newClusterPlanner(nil, clk, ""), Clock: clk, Log: zerolog.Nop()}, DefaultOptions())
	require.NoError(t, err)
	return &store{t: t, js: js, blobs: stream.NewBlobs(js), clock: clk, collector: &collector{engine: newEngine(d, nil, nil)}}
}

func (s *store) put(letter string) event.Payload {
	s.t.Helper()
	p, err := s.blobs.Put(s.t.Context(), map[string]string{"key": strings.Repeat(letter, 2*event.InlineLimit)})
	require.NoError(s.t, err)
	return p
}

// sweep lets time pass and returns what is left then.
func (s *store) sweep(pass time.Duration) []string {
	s.t.Helper()
	s.clock.Step(pass)
	s.collector.sweep(s.t.Context())
	left, err := s.blobs.Older(s.t.Context(), time.Now().Add(time.Hour))
	require.NoError(s.t, err)
	return left
}

// run stores a run whose fields are the payloads.
func (s *store) run(uid string, blueprint, params, output, render event.Payload) {
	s.t.Helper()
	_, err := s.collector.runs.Create(s.t.Context(), &event.Run{
		Version: event.RunVersion, UID: uid, Namespace: "ns", Name: "as-" + uid, State: event.StateComplete,
		Actions: []event.Action{{
			State: event.StateComplete, Blueprint: &event.BlueprintRef{Content: blueprint}, Params: &params,
			Phases: []event.Phase{{Name: "dump", Output: &output}}, Render: &event.Phase{Output: &render},
		}},
	})
	require.NoError(s.t, err)
}

func TestContentsThatNoRunNamesAreRemoved(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	inline, err := s.blobs.Put(t.Context(), 1)
	require.NoError(t, err)
	shared, output, nobodys := s.put("s"), s.put("o"), s.put("n")
	s.run("u1", shared, s.put("p"), output, s.put("r"))
	s.run("u2", shared, inline, inline, inline)

	assert.Len(t, s.sweep(contentAge/2), 5, "what waits is not known yet")
	assert.Len(t, s.sweep(time.Minute), 5, "it is young")
	left := s.sweep(contentAge)
	assert.Len(t, left, 4)
	assert.NotContains(t, left, nobodys.Digest)

	require.NoError(t, s.collector.runs.Delete(t.Context(), "ns", "u1"))
	assert.Len(t, s.sweep(collectEvery-time.Minute), 4, "it is not looked at each time")
	assert.Equal(t, []string{shared.Digest}, s.sweep(time.Minute))
	require.NoError(t, s.collector.runs.Delete(t.Context(), "ns", "u2"))
	assert.Empty(t, s.sweep(collectEvery), "the last run is gone")
	assert.Empty(t, s.sweep(collectEvery))
}

// A report that waits may name a content, however old it is.
func TestContentsOfReportsAreKept(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.put("o")
	require.NoError(t, s.collector.reports.Publish(t.Context(), &event.Report{
		Kind: event.ReportSucceeded, Key: event.Key{UID: "u1", Namespace: "ns", Kind: event.KindCore, Attempt: 1}, At: time.Now(),
	}, ""))
	for range 3 {
		assert.Len(t, s.sweep(3*contentAge), 1)
	}
	reports, err := s.js.Stream(t.Context(), event.StreamReports)
	require.NoError(t, err)
	require.NoError(t, reports.Purge(t.Context()))
	assert.Len(t, s.sweep(collectEvery), 1, "its run may not be seen yet")
	assert.Empty(t, s.sweep(collectEvery))
}

func TestNothingIsRemovedWhileARunCannotBeRead(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.put("n")
	_, err := s.js.Publish(t.Context(), event.RunSubject("ns", "newer"), []byte("of a newer program"))
	require.NoError(t, err)
	s.run("u1", s.put("b"), s.put("p"), s.put("o"), s.put("r"))
	for range 3 {
		assert.Len(t, s.sweep(2*contentAge), 5)
	}
	require.NoError(t, s.collector.runs.Delete(t.Context(), "ns", "newer"))
	assert.Len(t, s.sweep(time.Minute), 4, "it is tried again at the next sweep")
}
