package kubesource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/rs/zerolog"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/stream"
)

const (
	// workers is how many triggers are looked at side by side.
	workers = 4
	// Pauses before a trigger is looked at again after a fault.
	faultMin = 250 * time.Millisecond
	faultMax = time.Minute
	// unknownPause is the pause before a kind that is not known is asked for again.
	unknownPause = time.Minute
)

// events is the resource of Kubernetes Events.
//
//nolint:gochecknoglobals // a constant that Go cannot write as one
var events = corev1.SchemeGroupVersion.WithResource("events")

// Triggers are the ActionTriggers, as an informer has them.
type Triggers interface {
	All() []*salvor.ActionTrigger
	WaitForSync(ctx context.Context) bool
	Notify(changed func(t *salvor.ActionTrigger, gone bool)) error
}

// Statuses writes the status of triggers.
type Statuses interface {
	Tell(t *salvor.ActionTrigger, change func(*salvor.ActionTriggerStatus))
}

// Publisher stores events for the triggers.
type Publisher interface {
	Publish(ctx context.Context, namespace string, e cloudevents.Event) (duplicate bool, err error)
}

// Store keeps what triggers have seen.
type Store interface {
	Get(ctx context.Context, key string) ([]byte, uint64, error)
	Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	Remove(ctx context.Context, key string, revision uint64) error
	Follow(ctx context.Context, keys string, update func(stream.GateUpdate), synced func()) error
}

// Config of a Controller. All fields are required.
type Config struct {
	Clients  *kube.Clients
	Clock    clock.WithTicker
	Log      zerolog.Logger
	Triggers Triggers
	Statuses Statuses
	Events   Publisher
	Store    Store
	// Serves reports whether the triggers of a namespace are watched here.
	Serves func(namespace string) bool
}

// Controller makes events of what happens to Kubernetes objects.
type Controller struct {
	Config

	metadata metadata.Interface
	queue    workqueue.TypedRateLimitingInterface[key]
	watches  *watches
	mu       sync.Mutex
	triggers map[key]*salvor.ActionTrigger
	seen     map[key]*memory
}

type key struct{ namespace, name string }

// memory is the record of a trigger, as it was read or written last. Only the worker
// that has the trigger touches it.
type memory struct {
	uid      string
	record   *record // nil if there is none
	revision uint64
}

// New returns a controller that does nothing until Run is called.
func New(c Config) (*Controller, error) {
	client, err := metadata.NewForConfig(c.Clients.Config)
	if err != nil {
		return nil, fmt.Errorf("client for metadata: %w", err)
	}
	out := &Controller{
		Config: c, metadata: client, triggers: map[key]*salvor.ActionTrigger{}, seen: map[key]*memory{},
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[key](faultMin, faultMax),
			workqueue.TypedRateLimitingQueueConfig[key]{Name: "kubernetes-source", Clock: c.Clock}),
	}
	out.watches = &watches{changed: func(k key) { out.queue.Add(k) }, source: out.sourceOf, all: map[target]*watching{}}
	return out, nil
}

// Run works until ctx ends and everything it started has ended.
func (c *Controller) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, c.queue.ShutDown)
	defer stop()
	if err := c.Triggers.Notify(c.changed); err != nil {
		return fmt.Errorf("kubernetes sources: %w", err)
	}
	if !c.Triggers.WaitForSync(ctx) {
		return nil
	}
	defer c.watches.running.Wait()
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { c.sweep(ctx) })
	for range workers {
		running.Go(func() { c.work(ctx) })
	}
	return nil
}

// changed notes a trigger.
func (c *Controller) changed(t *salvor.ActionTrigger, gone bool) {
	k := key{t.Namespace, t.Name}
	c.mu.Lock()
	was, known := c.triggers[k]
	asks := t.Spec.When.Kubernetes != nil && t.DeletionTimestamp == nil && !gone
	switch {
	case gone && known && was.UID != t.UID:
		asks = true // another has the name already
	case asks:
		c.triggers[k] = t
	default:
		delete(c.triggers, k)
	}
	c.mu.Unlock()
	if !asks && !gone {
		c.silence(t)
	}
	// A status that was written is no reason.
	if known != asks || (known && (was.UID != t.UID || was.Generation != t.Generation)) {
		c.queue.Add(k)
	}
}

func (c *Controller) work(ctx context.Context) {
	for {
		k, shutdown := c.queue.Get()
		if shutdown {
			return
		}
		again, err := c.handle(ctx, k)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			c.Log.Warn().Err(err).Str("namespace", k.namespace).Str("trigger", k.name).
				Msg("what happened to Kubernetes objects could not be told to a trigger; it will be tried again")
			c.queue.AddRateLimited(k)
		default:
			c.queue.Forget(k)
			if again > 0 {
				c.queue.AddAfter(k, again)
			}
		}
		c.queue.Done(k)
	}
}

