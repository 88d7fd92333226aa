package trigger

import (
	"context"
	"sync"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"k8s.io/client-go/util/workqueue"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/bridge/trigger/gate"
	"github.com/salvor-io/salvor/internal/stream"
)

const (
	// writers is how many gates are written at the same time.
	writers = 16
	// doers is how many gates have their ActionSets made or looked at.
	doers = 32
	// grace is by how much later a bridge sees to a gate that another one wrote last.
	grace = 3 * time.Second
	// lookEvery is the time between two looks at ActionSets whose end somebody waits
	// for; at others it is looked every sixth time.
	lookEvery = 10 * time.Second
	lookRarer = 6
	// lookAgain is how long an ActionSet that was seen running counts as such.
	lookAgain = time.Second
)

// keeper has the gates of all triggers. One goroutine at a time works on a gate: it
// takes all that has come meanwhile, decides, and writes once (a group commit).
// Another one does what the record then asks for, and comes back with the result.
// The queues are also the timers of what is due.
type keeper struct {
	c *Controller
	// id of this process, in the records that it writes.
	id string
	// since is when it began.
	since time.Time

	writing workqueue.TypedRateLimitingInterface[string]
	doing   workqueue.TypedRateLimitingInterface[string]

	mu    sync.Mutex
	gates map[string]*entry
}

// entry is a gate. What is above known belongs to the keeper's lock, the rest to
// whoever works on the gate.
type entry struct {
	key    string
	owner  gate.Owner
	inputs []input
	todo   gate.Todo
	// told are the ActionSets of which was said, since the last write, what became of
	// making them.
	told map[string]bool
	// running has the ActionSets that are to end, or are being made.
	running map[string]bool
	// waiting says that events wait for their end.
	waiting bool
	// look asks for a look at them.
	look bool
	// foreign is the newest revision that somebody else wrote.
	foreign uint64

	known *known
}

// known is the record as it was written last.
type known struct {
	state    *gate.State
	data     []byte
	revision uint64
	looked   time.Time
	limited  bool
}

// input is something that happened to a gate.
type input struct {
	// sequence orders events; others have none.
	sequence uint64
	// apply may be called more than once, each time with a newer State.
	apply func(s *gate.State, r *gate.Rules, now time.Time)
	// done gets the result of the write, if somebody waits for it.
	done chan error
}

func newKeeper(c *Controller, id string) *keeper {
	queue := func(name string) workqueue.TypedRateLimitingInterface[string] {
		return workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[string](backoffMin, backoffMax),
			workqueue.TypedRateLimitingQueueConfig[string]{Name: name, Clock: c.Clock})
	}
	return &keeper{c: c, id: id, since: c.Clock.Now(), gates: map[string]*entry{}, writing: queue("actiontrigger-gates"), doing: queue("actiontrigger-starts")}
}

// run works until ctx ends and everything it started has ended.
func (k *keeper) run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	serve := func(n int, queue workqueue.TypedRateLimitingInterface[string], work func(context.Context, string)) {
		stop := context.AfterFunc(ctx, queue.ShutDown)
		for range n {
			running.Go(func() {
				defer stop()
				for {
					key, shutdown := queue.Get()
					if shutdown {
						return
					}
					work(ctx, key)
					queue.Done(key)
				}
			})
		}
	}
	serve(writers, k.writing, k.write)
	serve(doers, k.doing, k.do)
	running.Go(func() { k.watchRunning(ctx) })
	for ctx.Err() == nil {
		if err := k.follow(ctx); err != nil && ctx.Err() == nil {
			k.c.Log.Warn().Err(err).Msg("what waits at triggers cannot be followed; it will be tried again")
		}
		select {
		case <-ctx.Done():
		case <-k.c.Clock.After(backoffMin):
		}
	}
}

// follow learns of the gates that there are, and of those that other bridges write.
func (k *keeper) follow(ctx context.Context) error {
	first := true
	return k.c.Gates.Follow(ctx, "gate.>", func(u stream.GateUpdate) { k.seen(u, first) }, func() { first = false }) //nolint:wrapcheck // it says all
}

// seen takes a record that was read. One that was there at the start has nobody else
// to see to it.
func (k *keeper) seen(u stream.GateUpdate, first bool) {
	s, err := gate.Decode(u.Value)
	if err != nil {
		k.c.Log.Error().Err(err).Str("gate", u.Key).Msg("a record of events that wait cannot be read; it is left alone")
		return
	}
	if s.By == k.id || !k.c.Watcher.watches(s.Owner.Namespace) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.entry(u.Key, s.Owner)
	e.foreign = max(e.foreign, u.Revision)
	e.show(s)
	if first {
		k.writing.Add(u.Key)
		return
	}
	pause := grace
	if s.Window != nil {
		pause += max(s.Window.Due.Sub(k.c.Clock.Now()), 0)
	}
	k.writing.AddAfter(u.Key, pause)
}

// entry returns the gate; the caller has the lock.
func (k *keeper) entry(key string, owner gate.Owner) *entry {
	e := k.gates[key]
	if e == nil {
		e = &entry{key: key, owner: owner, known: &known{}, told: map[string]bool{}}
		k.gates[key] = e
	}
	return e
}

// show keeps what others ask of a State; the caller has the lock.
func (e *entry) show(s *gate.State) {
	e.running, e.waiting = nil, s.Window != nil
	if len(s.Active)+len(s.Starting) > 0 {
		e.running = map[string]bool{}
	}
	for _, a := range s.Active {
		e.running[a.Name] = true
	}
	for _, a := range s.Starting {
		e.running[a.Name] = true
	}
}

// has reports whether there is such a gate.
func (k *keeper) has(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.gates[key] != nil
}

// kick looks at all gates of a trigger again.
func (k *keeper) kick(uid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, e := range k.gates {
		if e.owner.UID == uid {
			k.writing.Add(key)
		}
	}
}

// tell gives a gate something that happened. It may be lost with the process.
func (k *keeper) tell(key string, in ...input) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.gates[key]; e != nil {
		e.inputs = append(e.inputs, in...)
		k.writing.Add(key)
	}
}

// runEnded takes that a run has ended.
func (k *keeper) runEnded(e *cloudevents.Event) {
	var told event.Lifecycle
	if e.DataAs(&told) != nil {
		return // a look at the ActionSet will find it
	}
	for _, key := range k.waitingFor(told.Namespace, told.ActionSet) {
		k.tell(key, endOf(told.ActionSet))
	}
}

func (k *keeper) waitingFor(namespace, name string) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for key, e := range k.gates {
		if e.owner.Namespace == namespace && e.running[name] {
			out = append(out, key)
		}
	}
	return out
}

func endOf(name string) input {
	return input{apply: func(s *gate.State, _ *gate.Rules, _ time.Time) { s.Ended(name) }}
}

// watchRunning has ActionSets looked at now and then: the event of an end may have
// come while nobody knew whose it was, and a deletion is none.
func (k *keeper) watchRunning(ctx context.Context) {
	ticker := k.c.Clock.NewTicker(lookEvery)
	defer ticker.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
		k.mu.Lock()
		for key, e := range k.gates {
			if len(e.running) > 0 && (e.waiting || n%lookRarer == 0) {
				e.look = true
				k.doing.Add(key)
			}
		}
		k.mu.Unlock()
	}
}
