package trigger_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the machine may have none

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/trigger"
)

// schedule compiles a schedule.
func schedule(t require.TestingT, cron, zone string) *trigger.Schedule {
	at := newTrigger(func(s *salvor.ActionTriggerSpec) {
		s.When = salvor.TriggerSource{Schedule: &salvor.ScheduleSource{Cron: cron, TimeZone: zone}}
	})
	c, err := trigger.Compile(at)
	require.NoError(t, err)
	return c.Schedule()
}

// Around changes of the clock, in words that can be checked by hand.
func TestScheduleAroundChangesOfTheClock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, cron, zone, after string
		ticks                   []string
	}{
		{
			"a gap: the first instant after it", "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"},
		},
		{
			"twice: the first time", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00+02:00",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"},
		},
		{
			"twice, asked between the two", "30 2 * * *", "Europe/Berlin", "2026-10-25T02:45:00+02:00",
			[]string{"2026-10-26T02:30:00+01:00"},
		},
		{
			"twice, asked in the second", "45 2 * * *", "Europe/Berlin", "2026-10-25T02:30:00+01:00",
			[]string{"2026-10-26T02:45:00+01:00"},
		},
		{
			"several minutes in a gap are one tick", "*/20 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-29T03:20:00+02:00", "2026-03-29T03:40:00+02:00"},
		},
		{
			"every hour is every hour that passes, gap", "30 * * * *", "Europe/Berlin", "2026-03-29T01:00:00+01:00",
			[]string{"2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00", "2026-03-29T04:30:00+02:00"},
		},
		{
			"every hour is every hour that passes, twice", "30 * * * *", "Europe/Berlin", "2026-10-25T02:00:00+02:00",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"},
		},
		{
			"0-23 is every hour", "30 0-23 * * *", "Europe/Berlin", "2026-10-25T02:00:00+02:00",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"},
		},
		{
			"a step of hours", "0 */2 * * *", "Europe/Berlin", "2026-10-25T01:00:00+02:00",
			[]string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T04:00:00+01:00"},
		},
		{
			"a step that is one hour is a fixed time", "30 2/24 * * *", "Europe/Berlin", "2026-10-24T12:00:00+02:00",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"},
		},
		{
			"half an hour, gap", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00+10:30",
			[]string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"},
		},
		{
			"half an hour, twice", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00+11:00",
			[]string{"2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"},
		},
		{
			"half an hour, every hour", "45 * * * *", "Australia/Lord_Howe", "2026-04-05T00:50:00+11:00",
			[]string{"2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30", "2026-04-05T02:45:00+10:30"},
		},
		{
			"a day that was skipped", "0 12 * * *", "Pacific/Apia", "2011-12-29T11:00:00-10:00",
			[]string{"2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"},
		},
		{
			"a date that was skipped", "0 12 30 12 *", "Pacific/Apia", "2011-01-01T00:00:00-10:00",
			[]string{"2011-12-31T00:00:00+14:00", "2012-12-30T12:00:00+14:00"},
		},
		{
			"midnight in a gap", "@daily", "America/Sao_Paulo", "2018-11-03T12:00:00-03:00",
			[]string{"2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"},
		},
		{
			"midnight twice", "@daily", "Atlantic/Azores", "2026-10-24T12:00:00Z",
			[]string{"2026-10-25T00:00:00Z", "2026-10-26T00:00:00-01:00"},
		},
		{
			"two hours at once", "30 1,2 * * *", "Antarctica/Troll", "2026-03-28T12:00:00Z",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T01:30:00+02:00"},
		},
		{"a leap day over a century", "0 0 29 2 *", "", "2096-03-01T00:00:00Z", []string{"2104-02-29T00:00:00Z"}},
		{
			"the day of the month or of the week", "0 0 13 * 5", "UTC", "2026-11-10T00:00:00Z",
			[]string{"2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z", "2026-12-04T00:00:00Z", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := schedule(t, c.cron, c.zone)
			zone, err := time.LoadLocation(c.zone)
			require.NoError(t, err)
			at, err := time.Parse(time.RFC3339, c.after)
			require.NoError(t, err)
			for _, want := range c.ticks {
				at = s.Next(at)
				assert.Equal(t, want, at.In(zone).Format(time.RFC3339))
			}
		})
	}
}

