package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// recovery kills the only process again and again with runs under way, and waits
// each time until it goes on with one of them, however long that takes. No new run
// is started meanwhile, so that nothing but the recovery itself is measured.
func recovery(ctx context.Context, l *lab, kills int) error {
	l.ledger.list(recoveryRow)
	f, err := l.allInOne("recovery")
	if err != nil {
		return err
	}
	defer f.close()
	if err := f.start(ctx); err != nil {
		return err
	}
	nc, err := f.connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	k := &killer{lab: l, fleet: f, nc: nc, resume: l.options.Patience}
	kinds := l.kinds()
	var worst time.Duration
	for i := range kills {
		// A task, an exec and a mix; of each the same number every time.
		for j := range 6 {
			if l.startRun(ctx, "recovery", &kinds[j%3], float64(j)/2) == nil {
				return errors.New("the API server did not take an ActionSet")
			}
		}
		if err := l.someUnderWay(ctx); err != nil {
			return err
		}
		if err := sleep(ctx, time.Duration(500+l.random.IntN(1500))*time.Millisecond); err != nil {
			return err
		}
		if err := k.process(ctx, recoveryRow, f.servers[0]); err != nil {
			return err
		}
		worst = l.ledger.worst(recoveryRow)
		l.say("recovery: kill %d of %d, %d runs were under way; worst so far %.2f s", i+1, kills, k.met, worst.Seconds())
	}
	if err := l.settle(ctx, f); err != nil {
		return err
	}
	if worst > l.options.Recovery {
		return fmt.Errorf("the worst recovery took %s, more than -recovery-bound %s", worst, l.options.Recovery)
	}
	return nil
}

// someUnderWay waits until Salvor has begun with a run.
func (l *lab) someUnderWay(ctx context.Context) error {
	return eventually(ctx, 3*time.Minute, "a run has started", func(context.Context) bool {
		some := false
		l.log.each(func(t *track) { some = some || t.End != nil && !t.Terminal() })
		return some
	})
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// fleetOfWiped is how many runs are under way when the store is lost.
const fleetOfWiped = 50

// wiped loses the whole store with runs under way. What the ActionSets say is all
// that is left.
func wiped(ctx context.Context, l *lab, _ int) error {
	l.ledger.list(wipedRow)
	f, err := l.allInOne("wiped")
	if err != nil {
		return err
	}
	defer f.close()
	if err := f.start(ctx); err != nil {
		return err
	}
	var mix []kind
	for _, k := range l.kinds() {
		if !k.plan.Cancelled { // a deleted ActionSet leaves nothing to recover from
			mix = append(mix, k)
		}
	}
	for i := range fleetOfWiped {
		if l.startRun(ctx, "wiped", &mix[i%len(mix)], float64(i%8)) == nil {
			return errors.New("the API server did not take an ActionSet")
		}
	}
	// Until the first have ended: then there are some of every age.
	if err := eventually(ctx, 3*time.Minute, "some of the runs have ended", func(context.Context) bool {
		return len(l.log.underWay()) < fleetOfWiped-5
	}); err != nil {
		return err
	}
	s := f.servers[0]
	s.kill()
	met := l.log.underWay()
	if err := os.RemoveAll(f.dataDir()); err != nil {
		return err
	}
	l.say("wiped: killed with %d of %d runs under way; the store is removed", len(met), fleetOfWiped)
	l.log.markWiped(met)
	k := &killer{lab: l, fleet: f, resume: 10 * time.Second}
	if err := k.again(ctx, wipedRow, 1); err != nil {
		return err
	}
	return l.settle(ctx, f)
}
