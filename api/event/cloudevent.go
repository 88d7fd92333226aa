package event

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
)

// Types of the CloudEvents that the processes exchange.
const (
	TypeRun    = "io.salvor.run.state.v1"
	TypeJob    = "io.salvor.job.v1"
	TypeReport = "io.salvor.report.v1"
	TypeTimer  = "io.salvor.timer.v1"
	TypeDLQ    = "io.salvor.deadletter.v1"
)

// Types of the lifecycle events on EVENTS. Their data is a Lifecycle.
const (
	TypeRunCompleted  = "io.salvor.run.completed.v1"
	TypeRunFailed     = "io.salvor.run.failed.v1"
	TypeRunCancelled  = "io.salvor.run.cancelled.v1"
	TypePhaseFailed   = "io.salvor.phase.failed.v1"
	TypePhaseComplete = "io.salvor.phase.completed.v1"
)

// Types of the events that Salvor makes of what triggers wait for besides events from
// outside. Each is for one trigger: the subject is its UID.
const (
	TypeTick       = "io.salvor.schedule.tick.v1"
	TypeAnnotation = "io.salvor.kubernetes.annotation.v1"
	TypeObject     = "io.salvor.kubernetes.event.v1"
)

// Sources of the CloudEvents. SourceSchedule and SourceKubernetes are followed by
// /<namespace>/<trigger>.
const (
	SourceSchedule   = "/salvor/schedule"
	SourceKubernetes = "/salvor/kubernetes"
	SourceBridge     = "/salvor/bridge"
	SourceDispatcher = "/salvor/dispatcher"
	SourceRunner     = "/salvor/runner"
)

// Extensions of CloudEvents. Those that begin with ExtReserved are Salvor's own and
// refused from outside.
const (
	// ExtTraceparent carries the W3C trace context.
	ExtTraceparent = "traceparent"
	// ExtReserved is the prefix of Salvor's own.
	ExtReserved = "salvor"
	// ExtChain of a lifecycle event holds the UIDs of the ActionTriggers that led to
	// the run, as the annotation salvor.io/chain of its ActionSet does.
	ExtChain = ExtReserved + "chain"
	// ExtTrigger of a lifecycle event names the ActionTrigger that made the ActionSet.
	ExtTrigger = ExtReserved + "trigger"
	// ExtPrunes of a lifecycle event names the ActionSet whose data the run removes,
	// by the retention of a trigger. Such an event starts nothing.
	ExtPrunes = ExtReserved + "prunes"
	// ExtAction of a lifecycle event is the name of the action; of a run with several,
	// that of the first.
	ExtAction = ExtReserved + "action"
	// ExtBlueprint of a lifecycle event is the blueprint of that action.
	ExtBlueprint = ExtReserved + "blueprint"
)

// NewRunEvent wraps a run. Its id is the uid and the time of the update.
func NewRunEvent(source string, r *Run) (cloudevents.Event, error) {
	return wrap(header{
		typ: TypeRun, source: source, subject: r.Namespace + "/" + r.Name,
		id: r.UID + "/" + strconv.FormatInt(r.UpdatedAt.UnixNano(), 10), at: r.UpdatedAt, trace: r.Traceparent,
	}, r)
}

// NewJobEvent wraps a job. Its id is the job's key.
func NewJobEvent(j *Job, at time.Time, traceparent string) (cloudevents.Event, error) {
	return wrap(header{
		typ: TypeJob, source: SourceDispatcher, subject: j.Key.Namespace + "/" + j.ActionSet,
		id: j.Key.String(), at: at, trace: traceparent,
	}, j)
}

// NewReportEvent wraps a report. Its id is unique for the kind, the key and the
// time.
func NewReportEvent(source string, r *Report, traceparent string) (cloudevents.Event, error) {
	return wrap(header{
		typ: TypeReport, source: source, subject: r.Key.Namespace + "/" + r.Key.UID,
		id: r.Key.String() + "/" + string(r.Kind) + "/" + strconv.FormatInt(r.At.UnixNano(), 10), at: r.At, trace: traceparent,
	}, r)
}

// NewDeadLetterEvent wraps a dead letter. Its id is the job's key or, for a message
// that could not be handled, a hash of it: several may be about one key.
func NewDeadLetterEvent(l *DeadLetter) (cloudevents.Event, error) {
	id, subject := l.Key.String(), l.Key.Namespace+"/"+l.ActionSet
	if l.Key == (Key{}) || len(l.Message) > 0 {
		sum := sha256.Sum256(append([]byte(l.Sink+l.Subject+"\x1f"), l.Message...))
		id = "sha256:" + hex.EncodeToString(sum[:])
	}
	if l.Key == (Key{}) {
		subject = l.Subject
	}
	return wrap(header{typ: TypeDLQ, source: SourceRunner, subject: subject, id: "dlq/" + id, at: l.At}, l)
}

// NewLifecycleEvent wraps what happened to a run or a phase; id must be the same
// when the same thing is told again. What filters want to see of the data is in
// extensions too.
func NewLifecycleEvent(typ, id string, at time.Time, traceparent string, l *Lifecycle) (cloudevents.Event, error) {
	e, err := wrap(header{
		typ: typ, source: SourceDispatcher, subject: l.Namespace + "/" + l.ActionSet, id: id, at: at, trace: traceparent,
	}, l)
	for name, value := range map[string]string{
		ExtChain: l.Chain, ExtTrigger: l.Trigger, ExtPrunes: l.Prunes, ExtAction: l.Action, ExtBlueprint: l.Blueprint,
	} {
		if value = attribute(value); value != "" {
			e.SetExtension(name, value)
		}
	}
	return e, err
}

type header struct {
	typ, source, subject, id, trace string
	at                              time.Time
}

func wrap(h header, data any) (cloudevents.Event, error) {
	e := cloudevents.NewEvent()
	e.SetType(h.typ)
	e.SetSource(h.source)
	e.SetSubject(h.subject)
	e.SetID(h.id)
	e.SetTime(h.at.UTC())
	if h.trace != "" {
		e.SetExtension(ExtTraceparent, h.trace)
	}
	if err := e.SetData(cloudevents.ApplicationJSON, data); err != nil {
		return e, fmt.Errorf("encode %s %s: %w", h.typ, h.id, err)
	}
	return e, nil
}
