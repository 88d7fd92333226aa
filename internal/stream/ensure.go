package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
)

// Codes with which the server refuses a number of replicas.
const (
	codeNoPeers         jetstream.ErrorCode = 10005
	codeNoResources     jetstream.ErrorCode = 10023
	codeOneServer       jetstream.ErrorCode = 10074
	leasesLimitMarker                       = time.Minute
	prefixKV, prefixObj                     = "KV_", "OBJ_"
)

// answerTimeout is how long the cluster has to answer before it is asked again.
const answerTimeout = 2 * time.Second

var (
	// ErrTooFewServers means that there are fewer servers than replicas are asked
	// for, or that they have no room. It can change by itself.
	ErrTooFewServers = errors.New("too few servers")
	// ErrNoLeader means that a stream has no leader yet. It changes by itself.
	ErrNoLeader = errors.New("no leader yet")
)

// Names returns the names of all streams, those behind the buckets included.
func Names() []string {
	return []string{
		event.StreamEvents, event.StreamRuns, event.StreamJobs, event.StreamReports, event.StreamTimers, event.StreamDLQ,
		prefixKV + event.BucketLeases, prefixKV + event.BucketTriggers, prefixKV + event.BucketOutcomes, prefixObj + event.BucketBlobs,
	}
}

// Ensure creates the streams and buckets, or updates them to the settings, and
// returns once each has a leader, or with ErrNoLeader. A stream whose replicas
// change goes on working, its consumers follow it, and the new replicas fill up
// after Ensure has returned: Survey says how far they are.
func Ensure(ctx context.Context, js jetstream.JetStream, s Settings) error {
	for _, config := range s.streams() {
		if err := s.stream(ctx, js, config); err != nil {
			return err
		}
	}
	if err := s.bucket(ctx, js, prefixKV+event.BucketLeases, func(ctx context.Context, replicas int) error {
		_, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket:         event.BucketLeases,
			Description:    "claims on jobs, cancel marks, started marks",
			History:        1,
			Replicas:       replicas,
			LimitMarkerTTL: leasesLimitMarker,
		})
		return err //nolint:wrapcheck // bucket wraps it
	}); err != nil {
		return err
	}
	for _, config := range s.buckets() {
		if err := s.bucket(ctx, js, prefixKV+config.Bucket, func(ctx context.Context, replicas int) error {
			config.Replicas = replicas
			_, err := js.CreateKeyValue(ctx, config)
			return err //nolint:wrapcheck // bucket wraps it
		}); err != nil {
			return err
		}
	}
	return s.bucket(ctx, js, prefixObj+event.BucketBlobs, func(ctx context.Context, replicas int) error {
		_, err := js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{
			Bucket:      event.BucketBlobs,
			Description: "blueprints, parameters and outputs too large to travel inline, by digest",
			Replicas:    replicas,
		})
		return err //nolint:wrapcheck // bucket wraps it
	})
}

// stream creates or updates one stream.
func (s Settings) stream(ctx context.Context, js jetstream.JetStream, config jetstream.StreamConfig) error {
	return persist(ctx, func(ctx context.Context) error {
		existing, err := find(ctx, js, config.Name)
		if err != nil {
			return err
		}
		config.Replicas = s.replicas(existing)
		if existing == nil || !same(&existing.Config, &config) {
			if _, err := js.CreateOrUpdateStream(ctx, config); err != nil {
				return refused(config.Name, config.Replicas, err)
			}
		}
		return led(ctx, js, config.Name)
	})
}

// persist repeats what gets no answer until ctx ends. When several processes
// create a stream at the same time, the cluster answers only some of them; the
// others find it there.
func persist(ctx context.Context, do func(context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, answerTimeout)
		err := do(attempt)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}

// same says that a stream is what is wanted already. What the server fills in is
// left aside.
func same(is, wanted *jetstream.StreamConfig) bool {
	limit := func(n int64) int64 {
		if n <= 0 {
			return -1
		}
		return n
	}
	return is.Description == wanted.Description && slices.Equal(is.Subjects, wanted.Subjects) &&
		is.Retention == wanted.Retention && is.Discard == wanted.Discard && is.DiscardNewPerSubject == wanted.DiscardNewPerSubject &&
		is.MaxAge == wanted.MaxAge && limit(is.MaxBytes) == limit(wanted.MaxBytes) &&
		limit(is.MaxMsgsPerSubject) == limit(wanted.MaxMsgsPerSubject) && limit(int64(is.MaxMsgSize)) == limit(int64(wanted.MaxMsgSize)) &&
		is.Replicas == wanted.Replicas && is.Duplicates == wanted.Duplicates &&
		is.DenyDelete == wanted.DenyDelete && is.DenyPurge == wanted.DenyPurge &&
		is.AllowMsgTTL == wanted.AllowMsgTTL && is.AllowMsgSchedules == wanted.AllowMsgSchedules
}

// bucket creates a bucket's stream or updates it in place. nats.go would turn
// direct reads on again with each update. Any replica answers those, also one that
// has not yet got what was just put: a phase would fail for want of its content,
// and a mark that is there would look as if it were not.
func (s Settings) bucket(ctx context.Context, js jetstream.JetStream, name string, create func(ctx context.Context, replicas int) error) error {
	return persist(ctx, func(ctx context.Context) error { return s.bucketOnce(ctx, js, name, create) })
}

func (s Settings) bucketOnce(ctx context.Context, js jetstream.JetStream, name string, create func(ctx context.Context, replicas int) error) error {
	existing, err := find(ctx, js, name)
	if err != nil {
		return err
	}
	replicas := s.replicas(existing)
	if existing == nil {
		if err := create(ctx, replicas); err != nil {
			return refused(name, replicas, err)
		}
		if existing, err = find(ctx, js, name); err != nil {
			return err
		}
		if existing == nil {
			return fmt.Errorf("stream %s: %w", name, ErrNoLeader)
		}
	}
	config := existing.Config
	if config.AllowDirect || config.Replicas != replicas {
		config.AllowDirect, config.Replicas = false, replicas
		if _, err := js.UpdateStream(ctx, config); err != nil {
			return refused(name, replicas, err)
		}
	}
	return led(ctx, js, name)
}

func (s Settings) replicas(existing *jetstream.StreamInfo) int {
	switch {
	case s.Replicas > 0:
		return s.Replicas
	case existing != nil:
		return existing.Config.Replicas
	default:
		return max(s.NewReplicas, 1)
	}
}

// find returns nil when there is no such stream.
func find(ctx context.Context, js jetstream.JetStream, name string) (*jetstream.StreamInfo, error) {
	s, err := js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, fmt.Errorf("look at stream %s: %w", name, err)
	}
	return s.CachedInfo(), nil
}

// led returns nil when the stream has a leader: only that one takes messages.
func led(ctx context.Context, js jetstream.JetStream, name string) error {
	info, err := find(ctx, js, name)
	if err != nil {
		return err
	}
	if info == nil || info.Cluster != nil && info.Cluster.Leader == "" {
		return fmt.Errorf("stream %s has %w", name, ErrNoLeader)
	}
	return nil
}

func refused(name string, replicas int, err error) error {
	if replicas > 1 && (hasCode(err, codeNoPeers) || hasCode(err, codeNoResources) || hasCode(err, codeOneServer)) {
		return fmt.Errorf("%w for %d replicas of stream %s: give NATS %d servers with JetStream, room on their disks "+
			"and a cluster that has met, or ask for fewer replicas (NATS says: %w)", ErrTooFewServers, replicas, name, replicas, err)
	}
	return fmt.Errorf("create or update stream %s with %d replicas: %w", name, replicas, err)
}
