package trigger

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/trigger/gate"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/stream"
)

// mostBody bounds the events that are kept in a record, in bytes; larger ones are
// read from EVENTS again.
const mostBody = 64 << 10

const (
	// writeTimeout bounds the work on one gate.
	writeTimeout = 20 * time.Second
	// lookTimeout bounds a look at an ActionSet while events wait for the answer.
	lookTimeout = 3 * time.Second
)

// errGone: the trigger is no more.
var errGone = errors.New("the trigger was deleted")

// parkKey is the gate of one event that could not be turned into an ActionSet.
func parkKey(t *salvor.ActionTrigger, name string) string {
	return event.GateKey(string(t.UID), "\x00parked\x1f"+name)
}

// arrive gives an event to a gate and returns once what becomes of it is durable.
func (k *keeper) arrive(ctx context.Context, t *salvor.ActionTrigger, key, rendered string, a *arrival) (event.TriggerDecision, error) {
	took := gate.Event{Source: a.event.Source(), ID: a.event.ID(), Type: a.event.Type(), Sequence: a.sequence, At: a.at.UTC()}
	if body, err := json.Marshal(a.event); err == nil && len(body) <= mostBody {
		took.Body = body
	}
	owner := gate.Owner{Namespace: t.Namespace, Trigger: t.Name, UID: string(t.UID), Key: rendered}
	owner.Parked = key != event.GateKey(owner.UID, rendered)
	var got gate.Arrival
	done := make(chan error, 1)
	k.mu.Lock()
	e := k.entry(key, owner)
	e.inputs = append(e.inputs, input{sequence: took.Sequence, done: done, apply: func(s *gate.State, r *gate.Rules, now time.Time) {
		got = s.Arrive(r, &took, now)
	}})
	k.mu.Unlock()
	k.writing.Add(key)
	select {
	case <-ctx.Done():
		return event.TriggerDecision{}, fmt.Errorf("event %s waits at trigger %s/%s: %w", took.ID, t.Namespace, t.Name, ctx.Err())
	case err := <-done:
		if err != nil {
			return event.TriggerDecision{}, err
		}
	}
	if got.Rejected != "" {
		if got.Fresh {
			r := rejection{result: event.ResultRejected, why: got.Rejected}
			if got.Limit {
				r.condition = ConditionRateLimited
			}
			k.c.rejected(t, a, r)
		}
		return event.TriggerDecision{Result: event.ResultRejected, Reason: got.Rejected}, nil
	}
	if got.Fresh {
		k.c.matched(t, a, got.Joined)
	}
	return event.TriggerDecision{Result: event.ResultWaiting, Window: got.Window}, nil
}

// write works on a gate: all that came, one decision, one write.
func (k *keeper) write(ctx context.Context, key string) {
	k.mu.Lock()
	e := k.gates[key]
	if e == nil {
		k.mu.Unlock()
		return
	}
	inputs := e.inputs
	e.inputs = nil
	k.mu.Unlock()
	slices.SortStableFunc(inputs, func(a, b input) int { return cmp.Compare(a.sequence, b.sequence) })
	limited, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	todo, err := k.commit(limited, e, inputs)
	for _, in := range inputs {
		if in.done != nil {
			in.done <- err
		}
	}
	if err != nil && !errors.Is(err, errGone) {
		k.writeLater(ctx, e, inputs, err)
		return
	}
	k.writing.Forget(key)
	k.next(e, todo)
}

// writeLater comes back to a gate that could not be written. Events are given back
// to the stream; the rest is known only here.
func (k *keeper) writeLater(ctx context.Context, e *entry, inputs []input, err error) {
	e.known.state = nil
	if ctx.Err() != nil {
		return
	}
	k.c.Log.Warn().Err(err).Str("namespace", e.owner.Namespace).Str("trigger", e.owner.Trigger).Msg("what waits at the trigger could not be written; it will be tried again")
	inputs = slices.DeleteFunc(inputs, func(in input) bool { return in.done != nil })
	k.mu.Lock()
	e.inputs = append(inputs, e.inputs...)
	k.mu.Unlock()
	k.writing.AddRateLimited(e.key)
}

