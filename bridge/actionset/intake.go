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
	"github.com/salvor-io/salvor/bridge/status"
	"github.com/salvor-io/salvor/internal/failpoint"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/stream"
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
	// ReasonDeleted is the reason of the cancel of a run whose ActionSet was
	// deleted.
	ReasonDeleted = "ActionSet deleted"
)

// Projection is what the intake asks of the status projection.
type Projection interface {
	Known(uid string) (status.Knowledge, bool)
	Open() []status.Ref
	Forget(before time.Time)
	Update(ctx context.Context, u stream.RunUpdate)
	Again(u stream.RunUpdate)
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
	// Resync is the time between two comparisons of everything.
	Resync  time.Duration
	Metrics *Metrics
}

// Intake makes runs from ActionSets and cancels those whose ActionSet was
// deleted.
type Intake struct {
	Config

	queue workqueue.TypedRateLimitingInterface[item]
	// told are the foreign ActionSets that were mentioned in the log.
	told sync.Map
}

// item is an ActionSet to look at; gone says that it left the watch.
type item struct {
	ref  status.Ref
	gone bool
}

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
		AddFunc:    func(obj any) { in.add(obj, false) },
		UpdateFunc: func(_, obj any) { in.add(obj, false) },
		DeleteFunc: func(obj any) {
			if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = last.Obj
			}
			in.add(obj, true)
		},
	}
}

func (in *Intake) add(obj any, gone bool) {
	if as, ok := obj.(*kanister.ActionSet); ok {
		in.queue.Add(item{ref: refOf(as), gone: gone})
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
			in.queue.Add(item{ref: ref, gone: true})
		}
	}
	in.Projection.Forget(in.Clock.Now().Add(-settle))
}

func (in *Intake) next(ctx context.Context) bool {
	it, shutdown := in.queue.Get()
	if shutdown {
		return false
	}
	defer in.queue.Done(it)
	handle := in.present
	if it.gone {
		handle = in.gone
	}
	err := handle(ctx, it.ref)
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
		return in.cancel(ctx, ref)
	case foreign:
		if _, again := in.told.LoadOrStore(ref.UID, true); !again && !isKnown {
			in.logger(ref).Info().Str("state", string(state(as))).
				Msg("left alone: another engine has started this ActionSet; delete it and create it again to have Salvor run it")
		}
		return nil
	case admit:
	}
	switch {
	case isKnown && !known.State.Terminal():
		return nil
	case isKnown && (known.Settled.IsZero() || in.Clock.Since(known.Settled) < settle):
		return nil // its end is being written, or the watch has not seen it yet
	}
	return in.create(ctx, as)
}

// create makes the run, or projects the one that is there.
func (in *Intake) create(ctx context.Context, as *kanister.ActionSet) error {
	ref, now := refOf(as), in.Clock.Now()
	if why := check(as); why != nil {
		in.reject(as, why)
		return nil
	}
	if state(as) != "" {
		if done, err := in.settled(ctx, as); done || err != nil {
			return err
		}
	}
	run := newRun(as, now)
	if growsTooLarge(run) {
		in.rejectTooLarge(as)
		return nil
	}
	failpoint.Here(failpoint.BridgeBeforeRunCreate)
	revision, err := in.Runs.Create(ctx, run)
	failpoint.Here(failpoint.BridgeAfterRunCreate)
	switch {
	case err == nil:
		in.Metrics.created(state(as) != "")
		in.logger(ref).Info().Bool("recovered", state(as) != "").Msg("run created")
		in.Projection.Update(ctx, stream.RunUpdate{Run: run, Revision: revision})
		if seen, ok := in.Watcher.Lookup(ref.Namespace, ref.Name); !ok || seen.UID != as.UID {
			in.queue.Add(item{ref: ref, gone: true}) // deleted meanwhile, perhaps looked at before the run was there
		}
		return nil
	case errors.Is(err, stream.ErrExists):
		return in.again(ctx, ref)
	case tooLarge(err):
		in.rejectTooLarge(as)
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

func (in *Intake) rejectTooLarge(as *kanister.ActionSet) {
	in.reject(as, &event.Failure{
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

// settled deals with an ActionSet that was a run before. It is false when the
// run's record was lost and may be made anew.
func (in *Intake) settled(ctx context.Context, as *kanister.ActionSet) (bool, error) {
	err := in.again(ctx, refOf(as))
	if !errors.Is(err, stream.ErrNotFound) {
		return true, err
	}
	since, err := in.Runs.Since(ctx)
	if err != nil {
		return false, err // it says all
	}
	if recoverable(as, since, in.Clock.Now()) {
		return false, nil
	}
	in.reject(as, &event.Failure{
		Reason: event.ReasonInternal,
		Message: "the record of this run was removed before its end was written here, so its outcome is not known; " +
			"look at what it left behind, and create the ActionSet again if it is still wanted",
	})
	return true, nil
}

// reject writes the end of an ActionSet that never becomes a run.
func (in *Intake) reject(as *kanister.ActionSet, why *event.Failure) {
	in.Metrics.rejected()
	in.logger(refOf(as)).Info().Str("reason", why.Message).Msg("ActionSet refused")
	in.Projection.Again(stream.RunUpdate{Run: rejected(as, why, in.Clock.Now())})
}

// gone looks at an ActionSet that left the watch: it was deleted, or it ended.
func (in *Intake) gone(ctx context.Context, ref status.Ref) error {
	in.told.Delete(ref.UID)
	if known, ok := in.Projection.Known(ref.UID); ok && known.State.Terminal() {
		return nil
	}
	found, err := in.Clients.ActionSets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	switch {
	case err == nil && string(found.UID) == ref.UID:
		return nil
	case err != nil && !apierrors.IsNotFound(err):
		return fmt.Errorf("see whether %s was deleted: %w", ref, err)
	}
	return in.cancel(ctx, ref)
}

// cancel asks the dispatcher to end the run, if there is one that has not ended.
func (in *Intake) cancel(ctx context.Context, ref status.Ref) error {
	run, _, err := in.Runs.Get(ctx, ref.Namespace, ref.UID)
	if errors.Is(err, stream.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err // it says all
	}
	if run.State.Terminal() || run.Cancel != nil {
		return nil
	}
	failpoint.Here(failpoint.BridgeBeforeRequest)
	err = in.Reports.Publish(ctx, &event.Report{
		Kind:   event.ReportCancel,
		Key:    event.Key{UID: ref.UID, Namespace: ref.Namespace},
		At:     in.Clock.Now(),
		Reason: ReasonDeleted,
	}, run.Traceparent)
	failpoint.Here(failpoint.BridgeAfterRequest)
	if err != nil {
		return fmt.Errorf("cancel the run of %s: %w", ref, err)
	}
	in.Metrics.cancelled()
	in.logger(ref).Info().Msg("ActionSet deleted; its run is being cancelled")
	return nil
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
