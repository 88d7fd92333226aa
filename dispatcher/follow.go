package dispatcher

import (
	"context"
	"sync"
	"time"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/stream"
)

// toldWithin is how long before the last write of a dispatcher that died its
// other writes may lie whose events it did not send any more. It is less than the
// window in which EVENTS drops repeated ids, so that telling again after a short
// pause adds nothing.
const toldWithin = time.Minute

// follow keeps view and turns in step with RUNS until ctx ends.
func (e *engine) follow(ctx context.Context) {
	f := &follower{engine: e}
	for ctx.Err() == nil {
		err := e.runs.Follow(ctx, f, func(err error) {
			e.metrics.malformed.WithLabelValues(event.StreamRuns).Inc()
			e.log.Error().Err(err).Msg("the state of a run cannot be read; it is left alone")
		})
		e.owner.following.Store(false)
		if err != nil && ctx.Err() == nil {
			e.log.Error().Err(err).Msg("states of runs cannot be followed; trying again")
			e.sleep(ctx, pause)
		}
	}
}

// follower takes in what Follow reads, in one goroutine.
type follower struct {
	*engine
	started bool
	// underWay, ended and last are of the start only: runs that have to be
	// taken up, runs that ended not long before last, and when a dispatcher
	// wrote last.
	underWay []seen
	ended    []*event.Run
	last     time.Time
}

// Update implements stream.RunHandler.
func (f *follower) Update(_ context.Context, u stream.RunUpdate) {
	anew := f.view.set(u)
	if f.started { // before the turn that the state may lead to
		w := f.worker(u.Run.UID)
		w.box.put(func(context.Context) { w.see(u) })
	}
	if anew { // its record was lost, and nobody said so: it begins without what it had
		f.turns.drop(u.Run)
	}
	f.turns.observe(u.Run)
	if f.started || u.Run.State == event.StatePending && u.Run.Retry == nil {
		return // the others are read when their turn comes
	}
	if u.Run.UpdatedAt.After(f.last) {
		f.last = u.Run.UpdatedAt
	}
	if !u.Run.State.Terminal() {
		f.underWay = append(f.underWay, seenOf(u))
		return
	}
	f.ended = append(f.ended, u.Run)
	if len(f.ended)%1000 == 0 {
		f.dropEnded()
	}
}

// Synced implements stream.RunHandler.
func (f *follower) Synced(context.Context) {
	f.owner.following.Store(true)
	if f.started {
		return // it began anew after a failure
	}
	f.started = true
	f.dropEnded()
	since := f.last.Add(-toldWithin)
	for _, r := range f.underWay {
		w := f.worker(r.uid)
		w.box.put(func(ctx context.Context) { w.adopt(ctx, r.namespace, r.uid, since) })
	}
	for _, run := range f.ended {
		w := f.worker(run.UID)
		w.box.put(func(ctx context.Context) { w.adopt(ctx, run.Namespace, run.UID, since) })
	}
	f.log.Info().Int("underWay", len(f.underWay)).Msg("dispatcher knows all runs")
	f.underWay, f.ended = nil, nil
	close(f.synced)
	f.turns.open()
}

// dropEnded forgets runs that ended long enough ago that their events were sent.
func (f *follower) dropEnded() {
	since := f.last.Add(-toldWithin)
	kept := f.ended[:0]
	for _, run := range f.ended {
		if !run.UpdatedAt.Before(since) {
			kept = append(kept, run)
		}
	}
	clear(f.ended[len(kept):])
	f.ended = kept
}

// seen is what the view knows of a run.
type seen struct {
	namespace, uid string
	state          event.State
	updated        time.Time
	revision       uint64
}

func seenOf(u stream.RunUpdate) seen {
	run := u.Run
	return seen{namespace: run.Namespace, uid: run.UID, state: run.State, updated: run.UpdatedAt, revision: u.Revision}
}

// view is RUNS as it was seen last, in short.
type view struct {
	mu      sync.Mutex
	runs    map[string]seen
	metrics *metrics
}

func newView(m *metrics) *view { return &view{runs: map[string]seen{}, metrics: m} }

// set takes note of a state. It reports whether the run, which had started, is at its
// beginning again: no decision leads there.
func (v *view) set(u stream.RunUpdate) (anew bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if old, ok := v.runs[u.Run.UID]; ok {
		v.metrics.runs.WithLabelValues(string(old.state)).Dec()
		anew = old.state != event.StatePending && u.Run.State == event.StatePending
	}
	v.runs[u.Run.UID] = seenOf(u)
	v.metrics.runs.WithLabelValues(string(u.Run.State)).Inc()
	return anew
}

// remove forgets the run, unless it was seen anew.
func (v *view) remove(uid string, revision uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if old, ok := v.runs[uid]; ok && old.revision == revision {
		v.metrics.runs.WithLabelValues(string(old.state)).Dec()
		delete(v.runs, uid)
	}
}

func (v *view) list(wanted func(seen) bool) []seen {
	v.mu.Lock()
	defer v.mu.Unlock()
	var found []seen
	for _, r := range v.runs {
		if wanted(r) {
			found = append(found, r)
		}
	}
	return found
}
