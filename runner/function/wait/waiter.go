package wait

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/object"
)

// lookAgain is how long to wait before asking again for a kind that the API server
// does not know.
const lookAgain = 5 * time.Second

// condition is one condition, and why it did not hold last.
type condition struct {
	where string
	holds predicate
	of    *tracked
	why   string
}

// tracked is an object as it was last seen. The waiter's lock guards what follows
// ref.
type tracked struct {
	ref object.Reference
	// now is nil while the object is not known to exist; problem says why.
	now     *unstructured.Unstructured
	problem string
	secret  bool
}

// waiter follows objects, each in a goroutine, and asks the conditions in one.
type waiter struct {
	call         *function.Call
	anyOf, allOf []*condition

	lock    sync.Mutex
	objects map[object.Reference]*tracked
	changed chan struct{}
}

func newWaiter(call *function.Call) *waiter {
	return &waiter{call: call, objects: map[object.Reference]*tracked{}, changed: make(chan struct{}, 1)}
}

// track registers an object; conditions on the same one share it.
func (w *waiter) track(ref object.Reference) *tracked {
	if w.objects[ref] == nil {
		w.objects[ref] = &tracked{ref: ref, problem: "the object has not been looked at yet"}
	}
	return w.objects[ref]
}

// run returns when the conditions hold, the timeout passes, ctx ends, or they can
// never be known.
func (w *waiter) run(parent context.Context, timeout time.Duration) error {
	timer := w.call.Clock.NewTimer(timeout)
	defer timer.Stop()
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	followers, ctx := errgroup.WithContext(ctx)
	for _, o := range w.objects {
		followers.Go(func() error { return w.follow(ctx, o) })
	}
	err := w.decide(ctx, timer.C(), timeout)
	cancel()
	failure := followers.Wait()
	switch {
	case parent.Err() != nil:
		return fmt.Errorf("wait for conditions (%s): %w", w.summary(), context.Cause(parent))
	case errors.Is(err, context.Canceled) && failure != nil: // a follower gave up
		return failure
	default:
		return err
	}
}

// decide asks the conditions after each change.
func (w *waiter) decide(ctx context.Context, expired <-chan time.Time, timeout time.Duration) error {
	for {
		select {
		case <-w.changed:
			if w.satisfied() {
				return nil
			}
		case <-expired:
			return function.Errorf(event.ReasonTimeout, "the conditions did not hold within %s: %s", timeout, w.summary())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *waiter) satisfied() bool {
	w.lock.Lock()
	defer w.lock.Unlock()
	for _, c := range w.anyOf {
		if c.ask() {
			return true
		}
	}
	all := len(w.allOf) > 0
	for _, c := range w.allOf {
		all = c.ask() && all
	}
	return all
}

// ask keeps why the condition does not hold. What is in a Secret is not told.
func (c *condition) ask() bool {
	c.why = c.of.problem
	if c.of.now == nil {
		return false
	}
	holds, err := c.holds(c.of.now.Object)
	switch {
	case err != nil && c.of.secret:
		c.why = "it cannot be evaluated; why is not told of a Secret"
	case err != nil:
		c.why = err.Error()
	case !holds:
		c.why = "it is not true"
	}
	return err == nil && holds
}

// summary says why, for each condition.
func (w *waiter) summary() string {
	w.lock.Lock()
	defer w.lock.Unlock()
	var parts []string
	for _, c := range append(append([]*condition(nil), w.anyOf...), w.allOf...) {
		why := c.why
		if why == "" {
			why = c.of.problem
		}
		parts = append(parts, fmt.Sprintf("%s on %s %s/%s: %s", c.where, c.of.ref.Resource+c.of.ref.Kind, c.of.ref.Namespace, c.of.ref.Name, why))
	}
	return strings.Join(parts, "; ")
}

// see keeps the state of an object and has the conditions asked.
func (w *waiter) see(o *tracked, now *unstructured.Unstructured, problem string) {
	w.lock.Lock()
	o.now, o.problem = now, problem
	w.lock.Unlock()
	select {
	case w.changed <- struct{}{}:
	default: // they will be asked anyway
	}
}

// follow keeps an object's state until ctx ends. Its kind may come later, with the
// operator that serves it.
func (w *waiter) follow(ctx context.Context, o *tracked) error {
	for {
		err := w.followOnce(ctx, o)
		var known *function.Error
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &known) && known.Reason != event.ReasonNotFound:
			return err
		case err != nil:
			w.see(o, nil, err.Error())
		}
		timer := w.call.Clock.NewTimer(lookAgain)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C():
		}
	}
}

func (w *waiter) followOnce(ctx context.Context, o *tracked) error {
	found, err := object.Find(w.call.Kube, o.ref, "")
	if err != nil {
		return err
	}
	w.lock.Lock()
	o.secret = found.Mapping.GroupVersionKind.GroupKind() == corev1.SchemeGroupVersion.WithKind("Secret").GroupKind()
	w.lock.Unlock()
	follower := object.Follower{Resource: found.Client(w.call.Kube), Clock: w.call.Clock, Log: w.call.Log}
	err = follower.Object(ctx, found.Name, func(now *unstructured.Unstructured) (bool, error) {
		problem := ""
		if now == nil {
			problem = "the object does not exist"
		}
		w.see(o, now, problem)
		return false, nil
	})
	if apierrors.IsForbidden(err) {
		return function.FromAPI(err, "follow %s: allow get, list and watch on it", found)
	}
	return function.FromAPI(err, "follow %s", found)
}
