package stream_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

// servers are the two kinds of JetStream whose error codes and timing differ.
func servers(t *testing.T, test func(*testing.T, jetstream.JetStream)) {
	t.Helper()
	t.Run("single", func(t *testing.T) { t.Parallel(); test(t, natstest.Start(t)) })
	t.Run("replicated", func(t *testing.T) { t.Parallel(); test(t, natstest.Cluster(t)) })
}

// answered does once more what a cluster under load did not answer in time. Any other
// error is one.
func answered(t *testing.T, do func() error) {
	t.Helper()
	var err error
	require.Eventually(t, func() bool {
		err = do()
		return !errors.Is(err, context.DeadlineExceeded)
	}, 3*time.Minute, time.Millisecond)
	require.NoError(t, err)
}

func newRun(uid string) *event.Run {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	return &event.Run{
		Version: event.RunVersion, UID: uid, Namespace: "shop", Name: "backup-" + uid, State: event.StatePending,
		CreatedAt: now, UpdatedAt: now, Actions: []event.Action{},
	}
}

func TestRunsCreateOnceAndCompareAndSet(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, js jetstream.JetStream) {
		runs := stream.NewRuns(js, event.SourceBridge)
		run := newRun("u1")
		first, err := runs.Create(t.Context(), run)
		require.NoError(t, err)
		_, err = runs.Create(t.Context(), run)
		require.ErrorIs(t, err, stream.ErrExists)

		run.State = event.StateRunning
		second, err := runs.Update(t.Context(), run, first)
		require.NoError(t, err)
		_, err = runs.Update(t.Context(), run, first)
		require.ErrorIs(t, err, stream.ErrConflict)

		got, revision, err := runs.Get(t.Context(), "shop", "u1")
		require.NoError(t, err)
		assert.Equal(t, second, revision)
		assert.Empty(t, cmp.Diff(run, got))

		require.NoError(t, runs.Delete(t.Context(), "shop", "u1"))
		_, _, err = runs.Get(t.Context(), "shop", "u1")
		require.ErrorIs(t, err, stream.ErrNotFound)
		require.NoError(t, runs.Delete(t.Context(), "shop", "u1"))
	})
}

// TestRunsConcurrentUpdates lets writers race for the same revision: one wins
// each time, all others are told that it was a conflict and nothing else.
func TestRunsConcurrentUpdates(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, js jetstream.JetStream) {
		runs := stream.NewRuns(js, event.SourceDispatcher)
		revision, err := runs.Create(t.Context(), newRun("u1"))
		require.NoError(t, err)
		for range 5 {
			var wins []uint64
			var mu sync.Mutex
			var group sync.WaitGroup
			for range 8 {
				group.Go(func() {
					next, err := runs.Update(t.Context(), newRun("u1"), revision)
					if err != nil {
						assert.ErrorIs(t, err, stream.ErrConflict)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					wins = append(wins, next)
				})
			}
			group.Wait()
			require.Len(t, wins, 1)
			revision = wins[0]
		}
	})
}

// recorder collects what Follow tells.
type recorder struct {
	updates chan stream.RunUpdate
	synced  chan struct{}
}

func newRecorder() *recorder {
	return &recorder{updates: make(chan stream.RunUpdate, 100), synced: make(chan struct{})}
}

func (r *recorder) Update(_ context.Context, u stream.RunUpdate) { r.updates <- u }
func (r *recorder) Synced(context.Context)                       { close(r.synced) }

