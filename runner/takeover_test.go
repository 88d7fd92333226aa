package runner

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/runner/function"
)

// The only process is killed, with the server in it: what the disk holds at that
// moment is all that the next one has. It takes up its own claims without waiting
// for them to run out, as soon as the queue gives it the jobs.
func TestNextProcessGoesOn(t *testing.T) {
	dir := t.TempDir()
	b := newBenchOn(t, natstest.StartIn(t, dir), nil)
	const slots = 2
	before := blocks()
	b.start("salvor-0", function.Registry{"KubeTask": before.factory}, func(_ *Deps, o *Options) { o.Slots, o.ClaimTTL = slots, time.Hour })
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	b.publish(event.Job{Key: b.key(event.KindDefer, 0)})
	for range slots {
		within(t, before.began, "the call")
	}
	var after string
	require.EventuallyWithT(t, func(c *assert.CollectT) { // a file may go while it is copied
		after = t.TempDir()
		assert.NoError(c, os.CopyFS(after, os.DirFS(dir)))
	}, patience, 10*time.Millisecond)

	killed := time.Now()
	b.js = natstest.StartIn(t, after)
	var err error
	b.leases, err = stream.NewLeases(t.Context(), b.js)
	require.NoError(t, err)
	next := blocks()
	r := b.start("salvor-0", function.Registry{"KubeTask": next.factory}, func(_ *Deps, o *Options) { o.Slots, o.ClaimTTL = slots, time.Hour })
	require.Eventually(t, func() bool { return r.Ready() == nil }, patience, time.Millisecond)
	ready := time.Now()
	for range slots {
		within(t, next.began, "the call, by the next process")
		t.Logf("resumed %s after the process was ready, %s after the kill", time.Since(ready), time.Since(killed))
	}
	assert.Equal(t, 1, b.crashes(b.key(event.KindCore, 0)).Count())
}

// Nothing but the hand-over itself can bring the job to the second runner: no claim
// runs out, and the queue waits an hour for a sign of life.
func TestShutdownHandsOverAtOnce(t *testing.T) {
	b := newBench(t, nil)
	patient := func(_ *Deps, o *Options) { o.ClaimTTL, o.AckWait = time.Hour, time.Hour }
	first, second := blocks(), blocks()
	r1 := b.start("r1", function.Registry{"KubeTask": first.factory}, patient)
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	within(t, first.began, "the call")
	b.start("r2", function.Registry{"KubeTask": second.factory}, patient)
	require.NoError(t, r1.stop())
	require.ErrorIs(t, within(t, first.ended, "the end of the call"), errShutdown)
	within(t, second.began, "the call by the other runner")
	b.noReport()
	assert.Zero(t, b.crashes(b.key(event.KindCore, 0)).Count())
}
