package trigger

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule says when a trigger ticks. Its ticks are nominal: the jitter, Offset, is
// the caller's to add.
type Schedule struct {
	spec *cron.SpecSchedule
	zone *time.Location
	// elapsed says that the hour is a wildcard or a step; see the package comment.
	elapsed bool
	offset  time.Duration
}

// maxSilence is how long a schedule can go without a tick: 29 February of a leap
// year, around a century that is none.
const maxSilence = 8

// maxCount bounds how far Last counts.
const maxCount = 10_000

// Offset is by how much the trigger's ticks are later than their time: its share of
// the jitter. It depends on the trigger's namespace and name only.
func (s *Schedule) Offset() time.Duration { return s.offset }

// Next is the first tick after a time; the zero time if there is none.
func (s *Schedule) Next(after time.Time) time.Time {
	if s.elapsed {
		return s.nextElapsed(after)
	}
	for wall := wallOf(after, s.zone); ; {
		wall = s.nextWall(wall)
		if wall.IsZero() {
			return time.Time{}
		}
		if tick := s.instant(wall); tick.After(after) {
			return tick
		}
	}
}

// Last is the newest tick later than after and not later than until, and how many there are;
// the zero time and 0 if there is none. It stops counting at some thousands.
func (s *Schedule) Last(after, until time.Time) (tick time.Time, n int) {
	for next := s.Next(after); !next.IsZero() && !next.After(until); next = s.Next(next) {
		tick = next
		if n++; n == maxCount {
			return s.newest(tick, until), n
		}
	}
	return tick, n
}

// newest is the newest tick not after until; known is one.
func (s *Schedule) newest(known, until time.Time) time.Time {
	// There is a tick in (low, until] or low is the newest, and none in (high, until].
	low, high := known, until
	for high.Sub(low) > time.Second {
		middle := low.Add(high.Sub(low) / 2)
		if next := s.Next(middle); next.IsZero() || next.After(until) {
			high = middle
		} else {
			low = next
		}
	}
	return low
}

// wallOf is what a clock on the wall shows, as if it were UTC.
func wallOf(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	_, offset := t.Zone()
	return t.Add(time.Duration(offset) * time.Second).UTC()
}

// nextWall is the next matching minute of the calendar after one.
func (s *Schedule) nextWall(wall time.Time) time.Time {
	for range maxSilence/4 + 1 {
		if next := s.spec.Next(wall); !next.IsZero() {
			return next
		}
		// The library looks no further than five years.
		wall = wall.AddDate(4, 0, 0)
	}
	return time.Time{}
}

// instant is the first instant at which a clock on the wall shows wall or later.
func (s *Schedule) instant(wall time.Time) time.Time {
	// No place is further from UTC than this.
	const farthest = 16 * time.Hour
	t := wall.Add(-farthest).In(s.zone)
	for {
		start, end := t.ZoneBounds()
		_, offset := t.Zone()
		at := wall.Add(-time.Duration(offset) * time.Second).In(s.zone)
		switch {
		case !start.IsZero() && at.Before(start):
			return start.UTC()
		case end.IsZero() || at.Before(end):
			return at.UTC()
		}
		t = end
	}
}

// nextElapsed is the next instant at which a clock on the wall shows a matching
// minute.
func (s *Schedule) nextElapsed(after time.Time) time.Time {
	t, wall := after.In(s.zone), wallOf(after, s.zone)
	for {
		_, end := t.ZoneBounds()
		_, offset := t.Zone()
		next := s.nextWall(wall)
		if next.IsZero() {
			return next
		}
		at := next.Add(-time.Duration(offset) * time.Second)
		if end.IsZero() || at.Before(end) {
			return at.UTC()
		}
		// The clock is changed before; what it shows then may match.
		t = end
		wall = wallOf(end, s.zone).Add(-time.Second)
	}
}

// offsetOf is a part of the jitter, evenly spread over all names.
func offsetOf(namespace, name string, jitter time.Duration) time.Duration {
	if jitter <= 0 {
		return 0
	}
	sum := sha256.Sum256([]byte(namespace + "/" + name))
	part, _ := bits.Mul64(binary.BigEndian.Uint64(sum[:8]), uint64(jitter))
	return time.Duration(part).Truncate(time.Second) //nolint:gosec // less than jitter
}
