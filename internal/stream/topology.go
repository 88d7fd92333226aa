package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
)

// Settings of the streams. The zero value is not valid; use DefaultSettings.
type Settings struct {
	// Replicas of every stream: 1 for a single server, 3 or 5 for a cluster.
	Replicas int
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

// Ensure creates the streams and buckets, or updates them to the settings.
func Ensure(ctx context.Context, js jetstream.JetStream, s Settings) error {
	for _, config := range s.streams() {
		if _, err := js.CreateOrUpdateStream(ctx, config); err != nil {
			return fmt.Errorf("create or update stream %s with %d replicas: %w", config.Name, s.Replicas, err)
		}
	}
	if _, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket:         event.BucketLeases,
		Description:    "claims on jobs, cancel marks, started marks",
		History:        1,
		Replicas:       s.Replicas,
		LimitMarkerTTL: time.Minute,
	}); err != nil {
		return fmt.Errorf("create or update bucket %s: %w", event.BucketLeases, err)
	}
	if _, err := js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{
		Bucket:      event.BucketBlobs,
		Description: "blueprints, parameters and outputs too large to travel inline, by digest",
		Replicas:    s.Replicas,
	}); err != nil {
		return fmt.Errorf("create or update bucket %s: %w", event.BucketBlobs, err)
	}
	return readFromLeader(ctx, js, "OBJ_"+event.BucketBlobs)
}

// readFromLeader turns direct reads off. Any replica answers those, also one that
// has not yet got what was just put, and a phase would fail for want of it.
func readFromLeader(ctx context.Context, js jetstream.JetStream, name string) error {
	s, err := js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("open stream %s: %w", name, err)
	}
	config := s.CachedInfo().Config
	if !config.AllowDirect {
		return nil
	}
	config.AllowDirect = false
	if _, err := js.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("update stream %s: %w", name, err)
	}
	return nil
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
			Replicas:    s.Replicas,
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
			Replicas:          s.Replicas,
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
			Replicas:             s.Replicas,
			Duplicates:           duplicates,
		},
		{
			Name:        event.StreamReports,
			Description: "what became of jobs, towards the dispatcher",
			Subjects:    []string{event.ReportSubjects()},
			Retention:   jetstream.WorkQueuePolicy,
			Discard:     jetstream.DiscardNew,
			MaxMsgSize:  s.MaxMsgSize,
			Replicas:    s.Replicas,
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
			Replicas:          s.Replicas,
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
			Replicas:    s.Replicas,
			Duplicates:  duplicates,
		},
	}
}
