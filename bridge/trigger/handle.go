package trigger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/access"
	"github.com/salvor-io/salvor/internal/stream"
)

// parkAfter is the delivery after which an event that cannot be turned into an
// ActionSet for now is kept in a record of its own: it must not count among the
// deliveries that others wait behind.
const parkAfter = 2

// arrival is an event as it came.
type arrival struct {
	event *cloudevents.Event
	// namespace that it was addressed to; "" for all.
	namespace string
	// sender is nil if nobody was asked.
	sender   *event.Sender
	sequence uint64
	delivery uint64
	at       time.Time
}

// handle looks at one event.
func (c *Controller) handle(ctx context.Context, a *arrival) outcome {
	if a.namespace != "" && !c.Watcher.watches(a.namespace) {
		return outcome{} // another bridge sees the triggers, and says what becomes of it
	}
	triggers := c.matching(a.namespace, a.event)
	if len(triggers) == 0 && a.delivery == 1 && (!isOwn(a.event) || isFor(a.event)) {
		// What lay in the stream for long enough need not wait: a flood of events that
		// nobody wants does not hold up the others.
		if fresh := settle - c.Clock.Since(a.at); fresh > 0 {
			return outcome{again: min(fresh, settle)}
		}
	}
	decisions, err := c.fireAll(ctx, triggers, a)
	if err == nil {
		err = c.decide(ctx, a, decisions)
	}
	if err != nil {
		if ctx.Err() == nil {
			c.Log.Warn().Err(err).Str("event", a.event.ID()).Str("source", a.event.Source()).
				Uint64("delivery", a.delivery).Msg("an event could not be turned into ActionSets; it will be tried again")
		}
		return outcome{again: backoff(a.delivery)}
	}
	switch {
	case len(triggers) > 0:
		c.Metrics.event(resultMatched)
	case isOwn(a.event):
		c.Metrics.event(resultOwn)
	default:
		c.Metrics.event(resultUnmatched)
	}
	return outcome{}
}

func arrived(msg jetstream.Msg) (*arrival, error) {
	e, err := stream.Decode(msg.Headers(), msg.Data())
	if err != nil {
		return nil, err // it says all
	}
	sender, err := stream.SenderOf(msg.Headers())
	if err != nil {
		return nil, err // it says all
	}
	meta, err := msg.Metadata()
	if err != nil {
		return nil, fmt.Errorf("message without metadata: %w", err)
	}
	return &arrival{
		event: &e, namespace: namespaceOf(msg.Subject()), sender: sender,
		sequence: meta.Sequence.Stream, delivery: meta.NumDelivered, at: meta.Timestamp,
	}, nil
}

// matching are the triggers that an event which was addressed to namespace ("" for
// all) starts.
func (c *Controller) matching(namespace string, e *cloudevents.Event) []*salvor.ActionTrigger {
	var out []*salvor.ActionTrigger
	for _, t := range c.Watcher.In(namespace) {
		if t.Spec.Suspend || t.DeletionTimestamp != nil {
			continue
		}
		if known := c.catalog.of(t); known.fault == nil && known.meaning.Match(e) {
			out = append(out, t)
		}
	}
	return out
}

// fireAll has all triggers decide. Those that could are not asked again in vain: what
// they did is found when the event comes again.
func (c *Controller) fireAll(ctx context.Context, triggers []*salvor.ActionTrigger, a *arrival) ([]event.TriggerDecision, error) {
	decisions, errs := make([]event.TriggerDecision, len(triggers)), make([]error, len(triggers))
	var running sync.WaitGroup
	for i, t := range triggers {
		running.Go(func() {
			decisions[i], errs[i] = c.fire(ctx, t, a)
			decisions[i].Namespace, decisions[i].Trigger = t.Namespace, t.Name
		})
	}
	running.Wait()
	return decisions, errors.Join(errs...)
}

// fire has one trigger decide on an event and returns only faults that may pass.
func (c *Controller) fire(ctx context.Context, t *salvor.ActionTrigger, a *arrival) (event.TriggerDecision, error) {
	if why := c.loop(t, a.event); why != "" {
		c.rejected(t, a, rejection{result: event.ResultRejected, why: why, condition: ConditionLoopDetected})
		return event.TriggerDecision{Result: event.ResultRejected, Reason: why}, nil
	}
	allowed, err := c.Reviewer.Allowed(ctx, a.sender, access.Fire(t.Namespace, t.Name))
	if err != nil {
		return event.TriggerDecision{}, fmt.Errorf("trigger %s/%s: %w", t.Namespace, t.Name, err)
	}
	if !allowed {
		why := fmt.Sprintf("%s may not fire actiontriggers.%s %s in namespace %s", a.sender.User, salvor.GroupName, t.Name, t.Namespace)
		c.rejected(t, a, rejection{result: event.ResultForbidden, why: why})
		return event.TriggerDecision{Result: event.ResultForbidden, Reason: why}, nil
	}
	known := c.catalog.of(t)
	key, err := known.meaning.Key(a.event)
	if err != nil {
		return c.refused(t, a, &PermanentError{Reason: "Key", Err: fmt.Errorf("spec.key for event %s: %w", a.event.ID(), err)}), nil
	}
	if known.rules(t).Needed() {
		return c.keeper.arrive(ctx, t, event.GateKey(string(t.UID), key), key, a)
	}
	return c.fireOne(ctx, t, key, a)
}

// fireOne makes an ActionSet of an event alone.
func (c *Controller) fireOne(ctx context.Context, t *salvor.ActionTrigger, key string, a *arrival) (event.TriggerDecision, error) {
	o := &order{name: actionSetName(t, identityOf(a.event)), event: a.event, key: key, events: 1, patience: patienceEvent}
	parked := parkKey(t, o.name)
	if c.keeper.has(parked) {
		return c.keeper.arrive(ctx, t, parked, key, a)
	}
	made, err := c.create(ctx, t, o)
	if fault := asPermanent(err); fault != nil {
		return c.refused(t, a, fault), nil
	}
	if err != nil {
		c.Metrics.actionSet("retried")
		if a.delivery < parkAfter {
			return event.TriggerDecision{}, err
		}
		return c.keeper.arrive(ctx, t, parked, key, a)
	}
	if made.fresh {
		c.matched(t, a, false)
		c.started(t, o, a.at)
	}
	return event.TriggerDecision{Result: event.ResultStarted, ActionSet: o.name}, nil
}

func (c *Controller) refused(t *salvor.ActionTrigger, a *arrival, fault *PermanentError) event.TriggerDecision {
	c.rejected(t, a, rejection{result: event.ResultRefused, why: fault.Error(), fault: fault})
	return event.TriggerDecision{Result: event.ResultRefused, Reason: limit(fault.Error())}
}

// decide writes what became of an event from outside, for those who wait for it.
func (c *Controller) decide(ctx context.Context, a *arrival, decisions []event.TriggerDecision) error {
	if isOwn(a.event) {
		return nil
	}
	d := &event.Decision{
		Namespace: a.namespace, Source: a.event.Source(), ID: a.event.ID(), At: c.Clock.Now().UTC(), Triggers: decisions,
	}
	if a.sender != nil {
		d.Sender = a.sender.User
	}
	return c.Outcomes.Decide(ctx, d) //nolint:wrapcheck // it says all
}

// namespaceOf is the namespace that an event was addressed to; "" for all.
func namespaceOf(subject string) string {
	// salvor.events.<namespace>.<type…>
	const position = 2
	tokens := strings.SplitN(subject, ".", position+2)
	if len(tokens) <= position || tokens[position] == "_" {
		return ""
	}
	return tokens[position]
}
