package schedule

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the machine may have none

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// A daily schedule over 1,000 namespaces spreads its starts over the jitter window,
// loses and doubles none when the bridge is killed at the very tick and in the
// middle of the window, and keeps the wall-clock time over a change of the clock.
func TestFleet(t *testing.T) {
	t.Parallel()
	const (
		namespaces = 1000
		window     = time.Hour
		step       = 5 * time.Second
	)
	zone, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	b := newBoard(t, "2026-03-27T12:00:00Z")
	br := b.start()
	for i := range namespaces {
		b.create(fmt.Sprintf("team-%d/nightly", i), salvor.ScheduleSource{Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Jitter: "1h"})
	}
	// 02:30 on the day before, on the day of the gap (so 03:00), and on the day after.
	days := []time.Time{
		time.Date(2026, 3, 28, 2, 30, 0, 0, zone), time.Date(2026, 3, 29, 3, 0, 0, 0, zone), time.Date(2026, 3, 30, 2, 30, 0, 0, zone),
	}
	require.Equal(t, 23*time.Hour+30*time.Minute, days[1].Sub(days[0]), "the day has 23 hours, and 02:30 became 03:00")
	seen := 0
	for _, day := range days {
		b.pass(day.Sub(b.clock.Now())-time.Second, time.Hour)
		require.Len(t, b.stored(), seen, "before the tick")
		// At the very tick: those that are due are told, and the bridge dies before any status is written.
		b.clock.Step(time.Second)
		br.round()
		b.kill(br)
		br = b.start()
		br.round()
		b.written()
		b.pass(window/2, step)
		// In the middle of the window, down for a minute.
		b.kill(br)
		b.clock.Step(time.Minute)
		br = b.start()
		br.round()
		b.written()
		b.pass(window/2-time.Minute-step, step)

		ticks := b.stored()[seen:]
		require.Len(t, ticks, namespaces, "one for each namespace, all within the window")
		seen += len(ticks)
		sources := map[string]bool{}
		for _, e := range ticks {
			require.Equal(t, day.UTC().Format(time.RFC3339), e.ID())
			sources[e.Source()] = true
		}
		require.Len(t, sources, namespaces)
		text, chi := histogram(ticks, day, window)
		t.Logf("starts over the hour from %s, by 2 minutes, 1,000 namespaces:\n%s", day, text)
		// 30 bins, 29 degrees of freedom: an even spread is beyond it once in 1,000 times.
		assert.Less(t, chi, 58.3, "evenness")
		assert.Less(t, kolmogorov(ticks, day, window), 1.95/math.Sqrt(namespaces), "evenness")
	}
	b.pass(window, time.Minute)
	assert.Len(t, b.stored(), seen, "nothing comes after the window")
}

// Without jitter all start at once; killed in the midst of telling them, with half of
// what it told in the statuses, the bridge tells each once all the same.
func TestFleetKilledInTheMidst(t *testing.T) {
	t.Parallel()
	const namespaces = 1000
	b := newBoard(t, "2026-11-23T01:59:59Z")
	br := b.start()
	for i := range namespaces {
		b.create(fmt.Sprintf("team-%d/nightly", i), salvor.ScheduleSource{Cron: "0 2 * * *"})
	}
	br.dies = 437
	b.clock.Step(time.Second)
	due, _ := br.due()
	require.Len(t, due, namespaces)
	br.tellAll(t.Context(), due)
	b.pending = b.pending[:200]
	b.written()
	require.Len(t, b.stored(), br.dies)
	b.kill(br)

	br = b.start()
	br.round()
	b.written()
	sources := map[string]bool{}
	for _, e := range b.stored() {
		require.False(t, sources[e.Source()], "told twice")
		sources[e.Source()] = true
	}
	require.Len(t, sources, namespaces)
	assert.Len(t, br.publishes, namespaces-200)
}

// histogram draws the starts and returns their distance from evenness.
func histogram(ticks []*cloudevents.Event, from time.Time, window time.Duration) (text string, chiSquare float64) {
	counts := make([]int, 30)
	bin := window / time.Duration(len(counts))
	for _, e := range ticks {
		counts[e.Time().Sub(from)/bin]++
	}
	even := float64(len(ticks)) / float64(len(counts))
	var out strings.Builder
	for i, n := range counts {
		chiSquare += (float64(n) - even) * (float64(n) - even) / even
		fmt.Fprintf(&out, "  +%2dm %3d %s\n", int((time.Duration(i) * bin).Minutes()), n, strings.Repeat("█", n))
	}
	fmt.Fprintf(&out, "  mean %.1f, least %d, most %d, chi-square %.1f", even, slices.Min(counts), slices.Max(counts), chiSquare)
	return out.String(), chiSquare
}

// kolmogorov is the largest distance of the starts' distribution from the even one.
func kolmogorov(ticks []*cloudevents.Event, from time.Time, window time.Duration) float64 {
	at := make([]float64, len(ticks))
	for i, e := range ticks {
		at[i] = float64(e.Time().Sub(from)) / float64(window)
	}
	slices.Sort(at)
	most, n := 0.0, float64(len(at))
	for i, x := range at {
		most = max(most, math.Abs(x-float64(i)/n), math.Abs(x-float64(i+1)/n))
	}
	return most
}

// Ten thousand triggers cost memory, and no goroutines, which are counted: so it runs
// alone.
func TestTenThousand(t *testing.T) {
	const triggers = 10_000
	b := newBoard(t, "2026-11-23T10:20:00Z")
	br := b.start()
	goroutines := runtime.NumGoroutine()
	began := time.Now()
	for i := range triggers {
		b.create(fmt.Sprintf("team-%d/nightly", i), salvor.ScheduleSource{Cron: "0 2 * * *", TimeZone: "Europe/Berlin", Jitter: "6h"})
	}
	made := time.Since(began)
	assert.Less(t, runtime.NumGoroutine(), goroutines+100, "not one goroutine for each trigger")
	began = time.Now()
	for range 1000 {
		due, wait := br.due()
		require.Empty(t, due)
		require.Equal(t, longest, wait)
	}
	t.Logf("%d triggers taken in within %s, 1,000 looks at them within %s", triggers, made, time.Since(began))
	b.clock.SetTime(time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC))
	began = time.Now()
	br.round()
	t.Logf("%d ticks told within %s", len(br.publishes), time.Since(began))
	require.Len(t, br.publishes, triggers)
}
