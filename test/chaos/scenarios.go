package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/salvor-io/salvor/internal/failpoint"
	"github.com/salvor-io/salvor/test/chaos/tally"
)

// scenario is one way to run and to kill Salvor.
type scenario struct {
	name string
	// share is the part of all kills, in percent.
	share int
	run   func(ctx context.Context, l *lab, kills int) error
}

func scenarios() []scenario {
	return []scenario{
		{name: "allinone", share: 100, run: allInOne},
	}
}

func names(list []scenario) []string {
	var all []string
	for _, s := range list {
		all = append(all, s.name)
	}
	return all
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	picked, err := pick(o.Scenarios)
	if err != nil {
		return err
	}
	l, err := newLab(ctx, o, out)
	if err != nil {
		return err
	}
	l.say("seed %d; logs in %s", o.Seed, l.dir)
	if l.log, err = l.watchRuns(ctx); err != nil {
		return err
	}
	defer l.log.close()
	var errs []error
	for _, s := range picked {
		kills := max(o.Kills*s.share/100, 1)
		l.say("scenario %s: %d kills", s.name, kills)
		if err := s.run(ctx, l, kills); err != nil {
			if ctx.Err() != nil {
				return errInterrupted
			}
			l.say("scenario %s: %v", s.name, err)
			errs = append(errs, fmt.Errorf("scenario %s: %w", s.name, err))
		}
	}
	return errors.Join(append(errs, l.report(ctx))...)
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

// allInOne kills the one process that is everything, at each point and at random.
func allInOne(ctx context.Context, l *lab, kills int) error {
	f, err := l.allInOne("allinone")
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
	k := &killer{lab: l, fleet: f, nc: nc, resume: time.Second, patience: 15 * time.Second}
	points := failpoint.Points()
	for _, p := range points {
		l.ledger.list(string(p))
	}
	g := l.startLoad(ctx, "all", l.options.UnderWay, 250*time.Millisecond)
	defer g.close()
	err = k.points(ctx, points, kills, l.began.Add(l.options.Limit))
	g.close()
	if err != nil {
		return err
	}
	l.say("no more kills; waiting for the end of all runs")
	return l.settle(ctx, f)
}

// report prints the table and the stories of what went wrong.
func (l *lab) report(_ context.Context) error {
	var runs []*tally.Run
	var bad []*track
	l.log.each(func(t *track) {
		runs = append(runs, &t.Run)
		if v := tally.Judge(&t.Run); v.Bad() {
			bad = append(bad, t)
		}
	})
	rows, total := tally.Count(l.ledger.boundaries(), runs)
	fmt.Fprintf(l.out, "\n%s\n", tally.Format(rows, &total))
	for _, t := range bad[:min(len(bad), 5)] {
		l.tellStory(t)
	}
	var faults []string
	for i := range rows {
		if rows[i].Problem != "" {
			faults = append(faults, rows[i].Name+" "+rows[i].Problem)
		}
	}
	if len(bad) > 0 {
		faults = append(faults, fmt.Sprintf("%d runs went wrong", len(bad)))
	}
	if len(faults) > 0 {
		return fmt.Errorf("%s; logs in %s, repeat with CHAOS_SEED=%d", strings.Join(faults, "; "), l.dir, l.options.Seed)
	}
	return nil
}
