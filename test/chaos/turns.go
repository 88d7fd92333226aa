package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/salvor-io/salvor/internal/failpoint"
)

// target is one boundary at which to kill.
type target struct {
	boundary string
	// optional: that nothing comes by is no fault.
	optional bool
	kill     func(ctx context.Context, k *killer, boundary string) (met bool, err error)
}

// points are targets that kill at failpoints.
func (l *lab) points(points []failpoint.Point) []target {
	var targets []target
	for _, p := range points {
		targets = append(targets, target{boundary: string(p), kill: func(ctx context.Context, k *killer, boundary string) (bool, error) {
			return k.at(ctx, p, boundary)
		}})
	}
	return targets
}

// moments are targets that kill a process at any moment.
func (l *lab) moments(boundary string, s *server) []target {
	return []target{{boundary: boundary, kill: func(ctx context.Context, k *killer, boundary string) (bool, error) {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(time.Duration(l.random.IntN(500)) * time.Millisecond):
		}
		return true, k.process(ctx, boundary, s)
	}}}
}

// only keeps the targets that -only names.
func (l *lab) only(targets []target) []target {
	if l.options.Only == "" {
		return targets
	}
	return slices.DeleteFunc(slices.Clone(targets), func(t target) bool { return t.boundary != l.options.Only })
}

// turns kills at each target in turn, until there were as many kills. Each target
// that is not optional has its turn once at least.
func (k *killer) turns(ctx context.Context, targets []target, kills int) error {
	l := k.lab
	targets = l.only(targets)
	if len(targets) == 0 {
		return nil
	}
	for _, t := range targets {
		l.ledger.list(t.boundary)
	}
	missed := map[string]int{}
	done := 0
	for turn := 0; done < kills || (turn < len(targets) && l.options.Only == ""); turn++ {
		t := targets[turn%len(targets)]
		if turn >= len(targets) && time.Now().After(l.deadline) {
			l.say("%s: out of time after %d of %d kills", k.fleet.name, done, kills)
			break
		}
		if t.optional && (done >= kills || time.Now().After(l.deadline)) {
			continue
		}
		if missed[t.boundary] >= 2 {
			done++ // its kill is not made up for elsewhere
			continue
		}
		began := time.Now()
		met, err := t.kill(ctx, k, t.boundary)
		if err != nil {
			return fmt.Errorf("at %s: %w", t.boundary, err)
		}
		if !met {
			missed[t.boundary]++
			l.say("%s: nothing came by %s within %s", k.fleet.name, t.boundary, k.patience)
			continue
		}
		done++
		if l.options.Verbose || done%20 == 0 {
			l.say("%s: kill %d, %s, took %s; %d runs under way", k.fleet.name, done, t.boundary,
				time.Since(began).Round(10*time.Millisecond), len(l.log.underWay()))
		}
	}
	for _, t := range targets {
		if !t.optional && l.ledger.of(t.boundary) == 0 {
			l.ledger.problem(t.boundary, "NEVER KILLED HERE")
		}
	}
	return nil
}

// program kills a program of the cluster and starts it again.
func (k *killer) program(ctx context.Context, name string) error {
	l := k.lab
	boundary := clusterRow + name
	l.say("%s: kill -9 %s, with %d runs under way", k.fleet.name, name, len(l.log.underWay()))
	if err := l.localcluster(ctx, "kill", name); err != nil {
		return err
	}
	met := l.log.underWay()
	l.ledger.killed(boundary, 1)
	l.log.note(met, "killed "+name)
	l.log.met(met, boundary)
	select { // it stays away for a moment, so that somebody misses it
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(l.random.IntN(2000)) * time.Millisecond):
	}
	if dead := k.fleet.dead(); len(dead) > 0 {
		return died(dead)
	}
	if err := l.localcluster(ctx, "start", name); err != nil {
		return err
	}
	w := watchResume(l.log, met)
	defer w.stop()
	ready := time.Now()
	if at, resumed := w.wait(ctx, 10*time.Second); resumed {
		l.ledger.recovered(boundary, max(at.Sub(ready), 0))
	}
	l.reap(ctx, k.nc)
	if dead := k.fleet.dead(); len(dead) > 0 {
		return died(dead)
	}
	return nil
}

// localcluster runs the program that has the local cluster.
func (l *lab) localcluster(ctx context.Context, args ...string) error {
	_, err := l.tools.Run(ctx, nil, "localcluster", args...)
	return err
}
