package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/dispatcher/decide"
	"github.com/salvor-io/salvor/internal/stream"
)

// worker handles the runs whose uid falls to it, one thing after the other, so
// that nothing about a run races inside the process.
type worker struct {
	*engine
	box     *mailbox
	records map[string]*record // by uid; of runs under way only
	// adopting are the runs that are being taken up, by uid.
	adopting map[string]bool
}

// record is what the worker knows of a run.
type record struct {
	run      event.Run
	revision uint64
	// owed is what the stored state asks for and was not done yet.
	owed []decide.Effect
	// unsure is the id of an owed job that may have been queued though its
	// publication failed.
	unsure string
	// told says that all that the state asks for was done by this process, but
	// for what is owed. A state that somebody else wrote, or that was found,
	// may have lost something.
	told bool
	// timer is what this process set the run's timer to last.
	timer time.Time
	// uncertain says that a write failed and may have taken place, or that another
	// dispatcher wrote: the run is read before the next decision.
	uncertain bool
	// plans are the actions that are being planned or wait to be planned again.
	plans map[int]*attempts
}

// attempts counts what was tried in vain.
type attempts struct {
	busy  bool
	count int
	since time.Time
}

func newWorker(e *engine) *worker {
	return &worker{engine: e, box: newMailbox(), records: map[string]*record{}, adopting: map[string]bool{}}
}

func (w *worker) run(ctx context.Context) {
	for {
		f, ok := w.box.take(ctx)
		if !ok {
			return
		}
		w.safely(ctx, f)
	}
}

// safely keeps a fault in the handling of one run from ending all others.
func (w *worker) safely(ctx context.Context, f func(context.Context)) {
	defer func() {
		if r := recover(); r != nil {
			w.log.Error().Str("panic", fmt.Sprint(r)).Bytes("stack", debug.Stack()).
				Msg("handling of a run panicked; please report this as a bug")
		}
	}()
	f(ctx)
}

// record returns what is known of the run and reads it if that is nothing.
func (w *worker) record(ctx context.Context, namespace, uid string) (*record, error) {
	if rec := w.records[uid]; rec != nil {
		return rec, nil
	}
	run, revision, err := w.runs.Get(ctx, namespace, uid)
	if err != nil {
		return nil, err
	}
	rec := newRecord(run, revision)
	if !run.State.Terminal() {
		w.records[uid] = rec
	}
	return rec, nil
}

func newRecord(run *event.Run, revision uint64) *record {
	return &record{run: *run, revision: revision, told: len(decide.Implied(run)) == 0, plans: map[int]*attempts{}}
}

// forget drops a record of which nothing is left to do.
func (w *worker) forget(rec *record) {
	if rec.run.State.Terminal() && len(rec.owed) == 0 {
		delete(w.records, rec.run.UID)
	}
}

// see takes note of a state that another dispatcher wrote; the effects are its.
func (w *worker) see(u stream.RunUpdate) {
	rec := w.records[u.Run.UID]
	if rec == nil || u.Revision <= rec.revision {
		return // ours
	}
	if rec.uncertain || len(rec.owed) > 0 {
		rec.uncertain = true // read before the next decision
		return
	}
	rec.run, rec.revision, rec.told = *u.Run, u.Revision, false
	w.forget(rec)
}

// gone reports whether no attempt to read the run will succeed.
func gone(err error) bool {
	return errors.Is(err, stream.ErrNotFound) || errors.Is(err, stream.ErrMalformed)
}

// mailbox is an unbounded queue of things to do: workers put into each other's,
// so a bound would let them wait in a ring. What comes from outside is bounded
// where it comes in.
type mailbox struct {
	mu    sync.Mutex
	items []func(context.Context)
	wake  chan struct{}
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

func (b *mailbox) put(f func(context.Context)) {
	b.mu.Lock()
	b.items = append(b.items, f)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take waits for the next thing to do; false means that ctx ended.
func (b *mailbox) take(ctx context.Context) (func(context.Context), bool) {
	for {
		if ctx.Err() != nil {
			return nil, false
		}
		b.mu.Lock()
		if len(b.items) > 0 {
			f := b.items[0]
			b.items[0] = nil
			b.items = b.items[1:]
			b.mu.Unlock()
			return f, true
		}
		b.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, false
		case <-b.wake:
		}
	}
}
