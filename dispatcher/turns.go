package dispatcher

import (
	"strconv"
	"strings"
	"sync"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/dispatcher/decide"
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
// and so does an action of which a phase has become due again; an action of which a
// phase runs has a slot; what is held by a pause or a backoff, and what has ended,
// has none and waits for none.
func (t *turns) observe(run *event.Run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := slot{namespace: run.Namespace, uid: run.UID}
	if len(run.Actions) == 0 { // ends as invalid at its turn
		t.see(s, standingOf(run, run.State))
	}
	ready := map[int]bool{}
	for _, k := range decide.Ready(run) {
		ready[k.Action] = true
	}
	for i := range run.Actions {
		s.action = i
		standing := standingOf(run, run.Actions[i].State)
		if standing == runs && !occupied(run, i) {
			standing = held
			if ready[i] {
				standing = due
			}
		}
		t.see(s, standing)
	}
	t.pump()
}

// standing is how an action stands towards the slots.
type standing int

const (
	// waits for the slot with which it is planned.
	waits standing = iota
	// due: it was planned before, and its next phase waits for a slot.
	due
	// runs in its slot.
	runs
	// held: it needs no slot now.
	held
)

func standingOf(run *event.Run, state event.State) standing {
	switch state {
	case event.StatePending:
		if run.Pause != nil {
			return held
		}
		return waits
	case event.StateRunning:
		return runs
	case event.StateComplete, event.StateFailed, event.StateCancelled:
	}
	return held
}

// occupied reports whether a phase of the action runs.
func occupied(run *event.Run, action int) bool {
	if action >= len(run.Actions) {
		return false
	}
	a := &run.Actions[action]
	for i := range a.Phases {
		if a.Phases[i].State == event.StateRunning {
			return true
		}
	}
	return a.DeferPhase != nil && a.DeferPhase.State == event.StateRunning || a.Render != nil && a.Render.State == event.StateRunning
}

// drop takes the slots of a run's actions, and their places in the line.
func (t *turns) drop(run *event.Run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range run.Actions {
		t.see(slot{namespace: run.Namespace, uid: run.UID, action: i}, held)
	}
}

func (t *turns) see(s slot, now standing) {
	switch now {
	case waits:
		t.queue.Push(fair.Item{ID: s.id(), Namespace: s.namespace})
	case due:
		// A slot that it seems to have is that of the phase before: states that
		// are overwritten quickly are not all seen.
		t.queue.Done(s.id())
		t.queue.Push(fair.Item{ID: s.id(), Namespace: s.namespace})
	case runs:
		t.queue.Take(s.id())
	case held:
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
	t.see(s, waits)
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
