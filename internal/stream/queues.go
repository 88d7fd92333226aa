package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
)

// Jobs is the work queue of the runners.
type Jobs struct {
	js    jetstream.JetStream
	clock clock.PassiveClock
}

// NewJobs returns the queue.
func NewJobs(js jetstream.JetStream, c clock.PassiveClock) *Jobs {
	return &Jobs{js: js, clock: c}
}

// Publish queues a job in a pool. If a job with its key is queued or being
// worked on, nothing is queued and ErrExists is returned; if the server has no room,
// ErrFull.
func (q *Jobs) Publish(ctx context.Context, pool string, job *event.Job, traceparent string) error {
	e, err := event.NewJobEvent(job, q.clock.Now(), traceparent)
	if err != nil {
		return fmt.Errorf("job %s: %w", job.Key, err)
	}
	msg, err := Encode(event.JobSubject(pool, job.Key), e)
	if err != nil {
		return fmt.Errorf("job %s: %w", job.Key, err)
	}
	// No message id: the window would refuse a job that has to be queued again
	// because its runner is gone. One message per subject is the real guard.
	_, err = q.js.PublishMsg(ctx, msg)
	if hasCode(err, codeStoreFailed) {
		// The code is the same when the disk is full.
		queued, lookErr := q.Queued(ctx, pool, job.Key)
		switch {
		case lookErr != nil:
			return lookErr
		case queued:
			return fmt.Errorf("job %s: %w", job.Key, ErrExists)
		}
		return fmt.Errorf("queue job %s: %w: %w", job.Key, ErrFull, err)
	}
	if err != nil {
		return fmt.Errorf("queue job %s: %w", job.Key, err)
	}
	return nil
}

// Queued reports whether the job lies in the pool's queue, waiting or with a
// runner. A runner reports before it acknowledges, so a job that is not queued
// has either been reported or was never queued.
func (q *Jobs) Queued(ctx context.Context, pool string, k event.Key) (bool, error) {
	s, err := q.js.Stream(ctx, event.StreamJobs)
	if err != nil {
		return false, fmt.Errorf("open stream %s: %w", event.StreamJobs, err)
	}
	_, err = s.GetLastMsgForSubject(ctx, event.JobSubject(pool, k))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for job %s: %w", k, err)
	}
	return true, nil
}

// Consumer returns the pool's consumer; all runners of the pool share it.
// ackWait is how long a job stays with a runner that sends no InProgress.
func (q *Jobs) Consumer(ctx context.Context, pool string, ackWait time.Duration) (jetstream.Consumer, error) {
	c, err := q.js.CreateOrUpdateConsumer(ctx, event.StreamJobs, jetstream.ConsumerConfig{
		Durable:       "runners-" + pool,
		FilterSubject: event.JobSubjects(pool),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1,
		MaxAckPending: -1,
	})
	if err != nil {
		return nil, fmt.Errorf("consumer of pool %s on %s: %w", pool, event.StreamJobs, err)
	}
	return c, nil
}

// DecodeJob reads a job from a message of JOBS, with its trace context.
func DecodeJob(msg jetstream.Msg) (*event.Job, string, error) {
	var job event.Job
	trace, err := decodeInto(msg, event.TypeJob, &job)
	return &job, trace, err
}

// Reports is the work queue towards the dispatcher.
type Reports struct {
	js     jetstream.JetStream
	source string
}

// NewReports returns the queue; source is the CloudEvents source it writes as.
func NewReports(js jetstream.JetStream, source string) *Reports {
	return &Reports{js: js, source: source}
}

// Publish queues a report. Publishing the same report again is harmless.
func (q *Reports) Publish(ctx context.Context, r *event.Report, traceparent string) error {
	e, err := event.NewReportEvent(q.source, r, traceparent)
	if err != nil {
		return fmt.Errorf("report on %s: %w", r.Key, err)
	}
	msg, err := Encode(event.ReportSubject(r.Key.Namespace, r.Key.UID), e)
	if err != nil {
		return fmt.Errorf("report on %s: %w", r.Key, err)
	}
	if _, err := q.js.PublishMsg(ctx, msg, jetstream.WithMsgID(e.ID())); err != nil {
		return fmt.Errorf("queue report on %s: %w", r.Key, err)
	}
	return nil
}

