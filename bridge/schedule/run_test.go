package schedule

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/natstest"
)

const (
	patience = 3 * time.Minute
	pause    = 10 * time.Millisecond
)

// Run sleeps until something is due, wakes when that changes, and ends with its
// context.
func TestRun(t *testing.T) {
	t.Parallel()
	b := newBoard(t, "2026-11-23T10:20:00Z")
	br := b.start()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- br.Run(ctx) }()
	await := func(n int) {
		t.Helper()
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			// It may have looked at the clock before the last change, and sleep by that.
			b.clock.Step(time.Second)
			assert.GreaterOrEqual(c, len(b.stored()), n)
		}, patience, pause)
	}
	asleep := func() {
		t.Helper()
		require.EventuallyWithT(t, func(c *assert.CollectT) { assert.True(c, b.clock.HasWaiters()) }, patience, pause)
	}
	asleep()
	b.create(path, hourly())
	for range 3 {
		asleep()
		b.clock.Step(longest) // it looks at the clock, and goes to sleep again
	}
	asleep()
	b.clock.SetTime(time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC))
	await(1)
	// One that is due sooner than what it sleeps for.
	asleep()
	b.create("shop/minutely", salvor.ScheduleSource{Cron: "* * * * *"})
	b.clock.SetTime(time.Date(2026, 11, 23, 11, 1, 0, 0, time.UTC))
	await(2)
	cancel()
	require.NoError(t, <-ended)
}

type deaf struct{ Triggers }

func (deaf) Notify(func(*salvor.ActionTrigger, bool)) error { return errors.New("the watch has ended") }

func TestRunWithoutTriggers(t *testing.T) {
	t.Parallel()
	b := newBoard(t, "2026-11-23T10:20:00Z")
	br := b.start()
	br.Triggers = deaf{}
	require.ErrorContains(t, br.Run(t.Context()), "schedules: the watch has ended")
}

// Whatever happens to bridges, a tick is told when it is due and not before, no
// older one after it, and the newest is never lost; it is told again only if the
// bridge died before the status was written, or if there are two.
func TestNoTickIsLost(t *testing.T) {
	t.Parallel()
	js, boards := natstest.Start(t), 0
	rapid.Check(t, func(r *rapid.T) {
		b := newBoardOn(t, js, "2026-10-24T21:40:30Z")
		boards++
		namespace := fmt.Sprintf("shop-%d", boards) // the same tick would be the same event
		path := namespace + "/nightly"
		cron := rapid.SampledFrom([]string{"0 * * * *", "*/9 * * * *", "30 2 * * *", "15 */3 * * *"}).Draw(r, "cron")
		source := salvor.ScheduleSource{Cron: cron, TimeZone: "Europe/Berlin", Jitter: rapid.SampledFrom([]salvor.Duration{"0s", "5m"}).Draw(r, "jitter")}
		b.create(path, source)
		made := b.clock.Now()
		var running []*bridge
		for range rapid.IntRange(1, 40).Draw(r, "steps") {
			switch rapid.SampledFrom([]string{"pass", "pass", "pass", "start", "kill", "lost", "broken", "well", "written"}).Draw(r, "what") {
			case "pass":
				b.clock.Step(time.Duration(rapid.IntRange(1, 90*60).Draw(r, "seconds")) * time.Second)
				for _, br := range running {
					br.round()
				}
			case "start":
				if len(running) < 2 {
					running = append(running, b.start())
				}
			case "kill":
				if len(running) > 0 {
					b.kill(running[0])
					running = running[1:]
				}
			case "lost":
				for _, br := range running {
					br.lost = true
				}
			case "broken":
				for _, br := range running {
					br.broken = true
				}
			case "well":
				for _, br := range running {
					br.broken, br.lost = false, false
				}
			case "written":
				b.written()
			}
		}
		for _, br := range running {
			b.kill(br)
		}
		br := b.start()
		br.round()
		b.written()

		schedule := br.entries[name{namespace, "nightly"}].schedule
		offset := schedule.Offset()
		want, n := schedule.Last(made, b.clock.Now().Add(-offset))
		last := time.Time{}
		for _, e := range b.stored() {
			tick := e.Time().Add(-offset)
			require.True(r, schedule.Next(tick.Add(-1)).Equal(tick), "%s is no tick", tick)
			require.True(r, tick.After(last), "%s after %s", tick, last)
			require.False(r, e.Time().After(b.clock.Now()), "before its time")
			last = tick
		}
		if n == 0 {
			require.Empty(r, b.stored())
			return
		}
		require.True(r, want.Equal(last), "the newest tick is %s, the newest that was told %s", want, last)
		status := b.status(path)
		require.Equal(r, want.Format(time.RFC3339), text(status.LastTick))
		require.Equal(r, schedule.Next(want).Add(offset).Format(time.RFC3339), text(status.NextTick))
	})
}