// handle brings one trigger up to date.
func (c *Controller) handle(ctx context.Context, k key) (again time.Duration, err error) {
	c.mu.Lock()
	t, m := c.triggers[k], c.seen[k]
	c.mu.Unlock()
	if m != nil && (t == nil || string(t.UID) != m.uid) {
		if err := c.forget(ctx, k, m); err != nil {
			return 0, err
		}
		m = nil
	}
	if t == nil {
		_, err := c.watches.want(ctx, k, nil)
		return 0, err
	}
	l, fault := c.plan(t)
	if fault != nil {
		c.tell(t, fault)
		_, err := c.watches.want(ctx, k, nil)
		return fault.again, err
	}
	if l.watched, err = c.watches.want(ctx, k, l.targets); err != nil {
		return 0, err
	}
	if fault := l.fault(); fault != nil {
		c.tell(t, fault)
		return 0, nil // the watch tells when that changes
	}
	if !l.synced() {
		return 0, nil // likewise
	}
	if m == nil {
		if m, err = c.recall(ctx, t); err != nil {
			return 0, err
		}
		c.mu.Lock()
		c.seen[k] = m
		c.mu.Unlock()
	}
	return 0, c.compare(ctx, k, t, l, m)
}

// compare tells what is new, and then remembers that it was told. In between lies an
// event that would be told again under the same id.
func (c *Controller) compare(ctx context.Context, k key, t *salvor.ActionTrigger, l *lookout, m *memory) error {
	is, err := l.compare(t, m.record, c.Clock.Now())
	if err != nil {
		return err
	}
	if len(is.found) > 0 {
		newest, err := c.recall(ctx, t)
		if err != nil {
			return err
		}
		if newest.revision != m.revision {
			// Another bridge has told some of it, and perhaps saw one by one what came
			// together here. What is new after that is seen when both the record and
			// the watch were read again.
			c.startOver(k)
			return nil
		}
	}
	if !t.Spec.Suspend {
		for i := range is.found {
			if _, err := c.Events.Publish(ctx, t.Namespace, is.found[i]); err != nil {
				return fmt.Errorf("tell what happened to Kubernetes objects: %w", err)
			}
		}
	}
	if m.record == nil || !reflect.DeepEqual(m.record, is.next) {
		value, err := json.Marshal(is.next)
		if err != nil {
			return fmt.Errorf("encode what trigger %s/%s has seen: %w", t.Namespace, t.Name, err)
		}
		revision, err := c.Store.Put(ctx, event.BaselineKey(string(t.UID)), value, m.revision)
		if err != nil {
			c.startOver(k)
			if errors.Is(err, stream.ErrConflict) {
				return nil // another bridge wrote it
			}
			return fmt.Errorf("remember what trigger %s/%s has seen: %w", t.Namespace, t.Name, err)
		}
		m.record, m.revision = is.next, revision
	}
	c.tell(t, verdict(is.tooMany))
	return nil
}

// startOver has what the trigger has seen read again a moment later.
func (c *Controller) startOver(k key) {
	c.mu.Lock()
	delete(c.seen, k)
	c.mu.Unlock()
	c.queue.AddRateLimited(k)
}

// recall reads what the trigger has seen.
func (c *Controller) recall(ctx context.Context, t *salvor.ActionTrigger) (*memory, error) {
	m := &memory{uid: string(t.UID)}
	value, revision, err := c.Store.Get(ctx, event.BaselineKey(m.uid))
	if err != nil {
		return nil, fmt.Errorf("read what trigger %s/%s has seen: %w", t.Namespace, t.Name, err)
	}
	m.revision = revision
	if value == nil {
		return m, nil
	}
	m.record = &record{}
	if err := json.Unmarshal(value, m.record); err != nil {
		return nil, fmt.Errorf("read what trigger %s/%s has seen: %w", t.Namespace, t.Name, err)
	}
	return m, nil
}

// forget removes the record of a trigger that is gone or asks no more.
func (c *Controller) forget(ctx context.Context, k key, m *memory) error {
	if m.revision > 0 {
		if err := c.Store.Remove(ctx, event.BaselineKey(m.uid), m.revision); err != nil {
			return fmt.Errorf("forget what trigger %s/%s has seen: %w", k.namespace, k.name, err)
		}
	}
	c.mu.Lock()
	delete(c.seen, k)
	c.mu.Unlock()
	return nil
}

// sweep removes, once, the records of triggers that went while nobody looked.
func (c *Controller) sweep(ctx context.Context) {
	var stale []stream.GateUpdate
	listing, done := context.WithCancel(ctx)
	defer done()
	err := c.Store.Follow(listing, event.BaselineKeys(), func(u stream.GateUpdate) {
		var r record
		if json.Unmarshal(u.Value, &r) == nil && c.Serves(r.Namespace) {
			stale = append(stale, stream.GateUpdate{Key: u.Key, Revision: u.Revision})
		}
	}, done)
	// Seen after the records were: no record is of a trigger that is not known yet.
	there := map[string]bool{}
	for _, t := range c.Triggers.All() {
		if t.Spec.When.Kubernetes != nil {
			there[event.BaselineKey(string(t.UID))] = true
		}
	}
	for _, u := range stale {
		if err == nil && !there[u.Key] {
			err = c.Store.Remove(ctx, u.Key, u.Revision)
		}
	}
	if err != nil && ctx.Err() == nil {
		c.Log.Warn().Err(err).Msg("records of triggers that are gone could not be removed; the next start tries again")
	}
}
