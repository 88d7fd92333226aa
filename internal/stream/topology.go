package stream

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
)

// Settings of the streams. The zero value is not valid; use DefaultSettings.
type Settings struct {
	// Replicas of every stream: 1 for a single server, 3 or 5 for a cluster. 0
	// leaves each stream that exists as it is, and gives new ones NewReplicas.
	Replicas int
	// NewReplicas are those of a stream that does not exist yet, when Replicas is
	// 0. Default 1.
	NewReplicas int
	// EventsMaxAge is how long EVENTS keeps an event. Default 72 h.
	EventsMaxAge time.Duration
	// EventsMaxBytes bounds EVENTS; a full stream refuses, it never drops.
	// Default 1 GiB.
	EventsMaxBytes int64
	// DeadLettersMaxAge is how long DLQ keeps a dead letter. Default 720 h.
	DeadLettersMaxAge time.Duration
	// MaxMsgSize bounds one message, in bytes. Default 1 MiB - 64 KiB, so that
	// headers fit below the server's max_payload.
	MaxMsgSize int32
}

// DefaultSettings are the settings of a single server.
func DefaultSettings() Settings {
	return Settings{
		Replicas:       1,
		NewReplicas:    1,
		EventsMaxAge:   72 * time.Hour,
		EventsMaxBytes: 1 << 30,

		DeadLettersMaxAge: 720 * time.Hour,

		MaxMsgSize: 1<<20 - 64<<10,
	}
}

// duplicates is the window of the fast path of deduplication.
const duplicates = 10 * time.Minute

// deadLettersMaxBytes bounds DLQ; the oldest go first.
const deadLettersMaxBytes = 256 << 20

// outcomesMaxAge is how long one can ask what became of an event.
const outcomesMaxAge = 24 * time.Hour

// buckets are those that need no more than these settings.
func (s Settings) buckets() []jetstream.KeyValueConfig {
	return []jetstream.KeyValueConfig{
		{
			Bucket:      event.BucketTriggers,
			Description: "events that wait at a trigger, and what triggers have to remember",
			History:     1,
		},
		{
			Bucket:      event.BucketOutcomes,
			Description: "what became of events, for those who wait for them",
			History:     1,
			TTL:         outcomesMaxAge,
		},
	}
}

func (s Settings) streams() []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		{
			Name:        event.StreamEvents,
			Description: "CloudEvents from outside and the lifecycle of every run",
			Subjects:    []string{event.EventSubjects()},
			Retention:   jetstream.LimitsPolicy,
			Discard:     jetstream.DiscardNew,
			MaxAge:      s.EventsMaxAge,
			MaxBytes:    s.EventsMaxBytes,
			MaxMsgSize:  s.MaxMsgSize,
			Duplicates:  duplicates,
			DenyDelete:  true,
			DenyPurge:   true,
		},
		{
			Name:              event.StreamRuns,
			Description:       "state of every run, last value per subject",
			Subjects:          []string{event.RunSubjects()},
			Retention:         jetstream.LimitsPolicy,
			Discard:           jetstream.DiscardOld,
			MaxMsgsPerSubject: 1,
			MaxMsgSize:        s.MaxMsgSize,
			Duplicates:        duplicates,
		},
		{
			Name:                 event.StreamJobs,
			Description:          "jobs released to runners, a short window",
			Subjects:             []string{event.JobSubjects("")},
			Retention:            jetstream.WorkQueuePolicy,
			Discard:              jetstream.DiscardNew,
			DiscardNewPerSubject: true,
			MaxMsgsPerSubject:    1,
			MaxMsgSize:           s.MaxMsgSize,
			Duplicates:           duplicates,
		},
		{
			Name:        event.StreamReports,
			Description: "what became of jobs, towards the dispatcher",
			Subjects:    []string{event.ReportSubjects()},
			Retention:   jetstream.WorkQueuePolicy,
			Discard:     jetstream.DiscardNew,
			MaxMsgSize:  s.MaxMsgSize,
			Duplicates:  duplicates,
		},
		{
			// Whoever may write here can put any message on the fired subjects and
			// clear the stream: the dispatcher only.
			Name:              event.StreamTimers,
			Description:       "the next wake-up of runs that wait for a time, and those that fired",
			Subjects:          []string{event.TimerSubjects(), event.FiredSubjects()},
			Retention:         jetstream.LimitsPolicy,
			Discard:           jetstream.DiscardOld,
			MaxMsgsPerSubject: 1,
			AllowMsgTTL:       true,
			AllowMsgSchedules: true,
			Duplicates:        duplicates,
		},
		{
			Name:        event.StreamDLQ,
			Description: "dead letters: jobs that crash their runners, messages that cannot be read",
			Subjects:    []string{event.DeadLetterSubjects()},
			Retention:   jetstream.LimitsPolicy,
			Discard:     jetstream.DiscardOld,
			MaxAge:      s.DeadLettersMaxAge,
			MaxBytes:    deadLettersMaxBytes,
			MaxMsgSize:  s.MaxMsgSize,
			Duplicates:  duplicates,
		},
	}
}
