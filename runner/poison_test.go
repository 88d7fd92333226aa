package runner

import (
	"context"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/broker"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/runner/function"
)

// lose claims the job as a process that dies before it releases it would: the
// claim is there, and nobody renews it.
func (b *bench) lose(k event.Key, times int) {
	b.t.Helper()
	for i := range times {
		// Each process is a new incarnation of the one before.
		lease, err := b.leases.Claim(b.t.Context(), k, stream.Holder{Name: "r1", Incarnation: strconv.Itoa(i)}, time.Hour)
		require.NoError(b.t, err)
		if _, lost := lease.Loss(); lost {
			b.crashed(k, 1)
		}
	}
}

func (b *bench) crashed(k event.Key, times int) {
	b.t.Helper()
	for range times {
		_, err := b.leases.ChangeCrashes(b.t.Context(), k, func(c *stream.Crashes) {
			c.Lost = append(c.Lost, event.Crash{Runner: "r1", At: time.Unix(int64(len(c.Lost)), 0).UTC()})
		})
		require.NoError(b.t, err)
	}
}

func (b *bench) crashes(k event.Key) *stream.Crashes {
	b.t.Helper()
	c, err := b.leases.Crashes(b.t.Context(), k)
	require.NoError(b.t, err)
	return c
}

func (b *bench) letters() []stream.StoredLetter {
	b.t.Helper()
	all, err := stream.NewDeadLetters(b.js).List(b.t.Context())
	require.NoError(b.t, err)
	return all
}

// The function kills its runner: each process that takes the job is lost.
func TestJobThatCrashesItsRunnersIsSetAside(t *testing.T) {
	b := newBench(t, nil)
	key := b.key(event.KindCore, 0)
	b.lose(key, 3)
	task := returns(nil, nil)
	b.publish(event.Job{Key: key})
	b.start("r1", function.Registry{"KubeTask": task.factory}, nil)
	r := b.report()
	assert.Equal(t, event.ReasonPoison, r.Failure.Reason)
	assert.Contains(t, r.Failure.Message, "3 runners were lost while they worked on this phase (r1, found at ")
	assert.Contains(t, r.Failure.Message, "salvor dlq list")
	assert.Empty(t, task.began)
	b.settled()
	letters := b.letters()
	require.Len(t, letters, 1)
	assert.Equal(t, key, letters[0].Key)
	assert.Equal(t, "backup-1", letters[0].ActionSet)
	assert.Equal(t, "dump", letters[0].PhaseName)
	assert.Equal(t, "KubeTask", letters[0].Func)
	assert.Len(t, letters[0].Crashes, 3)

	again := key
	again.Attempt = 2
	b.update(func(r *event.Run) { r.Actions[0].Phases[0].Attempt = 2 })
	b.publish(event.Job{Key: again})
	assert.Equal(t, event.ReportSucceeded, b.report().Kind, "the next attempt begins anew")
}

func TestJobThatMayCrash(t *testing.T) {
	for name, tt := range map[string]struct {
		losses, limit int
		poison        bool
	}{
		"never lost":      {0, 3, false},
		"lost twice":      {2, 3, false},
		"once is enough":  {1, 1, true},
		"no limit is set": {5, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			key := b.key(event.KindCore, 0)
			b.lose(key, tt.losses)
			b.publish(event.Job{Key: key})
			b.start("r1", function.Registry{"KubeTask": returns(nil, nil).factory}, func(_ *Deps, o *Options) { o.PoisonAfter = tt.limit })
			r := b.report()
			assert.Equal(t, tt.poison, r.Kind == event.ReportFailed)
			assert.Equal(t, tt.poison, len(b.letters()) > 0)
			b.settled()
		})
	}
}

