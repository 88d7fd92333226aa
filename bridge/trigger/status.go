package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// ConditionReady says whether the trigger fires for events that match.
const ConditionReady = "Ready"

// interval is the shortest time between two writes of one trigger's status, so
// that a storm of events does not become a storm of writes.
const interval = time.Second

type key struct{ namespace, name string }

// record is what a trigger did last.
type record struct {
	trigger *salvor.ActionTrigger
	// event is nil when nothing fired and only the condition is due.
	event     *salvor.EventRecord
	actionSet string
	fault     *PermanentError
}

// records are the newest records, one per trigger.
type records struct {
	queue   workqueue.TypedRateLimitingInterface[key]
	mu      sync.Mutex
	pending map[key]record
	last    map[key]time.Time
}

// noticed sees to the condition of a trigger that is new or was changed. A fault
// stands until the trigger is changed or fires well.
func (c *Controller) noticed(t *salvor.ActionTrigger) {
	if c.records.have(t) {
		return
	}
	if ready := meta.FindStatusCondition(t.Status.Conditions, ConditionReady); ready != nil && ready.ObservedGeneration == t.Generation {
		return
	}
	c.records.put(t, func(r *record) { r.fault = nil })
}

// record notes what the trigger did with an event.
func (c *Controller) record(t *salvor.ActionTrigger, e *cloudevents.Event, at time.Time, actionSet string, fault *PermanentError) {
	received := metav1.NewTime(at.UTC().Truncate(time.Second))
	c.records.put(t, func(r *record) {
		if r.event != nil && r.event.ReceivedAt.After(received.Time) {
			return // events are worked on side by side; the later one counts
		}
		r.event = &salvor.EventRecord{ID: e.ID(), Source: e.Source(), Type: e.Type(), ReceivedAt: &received}
		r.actionSet, r.fault = actionSet, fault
	})
}

func (r *records) have(t *salvor.ActionTrigger) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting, ok := r.pending[key{t.Namespace, t.Name}]
	return ok && waiting.trigger.UID == t.UID && waiting.trigger.Generation == t.Generation
}

func (r *records) put(t *salvor.ActionTrigger, change func(*record)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := key{t.Namespace, t.Name}
	current, ok := r.pending[k]
	if ok && current.trigger.UID != t.UID {
		current = record{}
	}
	current.trigger = t
	change(&current)
	r.pending[k] = current
	r.queue.Add(k)
}

// writeRecords writes statuses until ctx ends.
func (c *Controller) writeRecords(ctx context.Context) {
	stop := context.AfterFunc(ctx, c.records.queue.ShutDown)
	defer stop()
	for {
		k, shutdown := c.records.queue.Get()
		if shutdown {
			return
		}
		c.writeRecord(ctx, k)
		c.records.queue.Done(k)
	}
}

func (c *Controller) writeRecord(ctx context.Context, k key) {
	r, wait, ok := c.records.take(k, c.Clock.Now())
	switch {
	case !ok:
		return
	case wait > 0:
		c.records.queue.AddAfter(k, wait)
		return
	}
	err := c.patchStatus(ctx, r)
	switch {
	case err == nil, apierrors.IsNotFound(err), apierrors.IsConflict(err), apierrors.IsInvalid(err):
		// A conflict means that another trigger has the name now; that one has
		// its own record.
		c.records.queue.Forget(k)
		if apierrors.IsInvalid(err) {
			c.Log.Error().Err(err).Str("namespace", k.namespace).Str("trigger", k.name).Msg("the trigger's status was refused")
		}
	case ctx.Err() != nil:
	default:
		c.Log.Warn().Err(err).Str("namespace", k.namespace).Str("trigger", k.name).Msg("the trigger's status could not be written; it will be tried again")
		c.records.putBack(k, r)
		c.records.queue.AddRateLimited(k)
	}
}

func (r *records) take(k key, now time.Time) (record, time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	current, ok := r.pending[k]
	if !ok {
		return record{}, 0, false
	}
	if wait := r.last[k].Add(interval).Sub(now); wait > 0 {
		return record{}, wait, true
	}
	delete(r.pending, k)
	r.last[k] = now
	for other, at := range r.last {
		if now.Sub(at) > time.Minute {
			delete(r.last, other)
		}
	}
	return current, 0, true
}

func (r *records) putBack(k key, old record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, newer := r.pending[k]; !newer {
		r.pending[k] = old
	}
}

// patchStatus writes what changed, on the condition that it is still the same
// trigger.
func (c *Controller) patchStatus(ctx context.Context, r record) error {
	conditions := r.trigger.DeepCopy().Status.Conditions
	changes := map[string]any{}
	if meta.SetStatusCondition(&conditions, readyCondition(r, c.Clock.Now())) {
		changes["conditions"] = conditions
	}
	if r.event != nil {
		changes["lastEvent"] = r.event
		if r.actionSet != "" {
			changes["lastActionSet"] = r.actionSet
		}
	}
	if len(changes) == 0 {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": r.trigger.UID},
		"status":   changes,
	})
	if err != nil {
		return fmt.Errorf("encode the status of trigger %s/%s: %w", r.trigger.Namespace, r.trigger.Name, err)
	}
	_, err = c.Clients.ActionTriggers(r.trigger.Namespace).Patch(ctx, r.trigger.Name, types.MergePatchType, patch,
		metav1.PatchOptions{FieldManager: fieldManager}, "status")
	if err != nil {
		return fmt.Errorf("write the status of trigger %s/%s: %w", r.trigger.Namespace, r.trigger.Name, err)
	}
	return nil
}

func readyCondition(r record, now time.Time) metav1.Condition {
	condition := metav1.Condition{
		Type: ConditionReady, Status: metav1.ConditionTrue, Reason: "Watching", Message: "fires for events that match",
		ObservedGeneration: r.trigger.Generation, LastTransitionTime: metav1.NewTime(now.UTC().Truncate(time.Second)),
	}
	switch {
	case r.fault != nil:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, r.fault.Reason, limit(r.fault.Error())
	case r.trigger.Spec.Suspend:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, "Suspended", "spec.suspend is true; events are accepted and ignored"
	}
	return condition
}

// limit cuts a message to a size that a person reads.
func limit(message string) string {
	const most = 2048
	if len(message) > most {
		return strings.ToValidUTF8(message[:most], "")
	}
	return message
}
