package dispatcher

import (
	"strconv"
	"strings"
	"sync"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/dispatcher/fair"
)

// slot names what waits for a turn: an action of a run.
type slot struct {
	namespace, uid string
	action         int
}

func (s slot) id() string { return s.uid + "/" + strconv.Itoa(s.action) }

func slotOf(i fair.Item) slot {
	uid, action, _ := strings.Cut(i.ID, "/")
	n, err := strconv.Atoi(action)
	if err != nil {
		n = 0 // id made it
	}
	return slot{namespace: i.Namespace, uid: uid, action: n}
}

// turns is the fair queue, kept in step with RUNS. It grants nothing before open.
type turns struct {
	mu      sync.Mutex
	queue   *fair.Queue
	isOpen  bool
	metrics *metrics
	// grant must not block.
	grant func(slot)
}

func newTurns(o *Options, m *metrics, grant func(slot)) *turns {
	weights := o.Weights
	m.window.Set(float64(o.Window))
	return &turns{metrics: m, grant: grant, queue: fair.New(fair.Options{
		Window: o.Window,
		Weight: func(namespace string) int { return weights[namespace] },
	})}
}

// observe brings the queue in step with a state of a run: what is pending waits,
// what runs has a slot, what has ended has none.
func (t *turns) observe(run *event.Run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := slot{namespace: run.Namespace, uid: run.UID}
	if len(run.Actions) == 0 { // ends as invalid at its turn
		t.see(s, run.State)
	}
	for i := range run.Actions {
		s.action = i
		t.see(s, run.Actions[i].State)
	}
	t.pump()
}

func (t *turns) see(s slot, state event.State) {
	switch state {
	case event.StatePending:
		t.queue.Push(fair.Item{ID: s.id(), Namespace: s.namespace})
	case event.StateRunning:
		t.queue.Take(s.id())
	case event.StateComplete, event.StateFailed, event.StateCancelled:
		t.queue.Remove(s.id())
		t.queue.Done(s.id())
	}
}

// open lets turns begin, once all that waits and all that runs is known.
func (t *turns) open() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.isOpen = true
	t.pump()
}

// wait puts an action at the end of its namespace's line.
func (t *turns) wait(s slot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.see(s, event.StatePending)
	t.pump()
}

// leave gives back the slot of an action that does not start after all.
func (t *turns) leave(s slot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue.Done(s.id())
	t.pump()
}

func (t *turns) pump() {
	for t.isOpen {
		i, ok := t.queue.Pop()
		if !ok {
			break
		}
		t.grant(slotOf(i))
	}
	t.metrics.queue(t.queue.Held(), t.queue.Waiting())
}
