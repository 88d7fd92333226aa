package serve

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/salvor-io/salvor/internal/stream"
)

// syncing is when the servers write to the disk what they acknowledge.
type syncing struct {
	// known says that the servers said it.
	known bool
	// always: before they acknowledge.
	always bool
	// interval is how late at most, when not always.
	interval time.Duration
}

func (s syncing) String() string {
	switch {
	case !s.known:
		return "not known"
	case s.always:
		return "always"
	default:
		return "every " + s.interval.String()
	}
}

// durability is what an acknowledged event survives, in words.
type durability struct {
	summary  string
	warnings []string
}

// judge says what the copies of the streams are good for.
func judge(copies []stream.Copies, sync syncing) durability {
	var d durability
	warn := func(format string, args ...any) { d.warnings = append(d.warnings, fmt.Sprintf(format, args...)) }
	fewest := 0
	byCopies := map[int][]string{}
	for _, c := range copies {
		if c.Missing {
			warn("the stream %s does not exist", c.Stream)
			continue
		}
		if fewest == 0 || c.Replicas < fewest {
			fewest = c.Replicas
		}
		byCopies[c.Replicas] = append(byCopies[c.Replicas], c.Stream)
		if c.InMemory {
			warn("%s is kept in memory: it is lost when its servers restart", c.Stream)
		}
	}
	if fewest == 0 {
		d.summary, d.warnings = "there are no streams yet", nil
		return d
	}
	behind(copies, warn)
	d.summary = summary(fewest, sync) + "; " + list(byCopies)
	if text := syncRisk(fewest, sync); text != "" {
		d.warnings = append(d.warnings, text)
	}
	if fewest == 2 {
		warn("2 replicas stop working when either server is away: 3 go on with one of them away")
	}
	if len(byCopies) > 1 {
		warn("the streams differ in their replicas (%s): start with --replicas to make them alike", list(byCopies))
	}
	return d
}

// behind warns of streams with fewer full copies than they should have.
func behind(copies []stream.Copies, warn func(string, ...any)) {
	missing := map[string][]string{}
	for _, c := range copies {
		if !c.Missing && c.Current < c.Replicas {
			state := fmt.Sprintf("%d of %d", c.Current, c.Replicas)
			missing[state] = append(missing[state], c.Stream)
		}
	}
	for _, state := range slices.Sorted(maps.Keys(missing)) {
		var full, of int
		_, _ = fmt.Sscanf(state, "%d of %d", &full, &of) // made above
		worse := "the loss of one more server stops Salvor until it is back"
		if full <= of/2 {
			worse = "nothing is acknowledged before one more is back"
		}
		if full > of/2+1 {
			worse = "fewer may be lost than was meant"
		}
		warn("only %s copies are complete now of %s: a server is away or catches up; %s", state, strings.Join(missing[state], ", "), worse)
	}
}

func summary(replicas int, sync syncing) string {
	disk := "whether each is on the disk before it is acknowledged is not known"
	if sync.known {
		disk = "on the disk within " + sync.interval.String() + " after it is acknowledged"
		if sync.always {
			disk = "on the disk before it is acknowledged"
		}
	}
	switch {
	case replicas == 1 && sync.always:
		return "one copy, " + disk + ": survives the loss of the process and of power, not of the disk"
	case replicas == 1:
		return "one copy, " + disk
	case sync.always:
		return fmt.Sprintf("%d copies, each %s: survives the loss of %s with the disk, and of power everywhere", replicas, disk, servers((replicas-1)/2))
	default:
		return fmt.Sprintf("%d copies, %s", replicas, disk)
	}
}

func servers(n int) string {
	if n == 1 {
		return "1 server"
	}
	return strconv.Itoa(n) + " servers"
}

// syncRisk says in plain words how an acknowledged event could be lost for want of
// a sync; nothing when it cannot.
func syncRisk(replicas int, sync syncing) string {
	const advice = ": set sync_interval: always on the NATS servers"
	const unknown = " NATS' own default is 2 minutes, and this server may not ask what is set"
	switch {
	case sync.always:
		return ""
	case replicas == 1 && sync.known:
		return "an acknowledged event is lost when the NATS server's machine fails within " + sync.interval.String() + " of it" + advice
	case replicas == 1:
		return "an acknowledged event may be lost when the NATS server's machine fails within its sync_interval." + unknown + advice
	case sync.known:
		return "acknowledged events are lost when the machines of " + strconv.Itoa(replicas/2+1) + " NATS servers fail together (as in a loss of power) within " +
			sync.interval.String() + " of them" + advice
	default:
		return "acknowledged events may be lost when the machines of " + strconv.Itoa(replicas/2+1) +
			" NATS servers fail together (as in a loss of power) within their sync_interval." + unknown + advice
	}
}

// list is "3 replicas: RUNS, JOBS; 1 replica: DLQ".
func list(byReplicas map[int][]string) string {
	var parts []string
	for _, n := range slices.Sorted(maps.Keys(byReplicas)) {
		word := "replicas"
		if n == 1 {
			word = "replica"
		}
		parts = append(parts, fmt.Sprintf("%d %s: %s", n, word, strings.Join(byReplicas[n], ", ")))
	}
	return strings.Join(parts, "; ")
}
