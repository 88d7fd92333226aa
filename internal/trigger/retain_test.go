package trigger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/trigger"
)

// good is a complete backup that has its time as its name.
func good(at time.Time) trigger.Backup {
	return trigger.Backup{Name: at.Format(time.RFC3339), At: at, Good: true}
}

// names of those that stay.
func names(backups []trigger.Backup, stay []bool) []string {
	var out []string
	for i := range backups {
		if stay[i] {
			out = append(out, backups[i].Name)
		}
	}
	return out
}

func berlin(t require.TestingT) *time.Location {
	zone, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	return zone
}

func TestRetainWithoutRules(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	backups := []trigger.Backup{good(now.AddDate(-9, 0, 0)), good(now), {Name: "failed", At: now}}
	for name, keep := range map[string]*salvor.Retention{
		"nothing said":         nil,
		"no rule for the good": {Failed: ptr.To[int32](5), Action: "purge", TimeZone: "Europe/Berlin"},
	} {
		assert.Equal(t, []bool{true, true, true}, trigger.Retain(keep, nil, now, backups), name)
	}
	assert.Empty(t, trigger.Retain(&salvor.Retention{Count: ptr.To[int32](1)}, nil, now, nil))
}

// Each rule alone, over one backup every six hours.
func TestRetainRules(t *testing.T) {
	now := time.Date(2026, 5, 20, 18, 30, 0, 0, time.UTC) // a Wednesday
	var backups []trigger.Backup
	for at := now.AddDate(-3, 0, 0); !at.After(now); at = at.Add(6 * time.Hour) {
		backups = append(backups, good(at))
	}
	n := func(n int32) *int32 { return &n }
	for _, c := range []struct {
		name string
		keep salvor.Retention
		want []string
	}{
		{"count", salvor.Retention{Count: n(2)}, []string{"2026-05-20T12:30:00Z", "2026-05-20T18:30:00Z"}},
		{"within", salvor.Retention{Within: "12h"}, []string{"2026-05-20T12:30:00Z", "2026-05-20T18:30:00Z"}},
		{"within less than the newest's age", salvor.Retention{Within: "1ms"}, []string{"2026-05-20T18:30:00Z"}},
		{"hourly", salvor.Retention{Hourly: n(2)}, []string{"2026-05-20T12:30:00Z", "2026-05-20T18:30:00Z"}},
		{"daily", salvor.Retention{Daily: n(2)}, []string{"2026-05-19T18:30:00Z", "2026-05-20T18:30:00Z"}},
		{"weekly", salvor.Retention{Weekly: n(2)}, []string{"2026-05-17T18:30:00Z", "2026-05-20T18:30:00Z"}},
		{"monthly", salvor.Retention{Monthly: n(2)}, []string{"2026-04-30T18:30:00Z", "2026-05-20T18:30:00Z"}},
		{"yearly", salvor.Retention{Yearly: n(3)}, []string{"2024-12-31T18:30:00Z", "2025-12-31T18:30:00Z", "2026-05-20T18:30:00Z"}},
		{
			"all together",
			salvor.Retention{Count: n(1), Daily: n(2), Yearly: n(2)},
			[]string{"2025-12-31T18:30:00Z", "2026-05-19T18:30:00Z", "2026-05-20T18:30:00Z"},
		},
		{"unreadable", salvor.Retention{Within: "a while"}, names(backups, slices.Repeat([]bool{true}, len(backups)))},
	} {
		assert.Equal(t, c.want, names(backups, trigger.Retain(&c.keep, nil, now, backups)), c.name)
	}
}

// A week belongs to the year that its Thursday is in.
func TestRetainWeekOverNewYear(t *testing.T) {
	monday, friday := time.Date(2025, 12, 29, 1, 0, 0, 0, time.UTC), time.Date(2026, 1, 2, 1, 0, 0, 0, time.UTC)
	backups := []trigger.Backup{good(monday), good(friday)}
	assert.Equal(t, []bool{false, true}, trigger.Retain(&salvor.Retention{Weekly: ptr.To[int32](5)}, nil, friday, backups))
}

