package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
)

// Runs is the store of run states.
type Runs struct {
	js     jetstream.JetStream
	source string
}

// NewRuns returns the store; source is the CloudEvents source it writes as, one
// of the event.Source constants.
func NewRuns(js jetstream.JetStream, source string) *Runs {
	return &Runs{js: js, source: source}
}

// Create stores a new run and returns its revision. If the run exists, whatever
// its state, ErrExists is returned.
func (s *Runs) Create(ctx context.Context, run *event.Run) (uint64, error) {
	revision, err := s.put(ctx, run, 0)
	if errors.Is(err, ErrConflict) {
		return 0, fmt.Errorf("run %s/%s (%s): %w", run.Namespace, run.Name, run.UID, ErrExists)
	}
	return revision, err
}

// Update replaces the run on the condition that its last revision is revision,
// and returns the new one. Otherwise ErrConflict is returned.
func (s *Runs) Update(ctx context.Context, run *event.Run, revision uint64) (uint64, error) {
	return s.put(ctx, run, revision)
}

func (s *Runs) put(ctx context.Context, run *event.Run, revision uint64) (uint64, error) {
	e, err := event.NewRunEvent(s.source, run)
	if err != nil {
		return 0, fmt.Errorf("run %s/%s: %w", run.Namespace, run.Name, err)
	}
	msg, err := Encode(event.RunSubject(run.Namespace, run.UID), e)
	if err != nil {
		return 0, fmt.Errorf("run %s/%s: %w", run.Namespace, run.Name, err)
	}
	ack, err := s.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(revision))
	if isConflict(err) {
		return 0, fmt.Errorf("run %s/%s at revision %d: %w", run.Namespace, run.Name, revision, ErrConflict)
	}
	if err != nil {
		return 0, fmt.Errorf("write run %s/%s to %s: %w", run.Namespace, run.Name, event.StreamRuns, err)
	}
	return ack.Sequence, nil
}

// Get returns the run and its revision, read from the stream's leader. If there
// is none, ErrNotFound is returned; if it cannot be decoded, ErrMalformed.
func (s *Runs) Get(ctx context.Context, namespace, uid string) (*event.Run, uint64, error) {
	stream, err := s.js.Stream(ctx, event.StreamRuns)
	if err != nil {
		return nil, 0, fmt.Errorf("open stream %s: %w", event.StreamRuns, err)
	}
	msg, err := stream.GetLastMsgForSubject(ctx, event.RunSubject(namespace, uid))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, fmt.Errorf("run %s in %s: %w", uid, namespace, ErrNotFound)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read run %s in %s: %w", uid, namespace, err)
	}
	run, err := decodeRun(msg.Header, msg.Data)
	return run, msg.Sequence, err
}

// Delete removes the run's record. A run that is not there is no error.
func (s *Runs) Delete(ctx context.Context, namespace, uid string) error {
	stream, err := s.js.Stream(ctx, event.StreamRuns)
	if err != nil {
		return fmt.Errorf("open stream %s: %w", event.StreamRuns, err)
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(event.RunSubject(namespace, uid))); err != nil {
		return fmt.Errorf("delete run %s in %s: %w", uid, namespace, err)
	}
	return nil
}

// Expire removes the run's record as it was at the revision, and those before. A
// newer one stays.
func (s *Runs) Expire(ctx context.Context, namespace, uid string, revision uint64) error {
	stream, err := s.js.Stream(ctx, event.StreamRuns)
	if err != nil {
		return fmt.Errorf("open stream %s: %w", event.StreamRuns, err)
	}
	// The sequence named is the first to stay.
	err = stream.Purge(ctx, jetstream.WithPurgeSubject(event.RunSubject(namespace, uid)), jetstream.WithPurgeSequence(revision+1))
	if err != nil {
		return fmt.Errorf("remove run %s in %s: %w", uid, namespace, err)
	}
	return nil
}

// RunUpdate is one state of one run, as Follow sees it.
type RunUpdate struct {
	Run      *event.Run
	Revision uint64
}

// RunHandler receives what Follow reads. Its methods are called one at a time.
type RunHandler interface {
	// Update is called for the last state of every run, then for each change.
	Update(ctx context.Context, u RunUpdate)
	// Synced is called once, when all that was there at the start was handled.
	Synced(ctx context.Context)
}

// Follow calls h for the last state of each run and then for every change,
// until ctx ends, in order of revision. States that are overwritten before they
// are read are skipped. A message that cannot be decoded is given to bad, which
// may be nil.
func (s *Runs) Follow(ctx context.Context, h RunHandler, bad func(error)) error {
	consumer, err := s.js.OrderedConsumer(ctx, event.StreamRuns, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{event.RunSubjects()},
		DeliverPolicy:  jetstream.DeliverLastPerSubjectPolicy,
	})
	if err != nil {
		return fmt.Errorf("follow %s: %w", event.StreamRuns, err)
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return fmt.Errorf("follow %s: %w", event.StreamRuns, err)
	}
	synced := info.NumPending == 0
	if synced {
		h.Synced(ctx)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("follow %s: %w", event.StreamRuns, err)
	}
	defer messages.Stop() // also after an error
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	for {
		msg, err := messages.Next()
		if ctx.Err() != nil {
			return ctx.Err() // the caller's own end
		}
		if err != nil {
			return fmt.Errorf("follow %s: %w", event.StreamRuns, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("follow %s: %w", event.StreamRuns, err)
		}
		run, err := decodeRun(msg.Headers(), msg.Data())
		switch {
		case err == nil:
			h.Update(ctx, RunUpdate{Run: run, Revision: meta.Sequence.Stream})
		case bad != nil:
			bad(fmt.Errorf("message %d of %s: %w", meta.Sequence.Stream, event.StreamRuns, err))
		}
		if !synced && meta.NumPending == 0 {
			synced = true
			h.Synced(ctx)
		}
	}
}

func decodeRun(header nats.Header, data []byte) (*event.Run, error) {
	e, err := Decode(header, data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if e.Type() != event.TypeRun {
		return nil, fmt.Errorf("%w: event type is %s, want %s", ErrMalformed, e.Type(), event.TypeRun)
	}
	var run event.Run
	if err := e.DataAs(&run); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if run.Version != event.RunVersion {
		return nil, fmt.Errorf("%w: run %s has version %d, this program knows %d", ErrMalformed, run.UID, run.Version, event.RunVersion)
	}
	return &run, nil
}