// zones with all sorts of changes: whole hours, half an hour, two hours, at
// midnight, backwards in spring, a day skipped, quarters of an hour from UTC.
var zones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Kwajalein", "Africa/Cairo",
	"America/Sao_Paulo", "Asia/Kathmandu", "Africa/Casablanca", "America/Santiago", "Antarctica/Troll", "Asia/Tehran",
	"Pacific/Chatham", "Europe/Dublin", "Asia/Pyongyang", "America/Caracas",
}

// The ticks are those that trying every minute finds.
func TestScheduleAgainstEveryMinute(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(zones).Draw(t, "zone")
		zone, err := time.LoadLocation(name)
		require.NoError(t, err)
		// Somewhere between 1993 and 2040, and next to a change of the clock if there is one.
		from := time.Unix(rapid.Int64Range(725846400, 2208988800).Draw(t, "from"), 0)
		if _, change := from.In(zone).ZoneBounds(); !change.IsZero() && rapid.Bool().Draw(t, "at a change") {
			from = change.Add(-time.Duration(rapid.IntRange(0, 48*60).Draw(t, "before")) * time.Minute)
		}
		from = from.Truncate(time.Minute).Add(time.Duration(rapid.IntRange(0, 59).Draw(t, "second")) * time.Second)
		until := from.Add(time.Duration(rapid.IntRange(1, 5*24*60).Draw(t, "minutes")) * time.Minute)
		expression := drawExpression(t)
		s := schedule(t, expression, name)

		want := everyMinute(expression, zone, from, until)
		var got []time.Time
		for at := s.Next(from); !at.IsZero() && !at.After(until); at = s.Next(at) {
			got = append(got, at)
			require.LessOrEqual(t, len(got), len(want), "a tick too many: %s", at.In(zone))
		}
		require.Equal(t, texts(want), texts(got), "%q in %s after %s", expression, name, from.In(zone))
		last, n := s.Last(from, until)
		require.Equal(t, len(want), n)
		if n > 0 {
			require.True(t, last.Equal(want[n-1]))
		} else {
			require.True(t, last.IsZero())
		}
	})
}

func texts(times []time.Time) []string {
	out := make([]string, len(times))
	for i := range times {
		out[i] = times[i].UTC().Format(time.RFC3339)
	}
	return out
}

func drawExpression(t *rapid.T) string {
	minute := rapid.SampledFrom([]string{"*", "0", "15", "30", "45", "59", "*/20", "0,30", "10-20/5", "1"}).Draw(t, "minute")
	hour := rapid.SampledFrom([]string{"*", "*/2", "*/5", "0", "1", "2", "3", "23", "0,2", "1-3", "0-23", "2/24", "1-22/7", "12"}).Draw(t, "hour")
	day := rapid.SampledFrom([]string{"*", "*", "*", "1", "*/2", "28-31", "30"}).Draw(t, "day")
	month := rapid.SampledFrom([]string{"*", "*", "*", "1-6", "10,11,12,3,4"}).Draw(t, "month")
	weekday := rapid.SampledFrom([]string{"*", "*", "*", "0", "1-5", "6"}).Draw(t, "weekday")
	return strings.Join([]string{minute, hour, day, month, weekday}, " ")
}

