package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
)

// interval is the shortest time between two writes of one trigger's status, so
// that a storm of events does not become a storm of writes.
const interval = time.Second

// mostChanges is how many changes of one trigger wait while the API server is away, or
// refuses them; more are folded into one on the last known status.
const mostChanges = 1024

type key struct{ namespace, name string }

// statuses writes the status of triggers: changes of a second become one write.
type statuses struct {
	clients *kube.Clients
	clock   clock.WithTicker
	log     zerolog.Logger
	queue   workqueue.TypedRateLimitingInterface[key]

	mu      sync.Mutex
	pending map[key]*change
	last    map[key]time.Time
	// written are the triggers as they were after the last write: the watch may be
	// behind.
	written map[key]*salvor.ActionTrigger
}

// change is what is to be done to the status of one trigger.
type change struct {
	trigger *salvor.ActionTrigger
	steps   []func(*salvor.ActionTriggerStatus)
}

func newStatuses(c *kube.Clients, clk clock.WithTicker, log zerolog.Logger) *statuses {
	return &statuses{
		clients: c, clock: clk, log: log,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[key](backoffMin, backoffMax),
			workqueue.TypedRateLimitingQueueConfig[key]{Name: "actiontrigger-status", Clock: clk}),
		pending: map[key]*change{},
		last:    map[key]time.Time{},
		written: map[key]*salvor.ActionTrigger{},
	}
}

// Tell has the status of a trigger changed soon, on the condition that it is still
// the same trigger (by UID). change is called with the newest status, perhaps more
// than once, and must do the same each time; it must not keep what it is given.
// Changes that come within a second are one write; one that changes nothing is
// none.
func (c *Controller) Tell(t *salvor.ActionTrigger, change func(*salvor.ActionTriggerStatus)) {
	c.statuses.tell(t, change)
}

func (s *statuses) tell(t *salvor.ActionTrigger, step func(*salvor.ActionTriggerStatus)) {
	k := key{t.Namespace, t.Name}
	s.mu.Lock()
	defer s.mu.Unlock()
	current, ok := s.pending[k]
	if !ok || current.trigger.UID != t.UID {
		current = &change{}
		s.pending[k] = current
	}
	current.trigger = t
	current.steps = append(current.steps, step)
	if len(current.steps) > mostChanges {
		base := t
		if known := s.written[k]; known != nil && known.UID == t.UID && !newer(t.ResourceVersion, known.ResourceVersion) {
			base = known
		}
		current.steps = []func(*salvor.ActionTriggerStatus){fold(&base.Status, current.steps)}
	}
	s.queue.Add(k)
}

// run writes statuses until ctx ends.
func (s *statuses) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, s.queue.ShutDown)
	defer stop()
	for {
		k, shutdown := s.queue.Get()
		if shutdown {
			return
		}
		s.write(ctx, k)
		s.queue.Done(k)
	}
}

func (s *statuses) write(ctx context.Context, k key) {
	todo, wait := s.take(k)
	switch {
	case wait > 0:
		s.queue.AddAfter(k, wait)
		return
	case todo == nil:
		return
	}
	err := s.patch(ctx, todo)
	switch {
	case err == nil, apierrors.IsNotFound(err), apierrors.IsInvalid(err):
		s.queue.Forget(k)
		if apierrors.IsInvalid(err) {
			s.log.Error().Err(err).Str("namespace", k.namespace).Str("trigger", k.name).Msg("the trigger's status was refused")
		}
	case ctx.Err() != nil:
	default:
		s.log.Warn().Err(err).Str("namespace", k.namespace).Str("trigger", k.name).Msg("the trigger's status could not be written; it will be tried again")
		s.putBack(k, todo)
		s.queue.AddRateLimited(k)
	}
}

func (s *statuses) take(k key) (*change, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	todo, ok := s.pending[k]
	if !ok {
		return nil, 0
	}
	now := s.clock.Now()
	if wait := s.last[k].Add(interval).Sub(now); wait > 0 {
		return nil, wait
	}
	delete(s.pending, k)
	s.last[k] = now
	for other, at := range s.last {
		if now.Sub(at) > time.Minute {
			delete(s.last, other)
			delete(s.written, other)
		}
	}
	return todo, 0
}

func (s *statuses) putBack(k key, old *change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch newer, ok := s.pending[k]; {
	case !ok:
		s.pending[k] = old
	case newer.trigger.UID == old.trigger.UID:
		newer.steps = append(old.steps, newer.steps...) // the next one folds them
	}
}

// patch writes what the steps change, on the condition that nobody else has
// written meanwhile.
func (s *statuses) patch(ctx context.Context, todo *change) error {
	k, base := key{todo.trigger.Namespace, todo.trigger.Name}, todo.trigger
	s.mu.Lock()
	if known := s.written[k]; known != nil && known.UID == base.UID && !newer(base.ResourceVersion, known.ResourceVersion) {
		base = known
	}
	s.mu.Unlock()
	client := s.clients.ActionTriggers(k.namespace)
	for {
		written, err := s.patchOnce(ctx, base, todo)
		if err == nil {
			s.mu.Lock()
			s.written[k] = written
			s.mu.Unlock()
			return nil
		}
		if !apierrors.IsConflict(err) {
			return err
		}
		found, err := client.Get(ctx, k.name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("read trigger %s/%s: %w", k.namespace, k.name, err)
		}
		if found.UID != todo.trigger.UID {
			return nil // another one has the name now; it has its own status
		}
		base = found
	}
}

func (s *statuses) patchOnce(ctx context.Context, base *salvor.ActionTrigger, todo *change) (*salvor.ActionTrigger, error) {
	status := base.Status.DeepCopy()
	for _, step := range todo.steps {
		step(status)
	}
	if equality.Semantic.DeepEqual(status, &base.Status) {
		return base, nil
	}
	changes, err := difference(&base.Status, status)
	if err != nil {
		return nil, fmt.Errorf("encode the status of trigger %s/%s: %w", base.Namespace, base.Name, err)
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": base.UID, "resourceVersion": base.ResourceVersion},
		"status":   changes,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the status of trigger %s/%s: %w", base.Namespace, base.Name, err)
	}
	written, err := s.clients.ActionTriggers(base.Namespace).Patch(ctx, base.Name, types.MergePatchType, patch,
		metav1.PatchOptions{FieldManager: fieldManager}, "status")
	if err != nil {
		return nil, fmt.Errorf("write the status of trigger %s/%s: %w", base.Namespace, base.Name, err)
	}
	return written, nil
}

// difference has the fields of a status that changed, whole; null for one that is
// no more.
func difference(was, is *salvor.ActionTriggerStatus) (map[string]any, error) {
	fields := [2]map[string]json.RawMessage{}
	for i, status := range []*salvor.ActionTriggerStatus{was, is} {
		data, err := json.Marshal(status)
		if err != nil {
			return nil, err //nolint:wrapcheck // the caller wraps it
		}
		if err := json.Unmarshal(data, &fields[i]); err != nil {
			return nil, err //nolint:wrapcheck // the caller wraps it
		}
	}
	out := map[string]any{}
	for name, value := range fields[1] {
		if string(fields[0][name]) != string(value) {
			out[name] = value
		}
	}
	for name := range fields[0] {
		if _, ok := fields[1][name]; !ok {
			out[name] = nil
		}
	}
	return out, nil
}

func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order > 0
}

// limit cuts a message to a size that a person reads.
func limit(message string) string {
	const most = 2048
	if len(message) > most {
		return strings.ToValidUTF8(message[:most], "")
	}
	return message
}
