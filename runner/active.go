package runner

import (
	"context"
	"errors"
	"sync"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
)

// Causes of the end of a call's context.
var (
	errCancelled error = function.Errorf(event.ReasonCancelled, "the run was cancelled")
	errLost            = errors.New("the claim on the job was lost")
	errShutdown        = errors.New("the runner is shutting down")
)

// activeCall is one job that is being worked on.
type activeCall struct {
	key  event.Key
	stop context.CancelCauseFunc
	// once: nobody can go on with it, so it gets a while at shutdown.
	once bool
}

// active are the jobs that are being worked on.
type active struct {
	mu       sync.Mutex
	calls    map[*activeCall]struct{}
	draining bool
}

// add registers a call. While the runner shuts down it is stopped at once.
func (a *active) add(k event.Key, stop context.CancelCauseFunc) *activeCall {
	c := &activeCall{key: k, stop: stop}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls[c] = struct{}{}
	if a.draining {
		stop(errShutdown)
	}
	return c
}

func (a *active) remove(c *activeCall) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.calls, c)
}

// startOnce says that the call is about to start something that nobody can go on
// with. It returns false when it must not, because the runner shuts down.
func (a *active) startOnce(c *activeCall) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	c.once = !a.draining
	return c.once
}

// cancel stops the core phases of a run. A deferPhase runs on: it puts back what
// the phases before it changed.
func (a *active) cancel(uid string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for c := range a.calls {
		if c.key.UID == uid && c.key.Kind == event.KindCore {
			c.stop(errCancelled)
		}
	}
}

// core returns a core phase of the run that is being worked on, if there is one.
func (a *active) core(uid string) (event.Key, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for c := range a.calls {
		if c.key.UID == uid && c.key.Kind == event.KindCore {
			return c.key, true
		}
	}
	return event.Key{}, false
}

// drain stops all calls that another runner can go on with, also those to come.
func (a *active) drain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draining = true
	for c := range a.calls {
		if !c.once {
			c.stop(errShutdown)
		}
	}
}

func (a *active) stopAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for c := range a.calls {
		c.stop(errShutdown)
	}
}

func (a *active) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.calls)
}

func (a *active) keys() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var keys []string
	for c := range a.calls {
		keys = append(keys, c.key.String())
	}
	return keys
}