// next has done what a gate asks for.
func (k *keeper) next(e *entry, todo gate.Todo) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e.todo = todo
	if len(todo.Start)+len(todo.Cancel) > 0 {
		k.doing.Add(e.key)
	}
	switch {
	case e.known.state == nil && len(e.inputs) == 0:
		delete(k.gates, e.key)
	case e.known.state != nil:
		e.show(e.known.state)
	}
	for name := range e.told {
		if e.known.state == nil || !e.known.state.IsStarting(name) {
			delete(e.told, name)
		}
	}
	if !todo.Next.IsZero() {
		k.writing.AddAfter(e.key, max(todo.Next.Sub(k.c.Clock.Now()), time.Millisecond))
	}
}

// commit applies inputs to the newest record, lets go what is due, and writes it,
// until nobody else has written meanwhile.
func (k *keeper) commit(ctx context.Context, e *entry, inputs []input) (gate.Todo, error) {
	for {
		if err := k.load(ctx, e); err != nil {
			return gate.Todo{}, err
		}
		todo, err := k.commitOnce(ctx, e, inputs)
		if !errors.Is(err, stream.ErrConflict) {
			return todo, err
		}
		e.known.state = nil
	}
}

func (k *keeper) load(ctx context.Context, e *entry) error {
	k.mu.Lock()
	foreign := e.foreign
	k.mu.Unlock()
	if e.known.state != nil && foreign <= e.known.revision {
		return nil
	}
	data, revision, err := k.c.Gates.Get(ctx, e.key)
	if err != nil {
		return err // it says all
	}
	state := &gate.State{Owner: e.owner}
	if data != nil {
		if state, err = gate.Decode(data); err != nil {
			return err // it says all
		}
	}
	e.known.state, e.known.data, e.known.revision = state, data, revision
	k.mu.Lock()
	if e.foreign == foreign {
		e.foreign = 0 // it may have been removed since; what was read counts
	}
	k.mu.Unlock()
	return nil
}

func (k *keeper) commitOnce(ctx context.Context, e *entry, inputs []input) (gate.Todo, error) {
	s := e.known.state
	t, err := k.triggerOf(ctx, e)
	if errors.Is(err, errGone) {
		if err := k.drop(ctx, e); err != nil {
			return gate.Todo{}, err
		}
		return gate.Todo{}, errGone
	}
	if err != nil {
		return gate.Todo{}, err
	}
	rules, held := k.rulesOf(e, t)
	rules.Since = k.since
	k.lookBeforeRefusing(ctx, e, rules, inputs)
	now := k.c.Clock.Now()
	for _, in := range inputs {
		in.apply(s, rules, now)
	}
	todo := s.Turn(rules, held, now)
	if err := k.store(ctx, e); err != nil {
		return gate.Todo{}, err
	}
	if todo.Limited != e.known.limited {
		e.known.limited = todo.Limited
		k.tellLimited(t, todo)
	}
	return todo, nil
}

// store writes the record if it has changed, or takes it away if it holds nothing.
func (k *keeper) store(ctx context.Context, e *entry) error {
	s := e.known.state
	if s.Idle() {
		if e.known.revision != 0 {
			if err := k.c.Gates.Remove(ctx, e.key, e.known.revision); err != nil {
				return err // it says all
			}
		}
		e.known.state = nil
		return nil
	}
	data, err := s.Encode()
	if err != nil {
		return err // it says all
	}
	if bytes.Equal(data, e.known.data) {
		return nil
	}
	s.By = k.id
	if data, err = s.Encode(); err != nil {
		return err // it says all
	}
	revision, err := k.c.Gates.Put(ctx, e.key, data, e.known.revision)
	if err != nil {
		return err // it says all
	}
	k.c.Metrics.gateWritten()
	e.known.data, e.known.revision = data, revision
	return nil
}