// A day is the zone's: of two backups of one UTC day both stay when midnight is
// between them.
func TestRetainInTheZone(t *testing.T) {
	evening := time.Date(2026, 7, 1, 21, 30, 0, 0, time.UTC)
	backups := []trigger.Backup{good(evening), good(evening.Add(time.Hour))}
	keep := &salvor.Retention{Daily: ptr.To[int32](2)}
	assert.Equal(t, []bool{false, true}, trigger.Retain(keep, time.UTC, evening, backups))
	assert.Equal(t, []bool{true, true}, trigger.Retain(keep, berlin(t), evening, backups))
}

// When summer time ends the hour from 2 to 3 occurs twice, and is two hours; the day
// has 25 of them and is one day. When it begins, the day has 23.
func TestRetainOverChangesOfTheClock(t *testing.T) {
	zone := berlin(t)
	for _, c := range []struct {
		day   time.Time
		hours int
	}{
		{time.Date(2026, 10, 25, 0, 0, 0, 0, zone), 25},
		{time.Date(2026, 3, 29, 0, 0, 0, 0, zone), 23},
	} {
		var backups []trigger.Backup
		for at := c.day; at.In(zone).Day() == c.day.Day(); at = at.Add(30 * time.Minute) {
			backups = append(backups, good(at))
		}
		require.Len(t, backups, 2*c.hours)
		hourly := trigger.Retain(&salvor.Retention{Hourly: ptr.To[int32](100)}, zone, c.day, backups)
		assert.Len(t, names(backups, hourly), c.hours)
		daily := trigger.Retain(&salvor.Retention{Daily: ptr.To[int32](100)}, zone, c.day, backups)
		assert.Equal(t, []string{backups[len(backups)-1].Name}, names(backups, daily))
	}
}

// What is not good neither counts nor fills a span, and is counted on its own.
func TestRetainFailed(t *testing.T) {
	now := time.Date(2026, 5, 20, 0, 0, 0, 0, time.UTC)
	backups := []trigger.Backup{
		{Name: "f3", At: now},
		{Name: "f2", At: now.Add(-time.Hour)},
		{Name: "f1", At: now.Add(-2 * time.Hour)},
		good(now.Add(-3 * time.Hour)), good(now.Add(-4 * time.Hour)),
	}
	keep := &salvor.Retention{Count: ptr.To[int32](1)}
	assert.Equal(t, []bool{true, true, true, true, false}, trigger.Retain(keep, nil, now, backups))
	keep.Failed = ptr.To[int32](2)
	assert.Equal(t, []bool{true, true, false, true, false}, trigger.Retain(keep, nil, now, backups))
}

func aRetention(t *rapid.T) *salvor.Retention {
	count := func(label string) *int32 {
		if !rapid.Bool().Draw(t, "has "+label) {
			return nil
		}
		return new(rapid.Int32Range(1, 6).Draw(t, label))
	}
	keep := &salvor.Retention{
		Count: count("count"), Hourly: count("hourly"), Daily: count("daily"), Weekly: count("weekly"),
		Monthly: count("monthly"), Yearly: count("yearly"), Failed: count("failed"),
	}
	if rapid.Bool().Draw(t, "has within") {
		keep.Within = salvor.Duration(fmt.Sprintf("%dh", rapid.IntRange(0, 5000).Draw(t, "within")))
	}
	return keep
}

func someBackups(t *rapid.T) []trigger.Backup {
	// Around both changes of the clock, often close together, sometimes at once.
	start := time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC)
	minutes := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(0, 20*24*60), rapid.IntRange(0, 3*365*24*60))
	var backups []trigger.Backup
	for i := range rapid.IntRange(0, 40).Draw(t, "backups") {
		backups = append(backups, trigger.Backup{
			Name: fmt.Sprintf("b%d", i),
			At:   start.Add(time.Duration(minutes.Draw(t, "minutes")) * time.Minute),
			Good: rapid.IntRange(0, 3).Draw(t, "good") > 0,
		})
	}
	return backups
}