// everyMinute is the meaning of an expression, said as plainly as possible: it
// looks at each minute. Clocks in zones change at whole minutes.
func everyMinute(expression string, zone *time.Location, from, until time.Time) []time.Time {
	fields := strings.Fields(expression)
	matches := func(wall time.Time) bool {
		day, weekday := among(fields[2], wall.Day(), 1, 31), among(fields[4], int(wall.Weekday()), 0, 6)
		both := day && weekday
		if fields[2] != "*" && fields[4] != "*" {
			both = day || weekday
		}
		return both && among(fields[0], wall.Minute(), 0, 59) && among(fields[1], wall.Hour(), 0, 23) && among(fields[3], int(wall.Month()), 1, 12)
	}
	wallAt := func(t time.Time) time.Time {
		l := t.In(zone)
		return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), 0, time.UTC)
	}
	var out []time.Time
	add := func(t time.Time) {
		if t.After(from) && !t.After(until) && (len(out) == 0 || !out[len(out)-1].Equal(t)) {
			out = append(out, t)
		}
	}
	hours := 0
	for h := range 24 {
		if among(fields[1], h, 0, 23) {
			hours++
		}
	}
	first := from.UTC().Truncate(time.Minute)
	if hours == 24 || (strings.ContainsAny(fields[1], "*/") && hours > 1) {
		for t := first; !t.After(until); t = t.Add(time.Minute) {
			if matches(wallAt(t)) {
				add(t)
			}
		}
		return out
	}
	// Each minute of the calendar, at the first instant when the wall shows it or later.
	t := first.Add(-72 * time.Hour)
	for wall := wallAt(t).Truncate(time.Minute); !t.After(until); wall = wall.Add(time.Minute) {
		if !matches(wall) {
			continue
		}
		for wallAt(t).Before(wall) && !t.After(until) {
			t = t.Add(time.Minute)
		}
		if !t.After(until) {
			add(t)
		}
	}
	return out
}

// among reads one field: *, a, a-b, lists of them, and steps.
func among(field string, value, low, high int) bool {
	return slices.ContainsFunc(strings.Split(field, ","), func(part string) bool {
		part, stepText, stepped := strings.Cut(part, "/")
		a, b := low, high
		if part != "*" {
			first, last, ranged := strings.Cut(part, "-")
			a, _ = strconv.Atoi(first)
			switch {
			case ranged:
				b, _ = strconv.Atoi(last)
			case !stepped:
				b = a
			}
		}
		step := 1
		if stepped {
			step, _ = strconv.Atoi(stepText)
		}
		return value >= a && value <= b && (value-a)%step == 0
	})
}

// Far more ticks than anybody counts: the newest is found all the same.
func TestLastOfVeryMany(t *testing.T) {
	t.Parallel()
	s := schedule(t, "*/7 3-9 * * 1-5", "America/New_York")
	from := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	until := time.Date(2026, 11, 23, 3, 4, 5, 0, time.UTC)
	last, n := s.Last(from, until)
	assert.Equal(t, 10_000, n)
	assert.Equal(t, "2026-11-20T09:56:00-05:00", last.In(mustZone(t, "America/New_York")).Format(time.RFC3339))
}

func mustZone(t *testing.T, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	require.NoError(t, err)
	return zone
}

// The share of the jitter depends on the name only, is within bounds, and even.
func TestOffset(t *testing.T) {
	t.Parallel()
	const n, jitter = 10_000, 30 * time.Minute
	offset := func(namespace, name string) time.Duration {
		at := newTrigger(func(s *salvor.ActionTriggerSpec) {
			s.When = salvor.TriggerSource{Schedule: &salvor.ScheduleSource{Cron: "@daily", Jitter: "30m"}}
		})
		at.Namespace, at.Name = namespace, name
		c, err := trigger.Compile(at)
		require.NoError(t, err)
		return c.Schedule().Offset()
	}
	first := offset("shop", "nightly")
	assert.Equal(t, first, offset("shop", "nightly"))
	buckets := make([]int, 30)
	for i := range n {
		o := offset(fmt.Sprintf("team-%d", i), "nightly")
		require.GreaterOrEqual(t, o, time.Duration(0))
		require.Less(t, o, jitter)
		require.Zero(t, o%time.Second, "a status has whole seconds")
		buckets[o/time.Minute]++
	}
	assert.Less(t, chiSquare(buckets), 58.3, "p = 0.001 with 29 degrees of freedom: %v", buckets)
}

// chiSquare is the distance of counts from evenness.
func chiSquare(counts []int) float64 {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	even, chi := float64(sum)/float64(len(counts)), 0.0
	for _, n := range counts {
		chi += (float64(n) - even) * (float64(n) - even) / even
	}
	return chi
}
