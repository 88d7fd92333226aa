package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/salvor-io/salvor/internal/failpoint"
)

// killer kills processes of a fleet while there is load.
type killer struct {
	lab   *lab
	fleet *fleet
	nc    *nats.Conn
	load  *load
	// resume is how long the first step after a kill is waited for; what takes
	// longer is measured all the same, unless the next kill comes first.
	resume time.Duration
	// patience is how long it may take that an armed point is met.
	patience time.Duration
	// met is how many runs were under way at the last kill.
	met int
}

// at arms a point, waits until a process died there, and starts it again. It
// returns false when nothing came by.
func (k *killer) at(ctx context.Context, point failpoint.Point, boundary string) (bool, error) {
	before := k.fleet.kills(point)
	if err := k.fleet.arm(point, 1+k.lab.random.IntN(2)); err != nil {
		return false, err
	}
	defer k.fleet.disarm()
	limit := time.After(k.patience)
	nudge := time.NewTicker(time.Second)
	defer nudge.Stop()
	k.load.nudge(comesBy(point))
	for k.fleet.kills(point) == before {
		if dead := k.fleet.dead(); len(dead) > 0 {
			time.Sleep(20 * time.Millisecond) // the file is written before the signal
			if k.fleet.kills(point) == before {
				return false, died(dead)
			}
			break
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-limit:
			return false, nil
		case <-nudge.C:
			k.load.nudge(comesBy(point))
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := eventually(ctx, time.Minute, "the process that met "+string(point)+" is gone", func(context.Context) bool {
		return len(k.fleet.dead()) > 0
	}); err != nil {
		return false, err
	}
	return true, k.again(ctx, boundary, k.fleet.kills(point)-before)
}

// comesBy is a kind of run that comes by a point.
func comesBy(point failpoint.Point) string {
	kind, special := map[failpoint.Point]string{
		failpoint.BridgeBeforeRequest:   "cancel",
		failpoint.BridgeAfterRequest:    "cancel",
		failpoint.DispatcherAfterCancel: "cancel",
		failpoint.DispatcherAfterTimer:  "again",
		failpoint.DispatcherAfterFired:  "again",
		failpoint.RunnerAfterStarted:    "exec",
	}[point]
	if special {
		return kind
	}
	return "task"
}

// process kills a process at any moment and starts it again.
func (k *killer) process(ctx context.Context, name string, s *server) error {
	s.kill()
	return k.again(ctx, name, 1)
}

// again starts what is dead, and measures how long it takes to go on.
func (k *killer) again(ctx context.Context, boundary string, kills int) error {
	dead := k.fleet.dead()
	met := k.lab.log.underWay()
	k.met = len(met)
	k.lab.ledger.killed(boundary, kills)
	k.lab.log.note(met, "killed at "+boundary)
	k.lab.log.met(met, boundary)
	w := watchResume(k.lab.log, met)
	defer w.stop()
	for _, s := range dead {
		if err := s.start(); err != nil {
			return err
		}
	}
	var ready time.Time
	for _, s := range dead {
		at, err := s.ready(ctx, readyLimit)
		if err != nil {
			return err
		}
		if at.After(ready) {
			ready = at
		}
	}
	if at, resumed := w.wait(ctx, k.resume); resumed {
		k.lab.ledger.recovered(boundary, max(at.Sub(ready), 0))
	}
	if k.nc != nil {
		k.lab.reap(ctx, k.nc)
	}
	return nil
}

// resumeWatch waits for the first thing that is done for one of some runs.
type resumeWatch struct {
	first chan time.Time
	stop  func()
}

func watchResume(r *record, ids []string) *resumeWatch {
	w := &resumeWatch{first: make(chan time.Time, 1)}
	var once sync.Once
	w.stop = r.listen(func(id, _ string, at time.Time) {
		if _, met := slices.BinarySearch(ids, id); met {
			once.Do(func() { w.first <- at })
		}
	})
	return w
}

func (w *resumeWatch) wait(ctx context.Context, limit time.Duration) (time.Time, bool) {
	select {
	case at := <-w.first:
		return at, true
	case <-ctx.Done():
	case <-time.After(limit):
	}
	return time.Time{}, false
}

// met notes a boundary at the runs that were under way.
func (r *record) met(ids []string, boundary string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		r.runs[id].Boundaries = append(r.runs[id].Boundaries, boundary)
	}
}
