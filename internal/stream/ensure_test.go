package stream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

func with(replicas int) stream.Settings {
	s := stream.DefaultSettings()
	s.Replicas = replicas
	return s
}

// replicated waits until every stream and consumer has that many full copies.
func replicated(t *testing.T, js jetstream.JetStream, replicas int) {
	t.Helper()
	require.Eventually(t, func() bool {
		all, err := stream.Survey(t.Context(), js)
		if err != nil {
			return false
		}
		for _, c := range all {
			if c.Missing || c.Replicas != replicas || c.Current != replicas {
				return false
			}
		}
		return true
	}, 3*time.Minute, 50*time.Millisecond)
	jobs, err := js.Consumer(t.Context(), event.StreamJobs, "runners-small")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, err := jobs.Info(t.Context())
		return err == nil && info.Cluster != nil && info.Cluster.Leader != "" && len(info.Cluster.Replicas) == replicas-1
	}, 3*time.Minute, 50*time.Millisecond, "the consumer follows its stream")
	blobs, err := js.Stream(t.Context(), "OBJ_"+event.BucketBlobs)
	require.NoError(t, err)
	assert.False(t, blobs.CachedInfo().Config.AllowDirect, "reads go to the leader")
	leases, err := js.Stream(t.Context(), "KV_"+event.BucketLeases)
	require.NoError(t, err)
	assert.False(t, leases.CachedInfo().Config.AllowDirect, "reads go to the leader")
	assert.True(t, leases.CachedInfo().Config.AllowMsgTTL)
}

// TestReplicasChangeUnderLoad goes from one copy to three and back while writers
// of every kind go on, and looks for each write that was acknowledged.
func TestReplicasChangeUnderLoad(t *testing.T) {
	t.Parallel()
	nodes := natstest.StartNodes(t, 3)
	js := nodes.Client(t)
	natstest.Ensure(t, js, with(1))
	jobs := stream.NewJobs(js, clock.RealClock{})
	consumer, err := jobs.Consumer(t.Context(), "small", 30*time.Second)
	require.NoError(t, err)
	first, err := stream.Survey(t.Context(), js)
	require.NoError(t, err)

	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var written atomic.Int64
	revisions := make([]uint64, 4)
	queued := make([]map[event.Key]bool, 4)
	events := make([]int, 4)
	for i := range revisions {
		queued[i] = map[event.Key]bool{}
		writers.Go(func() {
			w := writer{ctx: ctx, js: js, jobs: jobs, name: fmt.Sprintf("u%d", i), queued: queued[i]}
			for ctx.Err() == nil {
				if err := w.step(); err != nil && ctx.Err() == nil {
					t.Logf("writer %d goes on after: %v", i, err)
				}
				written.Add(1)
			}
			revisions[i], events[i] = w.revision, w.events
		})
	}
	more := func() {
		seen := written.Load()
		require.Eventually(t, func() bool { return written.Load() > seen+200 }, 3*time.Minute, 10*time.Millisecond, "the writers go on")
	}
	more()
	for _, replicas := range []int{3, 1} {
		natstest.Ensure(t, js, with(replicas))
		replicated(t, js, replicas)
		more()
	}
	natstest.Ensure(t, js, with(0))
	replicated(t, js, 1)
	stop()
	writers.Wait()

	last, err := stream.Survey(t.Context(), js)
	require.NoError(t, err)
	for i := range last {
		assert.Equal(t, first[i].Created, last[i].Created, "%s is still the same stream", last[i].Stream)
	}
	total := 0
	for i, revision := range revisions {
		_, got, err := stream.NewRuns(js, event.SourceDispatcher).Get(t.Context(), "shop", fmt.Sprintf("u%d", i))
		require.NoError(t, err)
		assert.GreaterOrEqual(t, got, revision, "the last acknowledged state of a run, or one written after it")
		total += events[i]
		for k := range queued[i] {
			there, err := jobs.Queued(t.Context(), "small", k)
			require.NoError(t, err)
			require.True(t, there, "job %s", k)
		}
	}
	info, err := js.Stream(t.Context(), event.StreamEvents)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, int(info.CachedInfo().State.Msgs), total)
	delivered := map[uint64]bool{}
	batch, err := consumer.Fetch(10, jetstream.FetchMaxWait(time.Minute))
	require.NoError(t, err)
	for msg := range batch.Messages() {
		meta, err := msg.Metadata()
		require.NoError(t, err)
		delivered[meta.Sequence.Stream] = true
	}
	assert.Len(t, delivered, 10, "the consumer delivers")
}