func TestRunsFollow(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, js jetstream.JetStream) {
		runs := stream.NewRuns(js, event.SourceDispatcher)
		for _, uid := range []string{"u1", "u2"} {
			revision, err := runs.Create(t.Context(), newRun(uid))
			require.NoError(t, err)
			_, err = runs.Update(t.Context(), newRun(uid), revision)
			require.NoError(t, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		r, done := newRecorder(), make(chan error)
		go func() { done <- runs.Follow(ctx, r, nil) }()
		<-r.synced
		require.Len(t, r.updates, 2, "one state for each run, the last")
		<-r.updates
		<-r.updates

		_, err := runs.Create(t.Context(), newRun("u3"))
		require.NoError(t, err)
		assert.Equal(t, "u3", (<-r.updates).Run.UID)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

func TestRunsFollowEmptyAndDamaged(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t)
	runs := stream.NewRuns(js, event.SourceDispatcher)
	ctx, cancel := context.WithCancel(t.Context())
	r, done, bad := newRecorder(), make(chan error), make(chan error, 1)
	go func() { done <- runs.Follow(ctx, r, func(err error) { bad <- err }) }()
	<-r.synced
	_, err := js.Publish(t.Context(), event.RunSubject("shop", "u9"), []byte("not an event"))
	require.NoError(t, err)
	require.ErrorContains(t, <-bad, "not a valid CloudEvent")
	_, err = runs.Create(t.Context(), newRun("u1"))
	require.NoError(t, err)
	assert.Equal(t, "u1", (<-r.updates).Run.UID, "a damaged message does not stop the others")
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
}

func key(attempt int) event.Key {
	return event.Key{UID: "u1", Namespace: "shop", Kind: event.KindCore, Attempt: attempt}
}

func TestJobsAreQueuedOnce(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, js jetstream.JetStream) {
		jobs := stream.NewJobs(js, clock.RealClock{})
		job := &event.Job{Key: key(1), ActionSet: "backup", Func: "KubeTask"}
		require.NoError(t, jobs.Publish(t.Context(), event.DefaultPool, job, "00-trace"))
		require.ErrorIs(t, jobs.Publish(t.Context(), event.DefaultPool, job, ""), stream.ErrExists)

		consumer, err := jobs.Consumer(t.Context(), event.DefaultPool, 3*time.Minute)
		require.NoError(t, err)
		msg, err := consumer.Next(jetstream.FetchMaxWait(3 * time.Minute))
		require.NoError(t, err)
		got, trace, err := stream.DecodeJob(msg)
		require.NoError(t, err)
		assert.Equal(t, job, got)
		assert.Equal(t, "00-trace", trace)
		require.ErrorIs(t, jobs.Publish(t.Context(), event.DefaultPool, job, ""), stream.ErrExists, "also while it is worked on")

		require.NoError(t, msg.DoubleAck(t.Context()))
		// A cluster removes the message a moment after it confirmed the ack.
		require.Eventually(t, func() bool { return jobs.Publish(t.Context(), event.DefaultPool, job, "") == nil },
			3*time.Minute, 10*time.Millisecond, "and can be queued again when it is gone")
	})
}

func TestReports(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t)
	reports := stream.NewReports(js, event.SourceRunner)
	report := &event.Report{
		Kind: event.ReportFailed, Key: key(1), At: time.Date(2026, 11, 22, 3, 0, 0, 1, time.UTC),
		Failure: &event.Failure{Reason: event.ReasonPodFailed, Message: "exit code 1"},
	}
	require.NoError(t, reports.Publish(t.Context(), report, "00-trace"))
	require.NoError(t, reports.Publish(t.Context(), report, "00-trace"), "repeating it is harmless")
	consumer, err := reports.Consumer(t.Context(), 10*time.Second)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var got []*event.Report
	require.NoError(t, stream.RunLoop(ctx, consumer, func(_ context.Context, msg jetstream.Msg) {
		r, trace, err := stream.DecodeReport(msg)
		assert.NoError(t, err)
		assert.Equal(t, "00-trace", trace)
		got = append(got, r)
		assert.NoError(t, msg.Ack())
		cancel()
	}))
	require.Len(t, got, 1)
	assert.Empty(t, cmp.Diff(report, got[0]))
}