func newest(backups []trigger.Backup, among func(i int) bool) (int, bool) {
	best, found := 0, false
	for i := range backups {
		if !among(i) {
			continue
		}
		after := backups[i].At.Compare(backups[best].At)
		if !found || after > 0 || (after == 0 && backups[i].Name > backups[best].Name) {
			best, found = i, true
		}
	}
	return best, found
}

// Whatever the rules, times and zone: the newest good one stays, in whatever order
// they come; what stays stays again; time only takes away; more of a rule only adds.
func TestRetainProperties(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		require.NoError(t, err)
		keep, backups := aRetention(t), someBackups(t)
		now := time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 4*365*24).Draw(t, "now")) * time.Hour)
		stay := trigger.Retain(keep, zone, now, backups)
		require.Len(t, stay, len(backups))

		if i, found := newest(backups, func(i int) bool { return backups[i].Good }); found {
			assert.True(t, stay[i], "the newest good one went")
		}
		var left []trigger.Backup
		for i := range backups {
			if stay[i] {
				left = append(left, backups[i])
			}
		}
		assert.NotContains(t, trigger.Retain(keep, zone, now, left), false, "what stays goes the next time")

		later := now.Add(time.Duration(rapid.IntRange(0, 10000).Draw(t, "later")) * time.Hour)
		for i, still := range trigger.Retain(keep, zone, later, backups) {
			assert.False(t, still && !stay[i], "%s comes back", backups[i].Name)
		}
		if keep.Count != nil {
			more := keep.DeepCopy()
			*more.Count += rapid.Int32Range(1, 5).Draw(t, "more")
			for i, still := range trigger.Retain(more, zone, now, backups) {
				assert.False(t, stay[i] && !still, "%s goes because more are kept", backups[i].Name)
			}
		}
		order := rapid.Permutation(backups).Draw(t, "order")
		assert.ElementsMatch(t, names(backups, stay), names(order, trigger.Retain(keep, zone, now, order)))
	})
}

// Of the newest so many spans that have a good backup, each keeps its newest, and
// nothing else stays.
func TestRetainKeepsTheNewestOfEachSpan(t *testing.T) {
	zone := berlin(t)
	spans := map[string]func(time.Time) string{
		"hourly":  func(at time.Time) string { return at.Format("2006-01-02 15 -0700") },
		"daily":   func(at time.Time) string { return at.Format("2006-01-02") },
		"weekly":  func(at time.Time) string { y, w := at.ISOWeek(); return fmt.Sprintf("%04d %02d", y, w) },
		"monthly": func(at time.Time) string { return at.Format("2006-01") },
		"yearly":  func(at time.Time) string { return at.Format("2006") },
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"hourly", "daily", "weekly", "monthly", "yearly"}).Draw(t, "rule")
		n := rapid.Int32Range(1, 8).Draw(t, "n")
		keep := map[string]*salvor.Retention{
			"hourly": {Hourly: &n}, "daily": {Daily: &n}, "weekly": {Weekly: &n}, "monthly": {Monthly: &n}, "yearly": {Yearly: &n},
		}[name]
		backups := someBackups(t)
		newestOf := map[string]int{}
		for i := range backups {
			if backups[i].Good {
				newestOf[spans[name](backups[i].At.In(zone))], _ = newest(backups, func(j int) bool {
					return backups[j].Good && spans[name](backups[j].At.In(zone)) == spans[name](backups[i].At.In(zone))
				})
			}
		}
		var kept []int
		for _, i := range newestOf {
			kept = append(kept, i)
		}
		slices.SortFunc(kept, func(i, j int) int { return backups[j].At.Compare(backups[i].At) })
		want := make([]bool, len(backups))
		for _, i := range kept[:min(len(kept), int(n))] {
			want[i] = true
		}
		got := trigger.Retain(keep, zone, time.Time{}, backups)
		for i := range backups {
			if backups[i].Good {
				assert.Equal(t, want[i], got[i], backups[i].Name)
			}
		}
	})
}