// writer writes one of each and knows what was acknowledged.
type writer struct {
	ctx      context.Context
	js       jetstream.JetStream
	jobs     *stream.Jobs
	name     string
	n        int
	revision uint64
	queued   map[event.Key]bool
	events   int
}

func (w *writer) step() error {
	w.n++
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Second)
	defer cancel()
	runs := stream.NewRuns(w.js, event.SourceDispatcher)
	revision, err := runs.Update(ctx, newRun(w.name), w.revision)
	if errors.Is(err, stream.ErrConflict) { // an answer was lost
		_, revision, err = runs.Get(ctx, "shop", w.name)
	}
	if err != nil {
		return err
	}
	w.revision = revision
	k := event.Key{Namespace: "shop", UID: w.name, Kind: event.KindCore, Phase: w.n, Attempt: 1}
	err = w.jobs.Publish(ctx, "small", &event.Job{Key: k}, "")
	if err != nil && !errors.Is(err, stream.ErrExists) {
		return err
	}
	w.queued[k] = true
	e := cloudevents.NewEvent()
	e.SetID(fmt.Sprint(w.n))
	e.SetSource("/" + w.name)
	e.SetType("com.example.saved")
	if _, err := stream.NewEvents(w.js).Publish(ctx, "shop", e); err != nil {
		return err
	}
	w.events++
	return nil
}

func TestMoreReplicasThanServers(t *testing.T) {
	t.Parallel()
	js := natstest.Start(t)
	err := stream.Ensure(t.Context(), js, with(3))
	require.ErrorIs(t, err, stream.ErrTooFewServers)
	require.ErrorContains(t, err, "3 replicas of stream EVENTS: give NATS 3 servers")
	require.NoError(t, stream.Ensure(t.Context(), js, with(1)), "what was there goes on")

	nodes := natstest.StartNodes(t, 3)
	js = nodes.Client(t)
	natstest.Ensure(t, js, with(3))
	err = stream.Ensure(t.Context(), js, with(5))
	require.ErrorIs(t, err, stream.ErrTooFewServers)
	require.NoError(t, stream.Ensure(t.Context(), js, with(0)))
	_, err = js.Publish(t.Context(), event.EventSubject("shop", "x"), nil)
	require.NoError(t, err)
}

func TestNewStreamsGetWhatIsMeantForThem(t *testing.T) {
	t.Parallel()
	js := natstest.StartNodes(t, 3).Client(t)
	settings := with(0)
	settings.NewReplicas = 3
	natstest.Ensure(t, js, settings)
	all, err := stream.Survey(t.Context(), js)
	require.NoError(t, err)
	require.Len(t, all, len(stream.Names()))
	for _, c := range all {
		assert.Equal(t, 3, c.Replicas, c.Stream)
		assert.True(t, c.Clustered)
	}
	require.NoError(t, js.DeleteStream(t.Context(), event.StreamRuns))
	require.Eventually(t, func() bool {
		all, err = stream.Survey(t.Context(), js)
		return err == nil && all[1].Missing
	}, 3*time.Minute, 50*time.Millisecond)
}

// TestReadersOfALostStreamEnd: a reader that waited on for ever would never see
// the stream that takes the place of the lost one, and one that ended without an
// error would be started again at once, and again.
func TestReadersOfALostStreamEnd(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, js jetstream.JetStream) {
		reports, err := stream.NewReports(js, event.SourceRunner).Consumer(t.Context(), time.Minute)
		require.NoError(t, err)
		ended := make(chan error, 1)
		read := func() {
			ended <- stream.RunLoop(t.Context(), reports, func(context.Context, jetstream.Msg) {})
		}
		go read()
		require.Eventually(t, func() bool {
			select {
			case err := <-ended:
				// The consumer's leader moved, as it may while a cluster forms.
				require.Error(t, err)
				go read()
			default:
			}
			info, err := reports.Info(t.Context())
			return err == nil && info.NumWaiting > 0
		}, 3*time.Minute, 50*time.Millisecond)
		require.NoError(t, js.DeleteStream(t.Context(), event.StreamReports))
		select {
		case err := <-ended:
			require.Error(t, err)
		case <-time.After(3 * time.Minute):
			require.FailNow(t, "it waits for ever")
		}
	})
}