func TestEventsAreStoredOncePerNamespace(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t)
	events := stream.NewEvents(js)
	e := cloudevents.NewEvent()
	e.SetID("1")
	e.SetSource("/app")
	e.SetType("com.example.saved")
	e.SetExtension("count", 3)
	require.NoError(t, e.SetData("text/plain", []byte("x")))
	for _, step := range []struct {
		namespace string
		duplicate bool
	}{{"a", false}, {"a", true}, {"b", false}} {
		duplicate, err := events.Publish(t.Context(), step.namespace, e)
		require.NoError(t, err)
		assert.Equal(t, step.duplicate, duplicate, step)
	}
	_, err := events.Publish(t.Context(), "a", cloudevents.NewEvent())
	require.ErrorContains(t, err, "not a valid CloudEvent")
}

func TestEventsFull(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t)
	settings := stream.DefaultSettings()
	settings.EventsMaxBytes = 2000
	require.NoError(t, stream.Ensure(t.Context(), js, settings))
	events := stream.NewEvents(js)
	var err error
	for i := 0; i < 20 && err == nil; i++ {
		e := cloudevents.NewEvent()
		e.SetID(strings.Repeat("i", i+1))
		e.SetSource("/app")
		e.SetType("com.example.saved")
		_, err = events.Publish(t.Context(), "a", e)
	}
	require.ErrorIs(t, err, stream.ErrFull)
}

func TestCodecKeepsEveryAttribute(t *testing.T) {
	t.Parallel()
	e := cloudevents.NewEvent()
	e.SetID("id with spaces")
	e.SetSource("urn:x:y")
	e.SetType("com.example.t")
	e.SetSubject("s/1")
	e.SetDataSchema("http://example.com/schema")
	e.SetTime(time.Date(2026, 11, 22, 3, 0, 0, 123, time.UTC))
	e.SetExtension("traceparent", "00-1")
	e.SetExtension("flag", true)
	require.NoError(t, e.SetData(cloudevents.ApplicationJSON, map[string]string{"a": "ü"}))
	msg, err := stream.Encode("s", e)
	require.NoError(t, err)
	for name := range msg.Header {
		assert.False(t, strings.HasPrefix(strings.ToLower(name), "nats-"), name)
	}
	back, err := stream.Decode(msg.Header, msg.Data)
	require.NoError(t, err)
	want, err := json.Marshal(e)
	require.NoError(t, err)
	got, err := json.Marshal(back)
	require.NoError(t, err)
	assert.JSONEq(t, strings.Replace(string(want), "true", `"true"`, 1), string(got), "typed extensions become text on the wire")
}

func TestBlobs(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, js jetstream.JetStream) {
		blobs := stream.NewBlobs(js)
		for name, size := range map[string]int{"inline": 10, "stored": event.InlineLimit * 40} {
			content := map[string]string{"x": strings.Repeat("y", size)}
			var payload, again event.Payload
			answered(t, func() (err error) { payload, err = blobs.Put(t.Context(), content); return err })
			answered(t, func() (err error) { again, err = blobs.Put(t.Context(), content); return err })
			assert.Equal(t, payload, again)
			assert.Equal(t, name == "inline", payload.Inline != nil)
			var back map[string]string
			answered(t, func() error { return blobs.Get(t.Context(), payload, &back) })
			assert.Equal(t, content, back)
		}
		var back any
		for i := range 50 { // what was put is there at once, whoever answers
			var payload event.Payload
			answered(t, func() (err error) {
				payload, err = blobs.Put(t.Context(), map[string]string{"x": strings.Repeat("z", event.InlineLimit+i)})
				return err
			})
			var back map[string]string
			answered(t, func() error { return blobs.Get(t.Context(), payload, &back) })
		}
		require.ErrorIs(t, blobs.Get(t.Context(), event.Payload{Digest: "sha256:" + strings.Repeat("0", 64)}, &back), stream.ErrNotFound)
	})
}

