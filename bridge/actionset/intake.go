package actionset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/status"
	"github.com/salvor-io/salvor/internal/failpoint"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/internal/telemetry"
)

const (
	// workers is how many ActionSets are taken in at the same time.
	workers = 8
	// Pauses between tries while a server is away.
	backoffMin = 250 * time.Millisecond
	backoffMax = 30 * time.Second
	// settle is how long the watch may lag behind our own writes before a
	// difference counts, and how long a run that ended stays known.
	settle = 30 * time.Second
)

// Projection is what the intake asks of the status projection.
type Projection interface {
	Known(uid string) (status.Knowledge, bool)
	Open() []status.Ref
	Forget(before time.Time)
	Differs(uid string, seen *kanister.ActionSetStatus) bool
	Writing
}

// Writing is what a Projection writes.
type Writing interface {
	Update(ctx context.Context, u stream.RunUpdate)
	Again(u stream.RunUpdate)
	Refuse(ctx context.Context, ref status.Ref, token, why string) error
	Notice(ref status.Ref, kind, reason, message string)
}

// Config of an Intake. All fields are required but Metrics.
type Config struct {
	Clients    *kube.Clients
	Clock      clock.WithTicker
	Log        zerolog.Logger
	Watcher    *Watcher
	Runs       *stream.Runs
	Reports    *stream.Reports
	Projection Projection
	// Events is where the end of what never becomes a run is told; nil tells nobody.
	Events *stream.Events
	// Spans takes the traces of runs; nil takes none.
	Spans *telemetry.Exporter
	// Resync is the time between two comparisons of everything.
	Resync time.Duration
	// RunRetention is how long records of runs that ended are kept.
	RunRetention time.Duration
	Metrics      *Metrics
}

// Intake makes runs from ActionSets and cancels those whose ActionSet was
// deleted.
type Intake struct {
	Config

	queue workqueue.TypedRateLimitingInterface[item]
	// told are the foreign ActionSets that were mentioned in the log.
	told sync.Map
	// sent has the last request for a run, by UID.
	sent sync.Map
	// untold are the ends that could not be put on EVENTS yet, by UID.
	untold sync.Map
}

// item is an ActionSet to look at.
type item struct {
	ref status.Ref
	see sight
}

// sight says why an ActionSet is looked at.
type sight int

const (
	// seePresent: it is watched.
	seePresent sight = iota
	// seeGone: it left the watch.
	seeGone
	// seeRetry: it asks for a retry.
	seeRetry
	// seeUntold: its end is to be told.
	seeUntold
	// seeRecord: it is open, and its record should be there.
	seeRecord
)

// New returns an intake that does nothing until Run is called.
func New(c Config) *Intake {
	return &Intake{
		Config: c,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[item](backoffMin, backoffMax),
			workqueue.TypedRateLimitingQueueConfig[item]{Name: "actionset-intake", Clock: c.Clock}),
	}
}

// Handler puts what the watcher sees on the queue.
func (in *Intake) Handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { in.add(obj, seePresent) },
		UpdateFunc: func(_, obj any) { in.add(obj, seePresent) },
		DeleteFunc: func(obj any) {
			if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = last.Obj
			}
			in.add(obj, seeGone)
		},
	}
}

// RetryHandler puts the ActionSets that ask for a retry on the queue.
func (in *Intake) RetryHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { in.add(obj, seeRetry) },
		UpdateFunc: func(_, obj any) { in.add(obj, seeRetry) },
	}
}

func (in *Intake) add(obj any, see sight) {
	if as, ok := obj.(*kanister.ActionSet); ok {
		in.queue.Add(item{ref: refOf(as), see: see})
	}
}

// Run works until ctx ends. Call it once the watcher and the projection have
// synced, so that nothing that is known already is asked for.
func (in *Intake) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, in.queue.ShutDown)
	defer stop()
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for in.next(ctx) {
			}
		})
	}
	ticker := in.Clock.NewTicker(in.Resync)
	defer ticker.Stop()
	for {
		in.Reconcile()
		select {
		case <-ctx.Done():
			running.Wait()
			return nil
		case <-ticker.C():
		}
	}
}

// Reconcile queues everything that may have to be put right.
func (in *Intake) Reconcile() {
	for _, as := range in.Watcher.All() {
		if !status.Terminal(state(as)) {
			in.queue.Add(item{ref: refOf(as)})
		}
	}
	for _, ref := range in.Projection.Open() {
		if as, ok := in.Watcher.Lookup(ref.Namespace, ref.Name); !ok || string(as.UID) != ref.UID {
			in.queue.Add(item{ref: ref, see: seeGone})
			continue
		}
		in.queue.Add(item{ref: ref, see: seeRecord})
	}
	for _, as := range in.Watcher.AllAsking() {
		in.queue.Add(item{ref: refOf(as), see: seeRetry})
	}
	in.forget()
	in.Projection.Forget(in.Clock.Now().Add(-settle))
}