// A claim that ran out is a loss as well, whoever takes it over.
func TestLossIsCountedByAnotherRunner(t *testing.T) {
	b := newBench(t, nil)
	key := b.key(event.KindCore, 0)
	b.crashed(key, 1)
	_, err := b.leases.Claim(t.Context(), key, stream.Holder{Name: "dead", Incarnation: "1"}, time.Second)
	require.NoError(t, err)
	b.publish(event.Job{Key: key})
	task := blocks()
	b.start("r2", function.Registry{"KubeTask": task.factory}, nil)
	within(t, task.began, "the call")
	assert.Equal(t, 2, b.crashes(key).Count())
}

func TestHandOverIsNoLoss(t *testing.T) {
	b := newBench(t, nil)
	key := b.key(event.KindCore, 0)
	b.publish(event.Job{Key: key})
	for i := range 4 {
		task := blocks()
		r := b.start("r"+strconv.Itoa(i%2), function.Registry{"KubeTask": task.factory}, nil)
		within(t, task.began, "the call")
		require.NoError(t, r.stop())
	}
	assert.Zero(t, b.crashes(key).Count())
	b.start("r1", function.Registry{"KubeTask": returns(nil, nil).factory}, nil)
	assert.Equal(t, event.ReportSucceeded, b.report().Kind)
}

// The runner is cut off from NATS for longer than its claim lives: the claim is
// another's, or ran out, and the runner says that it was not lost.
func TestRunnerThatWasCutOffExcusesItself(t *testing.T) {
	b := newBench(t, nil)
	key := b.key(event.KindCore, 0)
	task := blocks()
	r := b.start("r1", function.Registry{"KubeTask": task.factory}, func(_ *Deps, o *Options) { o.ClaimTTL = 3 * time.Second })
	b.publish(event.Job{Key: key})
	within(t, task.began, "the call")
	kv, err := b.js.KeyValue(t.Context(), event.BucketLeases)
	require.NoError(t, err)
	// What the server does with a claim that is not renewed in time.
	_, err = kv.Put(t.Context(), event.ClaimKey(key), []byte(`{"name":"other","incarnation":"1"}`))
	require.NoError(t, err)
	b.crashed(key, 1) // by the other
	require.Eventually(t, func() bool { return r.active.count() == 0 && b.crashes(key).Count() == 0 }, patience, 10*time.Millisecond)
	assert.Len(t, b.crashes(key).Lost, 1)
}