// triggerOf returns the trigger of a gate, or errGone.
func (k *keeper) triggerOf(ctx context.Context, e *entry) (*salvor.ActionTrigger, error) {
	owner := e.owner
	if t, ok := k.c.Watcher.lookup(owner.Namespace, owner.Trigger); ok && string(t.UID) == owner.UID {
		return t, nil
	}
	t, err := k.c.Clients.ActionTriggers(owner.Namespace).Get(ctx, owner.Trigger, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && !kube.NotServed(err), err == nil && string(t.UID) != owner.UID:
		return nil, errGone
	case err != nil:
		return nil, fmt.Errorf("read trigger %s/%s: %w", owner.Namespace, owner.Trigger, err)
	}
	return t, nil
}

// rulesOf says by what rules a gate works, and whether what waits is held.
func (k *keeper) rulesOf(e *entry, t *salvor.ActionTrigger) (*gate.Rules, bool) {
	name := func(identity string) string { return actionSetName(t, identity) }
	known := k.c.catalog.of(t)
	switch {
	case known.fault != nil:
		return &gate.Rules{Name: name}, true
	case e.owner.Parked:
		return &gate.Rules{Name: name}, false
	}
	return known.rules(t), t.Spec.Suspend
}

// drop takes away what waits at a trigger that is no more, and says so to those who
// wait for it.
func (k *keeper) drop(ctx context.Context, e *entry) error {
	s := e.known.state
	windows := []*gate.Window{}
	if s.Window != nil {
		windows = append(windows, s.Window)
	}
	for i := range s.Starting {
		windows = append(windows, &s.Starting[i].Window)
	}
	for _, w := range windows {
		if err := k.c.Outcomes.Settle(ctx, w.Key, &event.TriggerDecision{
			Namespace: e.owner.Namespace, Trigger: e.owner.Trigger, Result: event.ResultRejected, Reason: errGone.Error(),
		}); err != nil {
			return err // it says all
		}
		k.c.Log.Warn().Str("namespace", e.owner.Namespace).Str("trigger", e.owner.Trigger).Int64("events", w.Count).Str("event", w.Last.ID).
			Msg("events that waited start nothing: " + errGone.Error())
	}
	e.known.state = &gate.State{Owner: e.owner}
	return k.store(ctx, e)
}

// lookBeforeRefusing sees whether what an event would be refused for still runs.
func (k *keeper) lookBeforeRefusing(ctx context.Context, e *entry, r *gate.Rules, inputs []input) {
	now := k.c.Clock.Now()
	arrives := slices.ContainsFunc(inputs, func(in input) bool { return in.sequence > 0 })
	if !arrives || r.Concurrency != salvor.ConcurrencyForbid || r.Coalesce > 0 || now.Sub(e.known.looked) < lookAgain {
		return
	}
	e.known.looked = now
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for _, a := range slices.Clone(e.known.state.Active) {
		if over, err := k.over(ctx, e.owner.Namespace, a.Name); err == nil && over {
			e.known.state.Ended(a.Name)
		}
	}
}

// over reports whether an ActionSet has ended or is gone.
func (k *keeper) over(ctx context.Context, namespace, name string) (bool, error) {
	as, err := k.c.Clients.ActionSets(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && !kube.NotServed(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("see whether ActionSet %s/%s has ended: %w", namespace, name, err)
	}
	return ended(as), nil
}

// tellLimited says in the trigger's condition that events wait for room, or do not.
func (k *keeper) tellLimited(t *salvor.ActionTrigger, todo gate.Todo) {
	if !todo.Limited {
		return // the start that follows says so
	}
	condition := k.c.condition(t, ConditionRateLimited, true, "Waiting", "events wait until "+todo.Next.UTC().Format(time.RFC3339)+" for room below the rate limit")
	k.c.Tell(t, func(s *salvor.ActionTriggerStatus) { setCondition(s, condition) })
}