func (in *Intake) next(ctx context.Context) bool {
	it, shutdown := in.queue.Get()
	if shutdown {
		return false
	}
	defer in.queue.Done(it)
	err := in.look(ctx, it)
	switch {
	case err == nil:
		in.queue.Forget(it)
	case ctx.Err() != nil:
	default:
		in.logger(it.ref).Warn().Err(err).Int("tries", in.queue.NumRequeues(it)+1).Msg("the ActionSet could not be taken in; it will be tried again")
		in.queue.AddRateLimited(it)
	}
	return true
}

func (in *Intake) look(ctx context.Context, it item) error {
	switch it.see {
	case seePresent:
		return in.present(ctx, it.ref)
	case seeGone:
		return in.gone(ctx, it.ref)
	case seeRetry:
		return in.retry(ctx, it.ref)
	case seeUntold:
		return in.tellAgain(ctx, it.ref)
	case seeRecord:
		return in.recorded(ctx, it.ref)
	}
	return nil
}

// present looks at an ActionSet that is watched.
func (in *Intake) present(ctx context.Context, ref status.Ref) error {
	as, ok := in.Watcher.Lookup(ref.Namespace, ref.Name)
	if !ok || string(as.UID) != ref.UID {
		return nil
	}
	known, isKnown := in.Projection.Known(ref.UID)
	switch judge(as) {
	case ended:
		return nil
	case leaving:
		return in.cancel(ctx, ref, isKnown)
	case foreign:
		if _, again := in.told.LoadOrStore(ref.UID, true); !again && !isKnown {
			in.logger(ref).Info().Str("state", string(state(as))).
				Msg("left alone: another engine has started this ActionSet; if that engine is gone, salvor adopt hands it to Salvor")
		}
		return nil
	case admit:
	}
	switch {
	case isKnown && !known.State.Terminal():
		if err := in.ask(ctx, as, known); err != nil {
			return err
		}
		return in.compare(ctx, as, known)
	case isKnown && known.Settled.IsZero():
		return nil // its end is being written
	case isKnown && in.Clock.Since(known.Settled) < settle:
		in.queue.AddAfter(item{ref: ref}, settle) // the watch may not have seen it yet
		return nil
	}
	return in.create(ctx, as)
}

// compare projects an open run again when its ActionSet does not say what was
// written to it: somebody wrote it over, or the API server's store went back.
func (in *Intake) compare(ctx context.Context, as *kanister.ActionSet, known status.Knowledge) error {
	ref := refOf(as)
	switch {
	case known.Settled.IsZero() || !in.Projection.Differs(ref.UID, as.Status):
		return nil
	case in.Clock.Since(known.Settled) < settle:
		in.queue.AddAfter(item{ref: ref}, settle)
		return nil
	}
	found, revision, err := in.Runs.Get(ctx, ref.Namespace, ref.UID)
	if errors.Is(err, stream.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err // it says all
	}
	in.repair(ref, stream.RunUpdate{Run: found, Revision: revision}, "The status did not say where the run stands; it is written again")
	return nil
}

// create makes the run, or projects the one that is there.
func (in *Intake) create(ctx context.Context, as *kanister.ActionSet) error {
	ref, now := refOf(as), in.Clock.Now()
	if why := check(as); why != nil {
		in.reject(ctx, as, why)
		return nil
	}
	if done, err := in.settled(ctx, as); done || err != nil {
		return err
	}
	if adopted(as) == salvor.AdoptFail {
		in.reject(ctx, as, &event.Failure{Reason: event.ReasonInterrupted, Message: leftBehind})
		return nil
	}
	run := newRun(as, now)
	lost := state(as) != ""
	if lost {
		switch err := in.remember(ctx, as, run); {
		case errors.Is(err, errVanished):
			return nil
		case err != nil:
			return err
		}
	} else if reason, asked := as.Annotations[salvor.AnnotationCancel]; asked {
		return in.neverBegin(ctx, as, reason)
	}
	if growsTooLarge(run) {
		in.rejectTooLarge(ctx, as)
		return nil
	}
	failpoint.Here(failpoint.BridgeBeforeRunCreate)
	revision, err := in.Runs.Create(ctx, run)
	failpoint.Here(failpoint.BridgeAfterRunCreate)
	switch {
	case err == nil:
		in.Metrics.created(lost)
		if !lost {
			in.Spans.Export(ctx, telemetry.Accepted(run, as.CreationTimestamp.Time))
		}
		in.logger(ref).Info().Bool("recovered", lost).Msg("run created")
		if lost {
			in.tellRecovered(ref, run, adopted(as) != "")
		}
		in.Projection.Update(ctx, stream.RunUpdate{Run: run, Revision: revision})
		if seen, ok := in.Watcher.Lookup(ref.Namespace, ref.Name); !ok || seen.UID != as.UID {
			in.queue.Add(item{ref: ref, see: seeGone}) // deleted meanwhile, perhaps looked at before the run was there
		}
		return nil
	case errors.Is(err, stream.ErrExists):
		return in.again(ctx, ref)
	case tooLarge(err):
		in.rejectTooLarge(ctx, as)
		return nil
	}
	return err // it says all
}

