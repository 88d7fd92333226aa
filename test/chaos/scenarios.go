package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/salvor-io/salvor/internal/failpoint"
)

// scenario is one way to run and to kill Salvor.
type scenario struct {
	name string
	what string
	// kills is how many of a total are this scenario's.
	kills func(total int) int
	run   func(ctx context.Context, l *lab, kills int) error
	// fast shortens Salvor's waits; without it Salvor runs with its defaults.
	fast bool
}

// percent is a part of all kills, but not fewer than a number.
func percent(part, least int) func(int) int {
	return func(total int) int { return max(total*part/100, least) }
}

func scenarios() []scenario {
	return []scenario{
		{"recovery", "how soon the only process goes on", percent(3, 10), recovery, false},
		{"wiped", "the store is lost with 50 runs under way", func(int) int { return 1 }, wiped, false},
		{"allinone", "one process is everything; every failpoint, and any moment", percent(71, 1), allInOne, true},
		{"apart", "each role is a process; its failpoints, and any moment", percent(20, 1), apart, true},
		{"r3", "one of three brokers", percent(4, 3), r3, false},
		{"cluster", "the API server and the kubelet", percent(3, 6), clusterPrograms, false},
	}
}

func names(list []scenario) []string {
	var all []string
	for _, s := range list {
		all = append(all, s.name)
	}
	return all
}

func pick(wanted string) ([]scenario, error) {
	known := scenarios()
	if wanted == "" {
		return known, nil
	}
	var picked []scenario
	for name := range strings.SplitSeq(wanted, ",") {
		at := slices.IndexFunc(known, func(s scenario) bool { return s.name == name })
		if at < 0 {
			return nil, fmt.Errorf("-scenarios: %q is not one of %s", name, strings.Join(names(known), ", "))
		}
		picked = append(picked, known[at])
	}
	return picked, nil
}

// Boundaries that are no failpoint.
const (
	anyMoment   = "any moment: all in one"
	roleMoment  = "any moment: " // and the role
	recoveryRow = "recovery: all in one"
	wipedRow    = "store wiped"
	memberRow   = "one of three brokers"
	clusterRow  = "cluster: " // and the program
)

// every is how often a run is started at most, while there is load.
const every = 200 * time.Millisecond

// under runs something under load and then waits for the end of all runs.
func (l *lab) under(ctx context.Context, f *fleet, prefix string, do func(*killer) error) error {
	defer f.close()
	if err := f.start(ctx); err != nil {
		return err
	}
	nc, err := f.connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	k := &killer{lab: l, fleet: f, nc: nc, resume: l.options.Resume, patience: meet}
	g := l.startLoad(ctx, prefix, l.options.UnderWay, every)
	defer g.close()
	k.load = g
	err = do(k)
	g.close()
	if err != nil {
		return errors.Join(err, l.take(ctx, nil)) // what there is
	}
	l.say("%s: no more kills; waiting for the end of %d runs", f.name, len(l.log.underWay()))
	return l.settle(ctx, f)
}

// meet is how long something may take to come by an armed point.
const meet = 15 * time.Second

// allInOne kills the one process that is everything, at each point and at any
// moment.
func allInOne(ctx context.Context, l *lab, kills int) error {
	f, err := l.allInOne("allinone")
	if err != nil {
		return err
	}
	return l.under(ctx, f, "all", func(k *killer) error {
		// After each point, once at any moment.
		return k.turns(ctx, interleave(l.points(failpoint.Points()), l.moments(anyMoment, f.servers[0])), kills)
	})
}

// apart kills each role where it is a process of its own.
func apart(ctx context.Context, l *lab, kills int) error {
	f, err := l.apart("apart")
	if err != nil {
		return err
	}
	return l.under(ctx, f, "apart", func(k *killer) error {
		var targets []target
		for _, s := range f.servers {
			targets = append(targets, l.moments(roleMoment+s.name, s)...)
		}
		// Points of roles apart stand in rows of their own: what is killed there is
		// less than in one process.
		points := l.points(failpoint.Points())
		for i := range points {
			points[i].boundary = "apart: " + points[i].boundary
			points[i].optional = true // as many as there is time for
		}
		l.random.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		return k.turns(ctx, interleave(targets, points), kills)
	})
}

// interleave takes from both in turn, until each of both was taken once.
func interleave(a, b []target) []target {
	var mixed []target
	for i := range max(len(a), len(b)) {
		mixed = append(mixed, a[i%len(a)], b[i%len(b)])
	}
	return mixed
}

// clusterPrograms kills what Salvor leans on.
func clusterPrograms(ctx context.Context, l *lab, kills int) error {
	f, err := l.allInOne("cluster")
	if err != nil {
		return err
	}
	l.unsteady = true
	defer func() { l.unsteady = false }()
	return l.under(ctx, f, "cluster", func(k *killer) error {
		for i := range kills {
			program := []string{"kube-apiserver", "kubelet"}[i%2]
			if err := k.program(ctx, program); err != nil {
				return err
			}
		}
		return nil
	})
}
