package status

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/failpoint"
	"github.com/salvor-io/salvor/internal/stream"
)

const (
	// component is the source of our Kubernetes Events.
	component = "salvor"
	// writers is how many statuses are written at the same time.
	writers = 8
	// Pauses between tries while the API server is away.
	backoffMin = 250 * time.Millisecond
	backoffMax = 30 * time.Second
)

// ActionSets is what the projector asks of the intake.
type ActionSets interface {
	// Lookup returns the ActionSet as the API server had it last, if it is
	// watched and its status was not terminal.
	Lookup(namespace, name string) (*kanister.ActionSet, bool)
	// Asking returns an ActionSet, in any state, that asks for a retry.
	Asking(namespace, name string) (*kanister.ActionSet, bool)
	// Watches reports whether ActionSets of the namespace are ours to write.
	Watches(namespace string) bool
}

// StatusWriter writes one status; see Writer for the errors.
type StatusWriter interface {
	Write(ctx context.Context, ref Ref, status *kanister.ActionSetStatus) error
	SetCondition(ctx context.Context, ref Ref, condition metav1.Condition) error
}

// Config of a Projector. All fields are required but Metrics.
type Config struct {
	Clock      clock.WithTicker
	Log        zerolog.Logger
	Writer     StatusWriter
	ActionSets ActionSets
	// Events is where Kubernetes Events go.
	Events record.EventSink
	// Interval is the shortest time between two intermediate writes.
	Interval time.Duration
	Metrics  *Metrics
}

// Projector keeps the newest state of each run until it is written. It is a
// stream.RunHandler.
type Projector struct {
	Config

	queue workqueue.TypedRateLimitingInterface[string]
	// recorder is set by Run, which then closes recording.
	recorder  record.EventRecorder
	recording chan struct{}
	synced    chan struct{}
	once      sync.Once
	mu        sync.Mutex
	entries   map[string]*entry
}

// entry is what is known of one run.
type entry struct {
	ref      Ref
	state    event.State
	revision uint64
	// written is what the ActionSet says; nil when that is not known.
	written *kanister.ActionSetStatus
	// latest is what it has to say; nil when there is nothing to write.
	latest *kanister.ActionSetStatus
	// changedAt is when the run last changed, for the lag.
	changedAt time.Time
	// notBefore holds back intermediate states.
	notBefore time.Time
	settledAt time.Time
	gone      bool
	// quiet makes no Kubernetes Event of the next write: it may say what the
	// ActionSet says already.
	quiet bool
	// recovered is kept: the run tells of its recovery only until its actions
	// have started.
	recovered *metav1.Condition
	// paused and cancelling are what the run was asked for.
	paused, cancelling bool
}

// NewProjector returns a projector that does nothing until Run is called.
func NewProjector(c Config) *Projector {
	return &Projector{
		Config: c,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[string](backoffMin, backoffMax),
			workqueue.TypedRateLimitingQueueConfig[string]{Name: "actionset-status", Clock: c.Clock}),
		recording: make(chan struct{}),
		synced:    make(chan struct{}),
		entries:   map[string]*entry{},
	}
}

// Run writes until ctx ends and all writes under way have ended.
func (p *Projector) Run(ctx context.Context) error {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(p.Events)
	p.recorder = broadcaster.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: component})
	close(p.recording)
	stop := context.AfterFunc(ctx, p.queue.ShutDown)
	defer stop()
	var workers sync.WaitGroup
	for range writers {
		workers.Go(func() {
			for p.next(ctx) {
			}
		})
	}
	workers.Wait()
	return nil
}

// Synced is called by Follow once all runs that were there have been handled.
func (p *Projector) Synced(context.Context) { p.once.Do(func() { close(p.synced) }) }

// HasSynced is closed once Synced was called.
func (p *Projector) HasSynced() <-chan struct{} { return p.synced }

// Update takes a state of a run. Older states than the last one are ignored.
func (p *Projector) Update(_ context.Context, u stream.RunUpdate) { p.update(u, false) }

// Again writes the state of a run even if it was written before, because the
// ActionSet does not say it.
func (p *Projector) Again(u stream.RunUpdate) { p.update(u, true) }

func (p *Projector) update(u stream.RunUpdate, again bool) {
	run := u.Run
	if !p.ActionSets.Watches(run.Namespace) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[run.UID]
	if e == nil {
		e = p.newEntry(run)
		if e == nil {
			return
		}
		p.entries[run.UID] = e
	}
	if u.Revision < e.revision || (u.Revision == e.revision && !again) {
		return
	}
	if again && p.onServer(e.ref) != nil {
		e.gone = false // it came back with an etcd that was restored
	}
	e.paused, e.cancelling = run.Pause != nil, run.Cancel != nil
	if e.gone {
		e.revision, e.state, e.settledAt = u.Revision, run.State, p.Clock.Now()
		return
	}
	if again {
		e.written = p.onServer(e.ref)
	}
	e.revision, e.state, e.changedAt = u.Revision, run.State, run.UpdatedAt
	e.settledAt = time.Time{}
	e.latest = e.project(run)
	if p.urgent(e) {
		p.queue.Add(run.UID)
		return
	}
	p.queue.AddAfter(run.UID, e.notBefore.Sub(p.Clock.Now()))
}

// project is Project with what is kept.
func (e *entry) project(run *event.Run) *kanister.ActionSetStatus {
	status := Project(run)
	switch now := condition(status, ConditionRecovered); {
	case now != nil:
		e.recovered = now.DeepCopy()
	case e.recovered == nil && e.written != nil:
		e.recovered = condition(e.written, ConditionRecovered).DeepCopy()
		fallthrough
	default:
		if e.recovered != nil {
			status.Conditions = append(status.Conditions, *e.recovered)
		}
	}
	return status
}

