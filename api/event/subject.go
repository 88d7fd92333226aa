package event

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
)

// Names of the streams and buckets.
const (
	StreamEvents  = "EVENTS"
	StreamRuns    = "RUNS"
	StreamJobs    = "JOBS"
	StreamReports = "REPORTS"
	StreamTimers  = "TIMERS"
	StreamDLQ     = "DLQ"
	BucketLeases  = "LEASES"
	BucketBlobs   = "BLOBS"
	// BucketTriggers holds what triggers have to remember: events that wait.
	BucketTriggers = "TRIGGERS"
	// BucketOutcomes holds what became of events, for those who wait for them.
	BucketOutcomes = "OUTCOMES"
)

// Prefixes of the subjects.
const (
	prefixEvents  = "salvor.events."
	prefixRuns    = "salvor.runs."
	prefixJobs    = "salvor.jobs."
	prefixReports = "salvor.reports."
	prefixTimers  = "salvor.timers."
	prefixFired   = "salvor.fired."
	prefixDLQ     = "salvor.dlq."
)

// Shards is the number of shards that namespaces are hashed to. It is part of
// the contract: changing it moves runs to other subjects.
const Shards = 16

// DefaultPool is the pool of runners that takes jobs which name no other.
const DefaultPool = "default"

// Shard returns the shard of a namespace, from 0 to Shards-1.
func Shard(namespace string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(namespace)) // never fails
	return int(h.Sum32() % Shards)
}

// RunSubject is where the run's state lies on RUNS.
func RunSubject(namespace, uid string) string {
	return prefixRuns + strconv.Itoa(Shard(namespace)) + "." + token(namespace) + "." + token(uid)
}

// RunSubjects matches every run.
func RunSubjects() string { return prefixRuns + ">" }

// ReportSubject is where reports on the run go.
func ReportSubject(namespace, uid string) string {
	return prefixReports + strconv.Itoa(Shard(namespace)) + "." + token(namespace) + "." + token(uid)
}

// ReportSubjects matches every report.
func ReportSubjects() string { return prefixReports + ">" }

// TimerSubject is where the schedule of the run's next wake-up lies on TIMERS. There
// is one for each run.
func TimerSubject(namespace, uid string) string {
	return prefixTimers + strconv.Itoa(Shard(namespace)) + "." + token(namespace) + "." + token(uid)
}

// FiredSubject is where TIMERS puts a message when the time has come.
func FiredSubject(namespace, uid string) string {
	return prefixFired + strconv.Itoa(Shard(namespace)) + "." + token(namespace) + "." + token(uid)
}

// TimerSubjects matches every schedule.
func TimerSubjects() string { return prefixTimers + ">" }

// FiredSubjects matches every timer that fired.
func FiredSubjects() string { return prefixFired + ">" }

// DeadLetterSubject is where a dead letter of a run goes on DLQ. What belongs to
// no run has an empty namespace and uid.
func DeadLetterSubject(namespace, uid string) string {
	return prefixDLQ + token(namespace) + "." + token(uid)
}

// DeadLetterSubjects matches every dead letter.
func DeadLetterSubjects() string { return prefixDLQ + ">" }

// JobSubject is the subject of a job in a pool.
func JobSubject(pool string, k Key) string {
	return prefixJobs + token(pool) + "." + token(k.Namespace) + "." + k.String()
}

// JobSubjects matches every job of a pool; an empty pool matches all pools.
func JobSubjects(pool string) string {
	if pool == "" {
		return prefixJobs + ">"
	}
	return prefixJobs + token(pool) + ".>"
}

// EventSubject is where a CloudEvent of a type goes on EVENTS. A namespace that
// is not known is "_".
func EventSubject(namespace, ceType string) string {
	if namespace == "" {
		namespace = "_"
	}
	tokens := strings.Split(ceType, ".")
	for i := range tokens {
		tokens[i] = token(tokens[i])
	}
	return prefixEvents + token(namespace) + "." + strings.Join(tokens, ".")
}

// EventSubjects matches every event.
func EventSubjects() string { return prefixEvents + ">" }

// LifecycleSubjects match the lifecycle events of runs in the namespaces, or in all
// if none is named. Others' events may have such a type too; those have another
// source.
func LifecycleSubjects(namespaces ...string) []string {
	if len(namespaces) == 0 {
		return lifecycleSubjects("*")
	}
	names := slices.Clone(namespaces)
	for i := range names {
		names[i] = token(names[i])
	}
	slices.Sort(names)
	var subjects []string
	for _, name := range slices.Compact(names) {
		subjects = append(subjects, lifecycleSubjects(name)...)
	}
	return subjects
}

func lifecycleSubjects(namespace string) []string {
	return []string{prefixEvents + namespace + ".io.salvor.run.>", prefixEvents + namespace + ".io.salvor.phase.>"}
}

// IsLifecycle reports whether an event tells the end of a run or a phase. A source
// below /salvor/ cannot come from outside.
func IsLifecycle(source, ceType string) bool {
	return (source == SourceDispatcher || source == SourceBridge) && slices.Contains(LifecycleTypes(), ceType)
}

// String is the key as four subject tokens: uid, action, phase, attempt. It is
// unique in a cluster, and names claims and message ids.
func (k Key) String() string {
	return fmt.Sprintf("%s.%d.%s.%d", token(k.UID), k.Action, k.phaseToken(), k.Attempt)
}

// PodName is the name of the pod of this attempt: a label of at most 63
// characters, the same whoever computes it.
func (k Key) PodName() string {
	sum := sha256.Sum256([]byte(k.String()))
	return "salvor-" + strings.ToLower(token(k.UID))[:min(len(k.UID), 8)] + "-" +
		strconv.Itoa(k.Action) + k.phaseToken() + "-" + strconv.Itoa(k.Attempt) + "-" + hex.EncodeToString(sum[:5])
}

// PartName is the name of one of several pods of this attempt. The part may be any
// text; empty means the only pod.
func (k Key) PartName(part string) string {
	if part == "" {
		return k.PodName()
	}
	return k.PodName() + "-" + partToken(part)
}

func partToken(part string) string {
	sum := sha256.Sum256([]byte(part))
	return hex.EncodeToString(sum[:5])
}

func (k Key) phaseToken() string {
	switch k.Kind {
	case KindCore:
		return "p" + strconv.Itoa(k.Phase)
	case KindDefer:
		return "defer"
	case KindRender:
		return "render"
	}
	return "unknown"
}

// ClaimKey is the key in LEASES of the claim on a job.
func ClaimKey(k Key) string { return "claim." + k.String() }

// StartedKey is the key in LEASES that says that a function which may run only
// once has been started for this attempt.
func StartedKey(k Key) string { return "started." + k.String() }

// PodKey is the key in LEASES that holds the UID of the pod that was made for this
// attempt, or for a part of it: a pod that was and is no more is not made again.
func PodKey(k Key, part string) string {
	key := "pod." + k.String()
	if part != "" {
		key += "." + partToken(part)
	}
	return key
}

// CrashKey is the key in LEASES that counts the runners which were lost while they
// worked on this attempt.
func CrashKey(k Key) string { return "crash." + k.String() }

// CancelKey is the key in LEASES that tells runners that a run is cancelled.
func CancelKey(uid string) string { return "cancel." + token(uid) }

// token makes s fit for one token of a subject: what NATS gives a meaning to,
// and what is not printable ASCII, becomes an underscore.
func token(s string) string {
	if s == "" {
		return "_"
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || r == '.' || r == '*' || r == '>' {
			return '_'
		}
		return r
	}, s)
}
