package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/trigger/gate"
	"github.com/salvor-io/salvor/internal/stream"
)

// doTimeout bounds what is done for one gate before others have their turn.
const doTimeout = 30 * time.Second

// do does what a gate asks for and tells it what came of it.
func (k *keeper) do(ctx context.Context, key string) {
	k.mu.Lock()
	e := k.gates[key]
	if e == nil {
		k.mu.Unlock()
		return
	}
	todo, owner, look := e.todo, e.owner, e.look
	e.todo, e.look = gate.Todo{}, false
	todo.Start = slices.DeleteFunc(todo.Start, func(s gate.Start) bool { return e.told[s.Name] })
	var running []string
	if look {
		for name := range e.running {
			running = append(running, name)
		}
	}
	k.mu.Unlock()

	limited, cancel := context.WithTimeout(ctx, doTimeout)
	defer cancel()
	var errs []error
	for _, name := range running {
		over, err := k.over(limited, owner.Namespace, name)
		if err == nil && over && !isStarting(todo, name) {
			k.tell(key, endOf(name))
		}
		errs = append(errs, err)
	}
	for _, name := range todo.Cancel {
		errs = append(errs, k.cancel(limited, key, owner, name))
	}
	for i := range todo.Start {
		errs = append(errs, k.start(limited, key, owner, &todo.Start[i]))
	}
	switch err := errors.Join(errs...); {
	case err == nil:
		k.doing.Forget(key)
	case ctx.Err() != nil:
	default:
		k.c.Log.Warn().Err(err).Str("namespace", owner.Namespace).Str("trigger", owner.Trigger).
			Int("tries", k.doing.NumRequeues(key)+1).Msg("what the trigger is to start could not be started; it will be tried again")
		k.again(key, todo)
	}
}

// again comes back to what could not be done; what was done is known to the gate by
// then.
func (k *keeper) again(key string, todo gate.Todo) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.gates[key]
	if e == nil {
		return
	}
	if len(e.todo.Start)+len(e.todo.Cancel) == 0 {
		e.todo = todo
	}
	k.doing.AddRateLimited(key)
}

// isStarting says that an ActionSet may be missing because it is not yet made.
func isStarting(todo gate.Todo, name string) bool {
	for i := range todo.Start {
		if todo.Start[i].Name == name {
			return true
		}
	}
	return false
}

// start makes an ActionSet, says so to those who wait for it, and then to the gate.
func (k *keeper) start(ctx context.Context, key string, owner gate.Owner, s *gate.Start) error {
	t, ok := k.c.Watcher.lookup(owner.Namespace, owner.Trigger)
	if !ok || string(t.UID) != owner.UID {
		k.writing.Add(key) // it is seen there whether the trigger is gone
		return nil
	}
	if fault := k.c.catalog.of(t).fault; fault != nil {
		return fmt.Errorf("the trigger was made invalid while events waited: %w", fault)
	}
	e, err := k.eventOf(ctx, &s.Window.Last)
	var made creation
	o := &order{name: s.Name, event: e, key: owner.Key, events: s.Window.Count, patience: patienceGate}
	if err == nil {
		made, err = k.c.create(ctx, t, o)
	}
	decision := event.TriggerDecision{Namespace: t.Namespace, Trigger: t.Name, Result: event.ResultStarted, ActionSet: s.Name}
	fault := asPermanent(err)
	switch {
	case fault != nil:
		decision = event.TriggerDecision{Namespace: t.Namespace, Trigger: t.Name, Result: event.ResultRefused, Reason: limit(fault.Error())}
	case err != nil:
		k.c.Metrics.actionSet("retried")
		return err
	}
	if err := k.c.Outcomes.Settle(ctx, s.Window.Key, &decision); err != nil {
		return err // it says all
	}
	if fault != nil {
		k.c.notStarted(t, recordOfGate(&s.Window.Last), s.Window.Count, rejection{result: event.ResultRefused, why: fault.Error(), fault: fault})
		k.tellMade(key, s.Name, input{apply: func(g *gate.State, _ *gate.Rules, _ time.Time) { g.Refused(s.Name) }})
		return nil
	}
	if made.fresh {
		k.c.started(t, o, s.Window.Last.At)
	}
	k.tellMade(key, s.Name, input{apply: func(g *gate.State, r *gate.Rules, now time.Time) {
		g.Started(r, s.Name, now)
		if made.ended {
			g.Ended(s.Name)
		}
	}})
	return nil
}

// tellMade gives the gate what became of making an ActionSet, which need not be done
// again.
func (k *keeper) tellMade(key, name string, in input) {
	k.mu.Lock()
	if e := k.gates[key]; e != nil {
		e.told[name] = true
	}
	k.mu.Unlock()
	k.tell(key, in)
}

// eventOf returns an event that a gate has kept.
func (k *keeper) eventOf(ctx context.Context, kept *gate.Event) (*cloudevents.Event, error) {
	if len(kept.Body) > 0 {
		var e cloudevents.Event
		if err := json.Unmarshal(kept.Body, &e); err != nil {
			return nil, &PermanentError{Reason: reasonInvalid, Err: fmt.Errorf("event %s of %s was kept and cannot be read: %w", kept.ID, kept.Source, err)}
		}
		return &e, nil
	}
	e, err := k.c.Events.At(ctx, kept.Sequence)
	if err == nil && (e.ID() != kept.ID || e.Source() != kept.Source) {
		err = stream.ErrNotFound // the stream was made anew
	}
	if errors.Is(err, stream.ErrNotFound) || errors.Is(err, stream.ErrMalformed) {
		return nil, &PermanentError{Reason: "EventExpired", Err: fmt.Errorf("event %s of %s waited longer than %s keeps events", kept.ID, kept.Source, event.StreamEvents)}
	}
	return e, err
}

// cancel asks for the end of an ActionSet that is replaced.
func (k *keeper) cancel(ctx context.Context, key string, owner gate.Owner, name string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{
		salvor.AnnotationCancel: "replaced: a newer event came for ActionTrigger " + owner.Trigger + ", whose concurrency is Replace",
	}}})
	if err != nil {
		return fmt.Errorf("cancel ActionSet %s/%s: %w", owner.Namespace, name, err)
	}
	_, err = k.c.Clients.ActionSets(owner.Namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	switch {
	case apierrors.IsNotFound(err):
		k.tell(key, endOf(name))
		return nil
	case err != nil:
		return fmt.Errorf("cancel ActionSet %s/%s, which is replaced: %w", owner.Namespace, name, err)
	}
	k.tell(key, input{apply: func(s *gate.State, _ *gate.Rules, _ time.Time) { s.Cancelled(name) }})
	return nil
}

func recordOfGate(e *gate.Event) salvor.EventRecord {
	received := seconds(e.At)
	return salvor.EventRecord{ID: e.ID, Source: e.Source, Type: e.Type, ReceivedAt: &received}
}