// newEntry starts to keep a run, or returns nil for one that ended before and
// whose ActionSet says so or is gone.
func (p *Projector) newEntry(run *event.Run) *entry {
	ref := Ref{Namespace: run.Namespace, Name: run.Name, UID: run.UID}
	onServer := p.onServer(ref)
	e := &entry{ref: ref, written: onServer, notBefore: p.Clock.Now().Add(p.Interval)}
	if run.State.Terminal() && (onServer == nil || Terminal(onServer.State)) {
		if run.Retry == nil || p.saysRound(ref, run) {
			return nil
		}
		// It had ended before and was asked to go on: an ended ActionSet may still
		// tell of the first end, and is not watched.
		e.written, e.quiet = nil, !p.hasSynced()
	}
	return e
}

// saysRound reports whether the ActionSet is known to tell of the end of the
// present round of a run that was retried.
func (p *Projector) saysRound(ref Ref, run *event.Run) bool {
	found, ok := p.ActionSets.Asking(ref.Namespace, ref.Name)
	if !ok || string(found.UID) != ref.UID || found.Status == nil {
		return false
	}
	granted, answered := Answered(found.Status, run.Retry.Token)
	return granted && answered && found.Status.State == projectState(run.State)
}

func (p *Projector) hasSynced() bool {
	select {
	case <-p.synced:
		return true
	default:
		return false
	}
}

// onServer is what the watched ActionSet says; nil when it is not watched any
// more. Outputs are not in it.
func (p *Projector) onServer(ref Ref) *kanister.ActionSetStatus {
	found, ok := p.ActionSets.Lookup(ref.Namespace, ref.Name)
	if !ok || string(found.UID) != ref.UID {
		return nil
	}
	if found.Status == nil {
		return &kanister.ActionSetStatus{}
	}
	return found.Status
}

// urgent reports whether the state must not wait: the end, and the first time
// that work is seen to have begun.
func (p *Projector) urgent(e *entry) bool {
	return Terminal(e.latest.State) || (shows(e.latest) && (e.written == nil || !shows(e.written)))
}

func (p *Projector) next(ctx context.Context) bool {
	uid, shutdown := p.queue.Get()
	if shutdown {
		return false
	}
	defer p.queue.Done(uid)
	ref, status, was, quiet := p.take(uid)
	if status == nil {
		return true
	}
	failpoint.Here(failpoint.BridgeBeforeStatus)
	err := p.Writer.Write(ctx, ref, status)
	failpoint.Here(failpoint.BridgeAfterStatus)
	if errors.Is(err, ErrRefused) {
		p.Log.Error().Err(err).Str("namespace", ref.Namespace).Str("actionset", ref.Name).
			Msg("the whole status was refused; writing it without outputs")
		err = p.Writer.Write(ctx, ref, reduced(status))
	}
	p.done(ctx, uid, status, err)
	if err == nil && !quiet {
		p.tell(ref, was, status)
	}
	return true
}

// take returns what is to be written now; nothing when there is nothing, or when
// it has to wait.
func (p *Projector) take(uid string) (ref Ref, is, was *kanister.ActionSetStatus, quiet bool) { //nolint:revive // four things of one entry, under its lock
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[uid]
	if e == nil || e.gone || e.latest == nil {
		p.queue.Forget(uid)
		return Ref{}, nil, nil, false
	}
	if e.written != nil && equality.Semantic.DeepEqual(e.written, e.latest) {
		p.settle(e, e.latest)
		p.queue.Forget(uid)
		p.Metrics.write(resultUnchanged)
		return Ref{}, nil, nil, false
	}
	if wait := e.notBefore.Sub(p.Clock.Now()); wait > 0 && !p.urgent(e) {
		p.queue.AddAfter(uid, wait)
		return Ref{}, nil, nil, false
	}
	return e.ref, e.latest, e.written, e.quiet
}

func (p *Projector) done(ctx context.Context, uid string, status *kanister.ActionSetStatus, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[uid]
	if e == nil {
		return
	}
	log := p.Log.With().Str("namespace", e.ref.Namespace).Str("actionset", e.ref.Name).Str("run", uid).Logger()
	switch {
	case err == nil:
		p.Metrics.write(resultWritten)
		p.Metrics.lag(p.Clock.Since(e.changedAt))
		p.settle(e, status)
		p.queue.Forget(uid)
		if e.latest != nil {
			p.queue.Add(uid) // a newer state came meanwhile
		}
	case errors.Is(err, ErrGone):
		p.Metrics.write(resultGone)
		log.Info().Msg("the ActionSet was deleted; its run goes on without a status")
		e.gone, e.latest, e.written, e.settledAt = true, nil, nil, p.Clock.Now()
		p.queue.Forget(uid)
	case ctx.Err() != nil:
	default:
		p.Metrics.write(resultError)
		log.Warn().Err(err).Int("tries", p.queue.NumRequeues(uid)+1).Msg("the status could not be written; it will be tried again")
		p.queue.AddRateLimited(uid)
	}
}

// settle records that the ActionSet says status.
func (p *Projector) settle(e *entry, status *kanister.ActionSetStatus) {
	now := p.Clock.Now()
	e.notBefore = now.Add(p.Interval)
	e.written, e.quiet = status, false
	if e.latest == status {
		e.latest, e.settledAt = nil, now
	}
	if e.latest == nil && e.state.Terminal() {
		e.written = nil // nothing follows
	}
}