// maxRun bounds a run as it is created, in bytes. It travels whole in one message
// at each step and grows on its way, by artifacts (decide.ArtifactsLimit, 256 KiB)
// and by how its phases ended: a run that fitted at first and no more at its end
// could never be ended.
const maxRun = 512 << 10

func growsTooLarge(run *event.Run) bool {
	data, err := json.Marshal(run)
	return err == nil && len(data) > maxRun // Create tells of err
}

func (in *Intake) rejectTooLarge(ctx context.Context, as *kanister.ActionSet) {
	in.reject(ctx, as, &event.Failure{
		Reason: event.ReasonInvalid,
		Message: fmt.Sprintf("spec is too large to be run, the limit is %d KiB; move large options, artifacts or podOverrides to ConfigMaps",
			maxRun>>10),
	})
}

// again projects the run that is there.
func (in *Intake) again(ctx context.Context, ref status.Ref) error {
	found, revision, err := in.Runs.Get(ctx, ref.Namespace, ref.UID)
	if err != nil {
		return fmt.Errorf("read the run that exists already: %w", err)
	}
	in.Projection.Again(stream.RunUpdate{Run: found, Revision: revision})
	return nil
}

// neverBegin ends an ActionSet that was cancelled before it became a run.
func (in *Intake) neverBegin(ctx context.Context, as *kanister.ActionSet, reason string) error {
	ref, now := refOf(as), in.Clock.Now()
	err := in.again(ctx, ref)
	if !errors.Is(err, stream.ErrNotFound) {
		return err // it became one, and is cancelled as such
	}
	run := newRun(as, now)
	run.State, run.Cancel = event.StateCancelled, &event.Cancel{Reason: words(reason), At: now}
	in.logger(ref).Info().Str("reason", reason).Msg("cancelled before it began")
	in.tellEnd(ctx, ref, run)
	in.Projection.Again(stream.RunUpdate{Run: run})
	return nil
}

// reject writes the end of an ActionSet that never becomes a run.
func (in *Intake) reject(ctx context.Context, as *kanister.ActionSet, why *event.Failure) {
	in.Metrics.rejected()
	in.logger(refOf(as)).Info().Str("reason", why.Message).Msg("ActionSet refused")
	run := rejected(as, why, in.Clock.Now())
	in.tellEnd(ctx, refOf(as), run)
	in.Projection.Again(stream.RunUpdate{Run: run})
}

// gone looks at an ActionSet that left the watch: it was deleted, or it ended.
func (in *Intake) gone(ctx context.Context, ref status.Ref) error {
	in.told.Delete(ref.UID)
	known, isKnown := in.Projection.Known(ref.UID)
	if isKnown && known.State.Terminal() {
		return nil
	}
	found, err := in.Clients.ActionSets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	switch {
	case err == nil && string(found.UID) == ref.UID:
		return nil
	case err != nil && (!apierrors.IsNotFound(err) || kube.NotServed(err)):
		return fmt.Errorf("see whether %s was deleted: %w", ref, err)
	}
	return in.cancel(ctx, ref, isKnown)
}

func (in *Intake) logger(ref status.Ref) *zerolog.Logger {
	l := in.Log.With().Str("namespace", ref.Namespace).Str("actionset", ref.Name).Str("run", ref.UID).Logger()
	return &l
}

func refOf(as *kanister.ActionSet) status.Ref {
	return status.Ref{Namespace: as.Namespace, Name: as.Name, UID: string(as.UID)}
}

// codeTooLarge is the server's code for a message above the stream's limit.
const codeTooLarge jetstream.ErrorCode = 10054

func tooLarge(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, nats.ErrMaxPayload) || (errors.As(err, &api) && api.ErrorCode == codeTooLarge)
}