func TestLeases(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, js jetstream.JetStream) {
		leases, err := stream.NewLeases(t.Context(), js)
		require.NoError(t, err)
		a, b := stream.Holder{Name: "a", Incarnation: "1"}, stream.Holder{Name: "b", Incarnation: "1"}
		held, err := leases.Claim(t.Context(), key(1), a, time.Minute)
		require.NoError(t, err)
		require.NoError(t, held.Renew(t.Context()))
		_, err = leases.Claim(t.Context(), key(1), b, time.Minute)
		require.ErrorIs(t, err, stream.ErrHeld)
		_, err = leases.Claim(t.Context(), key(1), a, time.Minute)
		require.ErrorIs(t, err, stream.ErrHeld, "also for the same incarnation")

		taken, err := leases.Claim(t.Context(), key(1), stream.Holder{Name: "a", Incarnation: "2"}, time.Minute)
		require.NoError(t, err, "a new incarnation takes over")
		require.ErrorIs(t, held.Renew(t.Context()), stream.ErrLost)
		require.NoError(t, held.Release(t.Context()), "releasing a lost claim takes nothing away")
		_, err = leases.Claim(t.Context(), key(1), b, time.Minute)
		require.ErrorIs(t, err, stream.ErrHeld)
		require.NoError(t, taken.Release(t.Context()))

		short, err := leases.Claim(t.Context(), key(1), b, time.Second)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			_, err := leases.Claim(t.Context(), key(1), a, time.Minute)
			return err == nil
		}, 3*time.Minute, 50*time.Millisecond, "a claim that is not renewed runs out")
		require.ErrorIs(t, short.Renew(t.Context()), stream.ErrLost)
	})
}

// TestLeaseWhoseAnswerWasLost renews a claim whose last renewal was stored though
// its holder was not told: it must not take its own write for another's.
func TestLeaseWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, js jetstream.JetStream) {
		leases, err := stream.NewLeases(t.Context(), js)
		require.NoError(t, err)
		held, err := leases.Claim(t.Context(), key(1), stream.Holder{Name: "a", Incarnation: "1"}, time.Minute)
		require.NoError(t, err)
		kv, err := js.KeyValue(t.Context(), event.BucketLeases)
		require.NoError(t, err)
		entry, err := kv.Get(t.Context(), event.ClaimKey(key(1)))
		require.NoError(t, err)
		_, err = kv.Put(t.Context(), entry.Key(), entry.Value())
		require.NoError(t, err)

		require.NoError(t, held.Renew(t.Context()))
		require.NoError(t, held.Renew(t.Context()))
		require.NoError(t, held.Release(t.Context()))
		again, err := leases.Claim(t.Context(), key(1), stream.Holder{Name: "a", Incarnation: "1"}, time.Minute)
		require.NoError(t, err)
		require.ErrorIs(t, held.Renew(t.Context()), stream.ErrLost, "a later claim of the same holder is another one")
		require.NoError(t, again.Renew(t.Context()))
	})
}

func TestMarks(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t)
	leases, err := stream.NewLeases(t.Context(), js)
	require.NoError(t, err)
	require.NoError(t, leases.MarkStarted(t.Context(), key(1), "one"))
	require.NoError(t, leases.MarkStarted(t.Context(), key(1), "one"), "said again because the answer was lost")
	require.ErrorIs(t, leases.MarkStarted(t.Context(), key(1), "two"), stream.ErrExists)
	require.NoError(t, leases.MarkStarted(t.Context(), key(2), "two"))

	require.NoError(t, leases.Cancel(t.Context(), "before"))
	require.NoError(t, leases.Cancel(t.Context(), "before"))
	ctx, cancel := context.WithCancel(t.Context())
	seen, done := make(chan string, 10), make(chan error)
	go func() { done <- leases.WatchCancels(ctx, func(uid string) { seen <- uid }) }()
	assert.Equal(t, "before", <-seen)
	require.NoError(t, leases.Cancel(t.Context(), "after"))
	assert.Equal(t, "after", <-seen)
	cancel()
	require.NoError(t, <-done)
}
