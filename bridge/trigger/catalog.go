package trigger

import (
	"errors"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/trigger/gate"
	meaning "github.com/salvor-io/salvor/internal/trigger"
)

// catalog keeps what triggers mean, so that an event does not cost their analysis.
type catalog struct {
	mu      sync.Mutex
	entries map[types.UID]*compiled
}

// compiled is what a trigger of one generation means.
type compiled struct {
	generation int64
	meaning    *meaning.Compiled
	// fault is set if it can never fire.
	fault *PermanentError
}

func newCatalog() *catalog { return &catalog{entries: map[types.UID]*compiled{}} }

// of returns what a trigger means.
func (c *catalog) of(t *salvor.ActionTrigger) *compiled {
	c.mu.Lock()
	known := c.entries[t.UID]
	c.mu.Unlock()
	if known != nil && known.generation == t.Generation {
		return known
	}
	made := &compiled{generation: t.Generation}
	var err error
	if made.meaning, err = meaning.Compile(t); err != nil {
		invalid, ok := errors.AsType[*meaning.InvalidError](err)
		made.fault = &PermanentError{Reason: reasonInvalid, Err: err}
		if ok {
			made.fault.Err = invalid
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if newer := c.entries[t.UID]; newer != nil && newer.generation > t.Generation {
		return made
	}
	c.entries[t.UID] = made
	return made
}

func (c *catalog) forget(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, uid)
}

// rules are what the trigger says about several events.
func (c *compiled) rules(t *salvor.ActionTrigger) *gate.Rules {
	r := &gate.Rules{
		Coalesce:    c.meaning.Coalesce(),
		Concurrency: t.Spec.Concurrency,
		Name:        func(identity string) string { return actionSetName(t, identity) },
	}
	r.Starts, r.Per = c.meaning.RateLimit()
	return r
}
