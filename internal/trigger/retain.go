package trigger

import (
	"cmp"
	"slices"
	"time"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// Backup is what Retain knows of an ActionSet that has ended.
type Backup struct {
	Name string
	// At is when it was made.
	At time.Time
	// Good says that it is complete.
	Good bool
}

// Retain decides which backups stay, one answer for each in their order. A good one
// stays if any rule of keep keeps it, and if keep has no rule for good ones; the
// newest good one always stays. One that is not good stays if it is among the newest
// keep.Failed of its sort, and if that is not set. A nil keep keeps all.
//
// The answer holds when it has been acted upon: what stays does so again when
// the others are gone. As time passes it can only get smaller. Of two of the same moment
// the one with the greater name is the newer.
//
// Hours, days, weeks, months and years begin in zone, nil being UTC. An hour that
// occurs twice, when summer time ends, is two.
func Retain(keep *salvor.Retention, zone *time.Location, now time.Time, backups []Backup) (stay []bool) {
	stay = make([]bool, len(backups))
	if keep == nil {
		for i := range stay {
			stay[i] = true
		}
		return stay
	}
	if zone == nil {
		zone = time.UTC
	}
	good, bad := newestFirst(backups)
	for i, index := range bad {
		stay[index] = keep.Failed == nil || i < int(*keep.Failed)
	}
	rules := rulesOf(keep, zone, now)
	for i, index := range good {
		stay[index] = i == 0 || len(rules) == 0
		// Each rule sees each backup, newest first: it counts.
		for _, rule := range rules {
			stay[index] = rule(backups[index].At) || stay[index]
		}
	}
	return stay
}

// newestFirst are the indices of the good backups and of the others.
func newestFirst(backups []Backup) (good, bad []int) {
	for i := range backups {
		if backups[i].Good {
			good = append(good, i)
		} else {
			bad = append(bad, i)
		}
	}
	for _, indices := range [][]int{good, bad} {
		slices.SortFunc(indices, func(i, j int) int {
			a, b := &backups[i], &backups[j]
			return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.Name, a.Name), cmp.Compare(j, i))
		})
	}
	return good, bad
}

// rule says whether it keeps a backup of a time. It is asked for each, newest first.
type rule func(at time.Time) bool

func rulesOf(keep *salvor.Retention, zone *time.Location, now time.Time) []rule {
	var rules []rule
	if keep.Count != nil {
		left := *keep.Count
		rules = append(rules, func(time.Time) bool { left--; return left >= 0 })
	}
	if keep.Within != "" {
		within, err := time.ParseDuration(string(keep.Within))
		// What cannot be read removes nothing; Check says what is wrong.
		rules = append(rules, func(at time.Time) bool { return err != nil || now.Sub(at) < within })
	}
	for _, period := range []struct {
		count *int32
		of    func(time.Time) span
	}{
		{keep.Hourly, hourOf},
		{keep.Daily, dayOf},
		{keep.Weekly, weekOf},
		{keep.Monthly, monthOf},
		{keep.Yearly, yearOf},
	} {
		if period.count != nil {
			rules = append(rules, newestOfEach(int(*period.count), zone, period.of))
		}
	}
	return rules
}

// span names a span of the calendar; what a span has not is zero.
type span struct{ year, part, day, hour, offset int }

// newestOfEach keeps the first that it sees of each of so many spans.
func newestOfEach(count int, zone *time.Location, of func(time.Time) span) rule {
	seen := map[span]bool{}
	return func(at time.Time) bool {
		s := of(at.In(zone))
		if seen[s] || len(seen) >= count {
			return false
		}
		seen[s] = true
		return true
	}
}

func hourOf(at time.Time) span {
	s := dayOf(at)
	s.hour = at.Hour()
	_, s.offset = at.Zone()
	return s
}

func dayOf(at time.Time) span {
	s := monthOf(at)
	s.day = at.Day()
	return s
}

func weekOf(at time.Time) span {
	year, week := at.ISOWeek()
	return span{year: year, part: week}
}

func monthOf(at time.Time) span { return span{year: at.Year(), part: int(at.Month())} }

func yearOf(at time.Time) span { return span{year: at.Year()} }