// Jobs that were lost twice run one after the other, so that the one which crashes
// the next runner does not take the innocent with it.
func TestSuspectsRunOneAtATime(t *testing.T) {
	b := newBench(t, nil)
	suspects := []event.Key{b.key(event.KindCore, 0), b.key(event.KindDefer, 0)}
	for _, k := range suspects {
		b.lose(k, 2)
		b.publish(event.Job{Key: k})
	}
	resume := make(chan struct{})
	task := newCall(func(ctx context.Context, _ *function.Call) (map[string]any, error) {
		select {
		case <-resume:
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	})
	exec := returns(nil, nil)
	r := b.start("r1", function.Registry{"KubeTask": task.factory, "KubeExec": exec.factory}, nil)
	first := within(t, task.began, "a suspect")
	consumer, err := b.jobs.Consumer(t.Context(), event.DefaultPool, DefaultOptions().AckWait)
	require.NoError(t, err)
	require.Eventually(t, func() bool { // the other is given back
		info, err := consumer.Info(t.Context())
		return err == nil && info.NumRedelivered > 0 && r.active.count() == 1
	}, patience, 10*time.Millisecond)
	b.publish(event.Job{Key: b.key(event.KindCore, 1)})
	assert.Equal(t, event.ReportSucceeded, b.report().Kind, "others are not held up")
	assert.Empty(t, task.began)
	for _, k := range suspects {
		assert.Equal(t, 2, b.crashes(k).Count(), "waiting is no loss")
	}
	close(resume)
	assert.Equal(t, first.Key, b.report().Key)
	second := within(t, task.began, "the other suspect")
	assert.NotEqual(t, first.Key, second.Key)
	b.report()
	b.settled()
}

func TestSuspectThatRunsWellIsTrusted(t *testing.T) {
	b := newBench(t, nil)
	key := b.key(event.KindCore, 0)
	b.lose(key, 2)
	b.publish(event.Job{Key: key})
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	task := blocks()
	b.start("r1", function.Registry{"KubeTask": task.factory}, func(d *Deps, o *Options) { d.Clock, o.ClaimTTL, o.AckWait = clock, time.Hour, time.Hour })
	within(t, task.began, "the call")
	assert.Equal(t, 2, b.crashes(key).Count())
	require.Eventually(t, func() bool {
		clock.Step(time.Second)
		return b.crashes(key).Count() == 1
	}, patience, 10*time.Millisecond)
}

func TestWhatIsNoJob(t *testing.T) {
	b := newBench(t, nil)
	subject := event.JobSubject(event.DefaultPool, b.key(event.KindCore, 0))
	_, err := b.js.Publish(t.Context(), subject, []byte("no job"))
	require.NoError(t, err)
	b.start("r1", nil, nil)
	b.settled()
	letters := b.letters()
	require.Len(t, letters, 1)
	assert.Equal(t, subject, letters[0].Subject)
	assert.Equal(t, "no job", string(letters[0].Message))
	assert.Contains(t, letters[0].Reason, "cannot be read")
}

// While the record cannot be written the message stays.
func TestWhatIsNoJobStaysUntilItIsRecorded(t *testing.T) {
	b := newBench(t, nil)
	dlq, err := b.js.Stream(t.Context(), event.StreamDLQ)
	require.NoError(t, err)
	config := dlq.CachedInfo().Config
	require.NoError(t, b.js.DeleteStream(t.Context(), event.StreamDLQ))
	_, err = b.js.Publish(t.Context(), event.JobSubject(event.DefaultPool, b.key(event.KindCore, 0)), []byte("no job"))
	require.NoError(t, err)
	b.start("r1", nil, nil)
	consumer, err := b.jobs.Consumer(t.Context(), event.DefaultPool, DefaultOptions().AckWait)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, err := consumer.Info(t.Context())
		return err == nil && info.NumRedelivered > 0
	}, patience, 10*time.Millisecond, "it comes around")
	_, err = b.js.CreateStream(t.Context(), config)
	require.NoError(t, err)
	b.settled()
	assert.Len(t, b.letters(), 1)
}

// The server is away for longer than a claim lives. The runner stops, and says when
// it is back that it was not lost, whoever takes the job over.
func TestOutageIsNoLoss(t *testing.T) {
	dir := t.TempDir()
	server, err := broker.Start(t.Context(), broker.Options{StoreDir: dir, NoSync: true, Host: "127.0.0.1", Port: -1})
	require.NoError(t, err)
	nc, err := nats.Connect(server.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	require.NoError(t, stream.Ensure(t.Context(), js, stream.DefaultSettings()))
	b := newBenchOn(t, js, nil)
	task := blocks()
	r := b.start("r1", function.Registry{"KubeTask": task.factory}, func(_ *Deps, o *Options) { o.ClaimTTL = 3 * time.Second })
	key := b.key(event.KindCore, 0)
	b.publish(event.Job{Key: key})
	within(t, task.began, "the call")

	address, err := url.Parse(server.URL())
	require.NoError(t, err)
	port, err := strconv.Atoi(address.Port())
	require.NoError(t, err)
	server.Stop()
	require.ErrorIs(t, within(t, task.ended, "the end of the call"), errLost)
	server, err = broker.Start(t.Context(), broker.Options{StoreDir: dir, NoSync: true, Host: "127.0.0.1", Port: port})
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	within(t, task.began, "the call, again")
	require.Eventually(t, func() bool {
		c := b.crashes(key)
		return len(c.Excused) == 1 && c.Count() == 0
	}, patience, 10*time.Millisecond)
	require.NoError(t, r.stop())
}
