package trigger

import (
	"math/bits"
	"regexp"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/nearest"
)

// sunday7 finds a seven in a day of the week.
var sunday7 = regexp.MustCompile(`(^|[,-])7($|[,/])`)

// descriptors are the words that may stand for an expression.
func descriptors() []string {
	return []string{"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}
}

// schedule compiles a schedule; nil if something is wrong with it.
func (c *compiler) schedule(s *salvor.ScheduleSource) *Schedule {
	const base = "spec.when.schedule"
	before := len(c.problems)
	spec := c.cron(base+".cron", s.Cron)
	zone := c.zone(base+".timeZone", s.TimeZone)
	jitter := c.duration(base+".jitter", s.Jitter, 0)
	switch s.Missed {
	case "", salvor.MissedOnce, salvor.MissedSkip:
	default:
		c.oneOf(base+".missed", string(s.Missed), string(salvor.MissedOnce), string(salvor.MissedSkip))
	}
	if spec != nil {
		if gap := smallestGap(spec); jitter > gap {
			c.add(base+".jitter", "use at most "+short(gap), "%s is longer than %s, which is the smallest time between two ticks", s.Jitter, short(gap))
		}
	}
	if len(c.problems) > before {
		return nil
	}
	return &Schedule{
		spec: spec, zone: zone, elapsed: hourIsWild(spec, s.Cron),
		offset: offsetOf(c.trigger.Namespace, c.trigger.Name, jitter),
	}
}

// cron parses an expression; nil if it is wrong.
func (c *compiler) cron(field, text string) *cron.SpecSchedule {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		c.add(field, "write five fields, such as 0 2 * * *", "it is empty")
		return nil
	case strings.Contains(text, "="):
		c.add(field, "put the zone into timeZone", "an expression holds no time zone")
		return nil
	case strings.HasPrefix(text, "@"):
		return c.descriptor(field, text)
	}
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(text)
	spec, ok := parsed.(*cron.SpecSchedule)
	if err != nil || !ok {
		hint := "the five fields are minute, hour, day of the month, month and day of the week, for example 0 2 * * *"
		if fields := strings.Fields(text); len(fields) == 5 && sunday7.MatchString(fields[4]) {
			hint = "Sunday is 0"
		}
		c.add(field, hint, "%q cannot be read: %v", text, err)
		return nil
	}
	if !comes(spec) {
		c.add(field, "look at the day of the month and the month", "the time %q never comes", text)
		return nil
	}
	return spec
}

func (c *compiler) descriptor(field, text string) *cron.SpecSchedule {
	parsed, err := cron.ParseStandard(text)
	spec, ok := parsed.(*cron.SpecSchedule)
	if err == nil && ok {
		return spec
	}
	hint := "use one of " + strings.Join(descriptors(), ", ") + ", or five fields"
	if strings.HasPrefix(text, "@every") {
		hint = "say at which minutes or hours, for example */15 * * * * for every quarter of an hour"
	} else if near := nearest.Name(text, descriptors()); near != "" {
		hint = "did you mean " + near + "?"
	}
	c.add(field, hint, "%q is not known", text)
	return nil
}

// hourIsWild reports whether the hour is a wildcard, a step, or every hour.
func hourIsWild(spec *cron.SpecSchedule, text string) bool {
	const everyHour = 1<<24 - 1
	hours := spec.Hour & everyHour
	if hours == everyHour {
		return true
	}
	fields := strings.Fields(text)
	// A step that meets one hour of the day is a fixed time.
	return len(fields) == 5 && strings.ContainsAny(fields[1], "*?/") && bits.OnesCount64(hours) > 1
}

// comes reports whether the calendar has a day and a minute that match.
func comes(spec *cron.SpecSchedule) bool {
	return len(minutesOf(spec)) > 0 && !(&Schedule{spec: spec}).nextWall(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero()
}

// minutesOf are the minutes of a day that match.
func minutesOf(spec *cron.SpecSchedule) []int {
	var out []int
	for hour := range 24 {
		for minute := range 60 {
			if spec.Hour>>hour&1 == 1 && spec.Minute>>minute&1 == 1 {
				out = append(out, hour*60+minute)
			}
		}
	}
	return out
}

// smallestGap is the smallest time between two ticks on a calendar without changes
// of the clock.
func smallestGap(spec *cron.SpecSchedule) time.Duration {
	const day = 24 * 60
	minutes := minutesOf(spec)
	smallest := maxSilence * 366 * day
	for i := 1; i < len(minutes); i++ {
		smallest = min(smallest, minutes[i]-minutes[i-1])
	}
	overnight := minutes[0] + day - minutes[len(minutes)-1]
	last := -1
	for n := range maxSilence * 366 {
		if !dayMatches(spec, time.Date(2000, 1, 1+n, 0, 0, 0, 0, time.UTC)) {
			continue
		}
		if last >= 0 {
			smallest = min(smallest, overnight+(n-last-1)*day)
		}
		if smallest <= overnight {
			break // no two days are closer
		}
		last = n
	}
	return time.Duration(smallest) * time.Minute
}

// dayMatches is cron's rule: if both the day of the month and the day of the week
// are restricted, one of them is enough.
func dayMatches(spec *cron.SpecSchedule, t time.Time) bool {
	const star = 1 << 63
	if spec.Month>>uint(t.Month())&1 == 0 {
		return false
	}
	day, weekday := spec.Dom>>uint(t.Day())&1 == 1, spec.Dow>>uint(t.Weekday())&1 == 1
	if spec.Dom&star != 0 || spec.Dow&star != 0 {
		return day && weekday
	}
	return day || weekday
}

// short writes a time without what is 0 at its end.
func short(d time.Duration) string {
	text := d.String()
	text = strings.TrimSuffix(text, "0s")
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