// Pending returns the reports on a run that are queued and not acknowledged, in
// order, without taking them: those a dispatcher had in hand when it died are
// delivered again only after the consumer's ackWait. Those that cannot be decoded
// are left out; the consumer meets them too.
func (q *Reports) Pending(ctx context.Context, namespace, uid string) ([]event.Report, error) {
	s, err := q.js.Stream(ctx, event.StreamReports)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", event.StreamReports, err)
	}
	subject := event.ReportSubject(namespace, uid)
	var reports []event.Report
	for next := uint64(1); ; {
		msg, err := s.GetMsg(ctx, next, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return reports, nil
		}
		if err != nil {
			return nil, fmt.Errorf("look for reports on run %s in %s: %w", uid, namespace, err)
		}
		next = msg.Sequence + 1
		e, err := Decode(msg.Header, msg.Data)
		if err != nil || e.Type() != event.TypeReport {
			continue
		}
		var r event.Report
		if err := e.DataAs(&r); err == nil {
			reports = append(reports, r)
		}
	}
}

// Oldest is when the oldest report that is not acknowledged was queued; the zero
// time if there is none.
func (q *Reports) Oldest(ctx context.Context) (time.Time, error) {
	s, err := q.js.Stream(ctx, event.StreamReports)
	if err != nil {
		return time.Time{}, fmt.Errorf("open stream %s: %w", event.StreamReports, err)
	}
	state := s.CachedInfo().State
	if state.Msgs == 0 {
		return time.Time{}, nil
	}
	return state.FirstTime, nil
}

// Consumer returns the dispatchers' consumer.
func (q *Reports) Consumer(ctx context.Context, ackWait time.Duration) (jetstream.Consumer, error) {
	c, err := q.js.CreateOrUpdateConsumer(ctx, event.StreamReports, jetstream.ConsumerConfig{
		Durable:       "dispatchers",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       ackWait,
		MaxDeliver:    -1,
		MaxAckPending: -1,
	})
	if err != nil {
		return nil, fmt.Errorf("consumer on %s: %w", event.StreamReports, err)
	}
	return c, nil
}

// DecodeReport reads a report from a message of REPORTS, with its trace context.
func DecodeReport(msg jetstream.Msg) (*event.Report, string, error) {
	var report event.Report
	trace, err := decodeInto(msg, event.TypeReport, &report)
	return &report, trace, err
}

func decodeInto(msg jetstream.Msg, typ string, into any) (traceparent string, err error) {
	e, err := Decode(msg.Headers(), msg.Data())
	if err != nil {
		return "", err
	}
	if e.Type() != typ {
		return "", fmt.Errorf("event type is %s, want %s", e.Type(), typ)
	}
	if err := e.DataAs(into); err != nil {
		return "", fmt.Errorf("decode %s: %w", typ, err)
	}
	traceparent, _ = e.Extensions()[event.ExtTraceparent].(string)
	return traceparent, nil
}

// RunLoop consumes messages until ctx ends, calling handle for each; handle
// acknowledges. It returns nil when ctx ends, and an error when the messages end
// before, as they do when the consumer or its stream is deleted.
func RunLoop(ctx context.Context, c jetstream.Consumer, handle func(context.Context, jetstream.Msg)) error {
	messages, err := c.Messages()
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	// Also after an error: what is left behind would go on taking messages, and
	// nobody would handle them.
	defer messages.Stop()
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	for {
		msg, err := messages.Next()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("consume: %w", err)
		}
		handle(ctx, msg)
	}
}

// RunLoopGivingBack is RunLoop for messages that somebody else can handle at once:
// those that were fetched and not handled when ctx ends are given back, instead of
// being missed until their ackWait is over.
func RunLoopGivingBack(ctx context.Context, c jetstream.Consumer, handle func(context.Context, jetstream.Msg)) error {
	messages, err := c.Messages()
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	defer messages.Stop() // also after an error
	stop := context.AfterFunc(ctx, messages.Drain)
	defer stop()
	for {
		msg, err := messages.Next()
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("consume: %w", err)
		case ctx.Err() != nil:
			_ = msg.Nak() // it comes back anyway, only later
		default:
			handle(ctx, msg)
		}
	}
}
