package trigger

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// parallel is how many ActionSets are made at the same time, parallelOf how many of
	// one namespace: where each takes as long as a webhook that does not answer, others
	// go on.
	parallel   = 64
	parallelOf = 8
	// patienceEvent is how long an event waits for its turn in its namespace before it
	// is given back, patienceGate how long a gate does before others have theirs.
	patienceEvent = 5 * time.Second
	patienceGate  = 500 * time.Millisecond
)

// slots bound the ActionSets that are made at the same time.
type slots struct {
	all *semaphore.Weighted
	mu  sync.Mutex
	// of a namespace, as long as somebody has or wants one.
	of map[string]*share
}

type share struct {
	slots *semaphore.Weighted
	users int
}

func newSlots() *slots {
	return &slots{all: semaphore.NewWeighted(parallel), of: map[string]*share{}}
}

// take waits for a slot; release gives it back.
func (s *slots) take(ctx context.Context, namespace string, patience time.Duration) (release func(), err error) {
	s.mu.Lock()
	own := s.of[namespace]
	if own == nil {
		own = &share{slots: semaphore.NewWeighted(parallelOf)}
		s.of[namespace] = own
	}
	own.users++
	s.mu.Unlock()
	leave := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if own.users--; own.users == 0 {
			delete(s.of, namespace)
		}
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// A free slot is taken whatever the patience: Acquire would look at it first.
	if !own.slots.TryAcquire(1) {
		err = own.slots.Acquire(limited, 1)
	}
	if err != nil {
		leave()
		return nil, fmt.Errorf("%d others of namespace %s are being made and take long: %w", parallelOf, namespace, err)
	}
	if err := s.all.Acquire(ctx, 1); err != nil {
		own.slots.Release(1)
		leave()
		return nil, err //nolint:wrapcheck // the caller says what for
	}
	return func() {
		s.all.Release(1)
		own.slots.Release(1)
		leave()
	}, nil
}
