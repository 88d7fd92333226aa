package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/salvor-io/salvor/test/chaos/tally"
)

var errInterrupted = errors.New("interrupted")

// storiesTold bounds how many runs that went wrong are told of.
const storiesTold = 5

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
		kills := s.kills(o.Kills)
		l.fast = s.fast
		l.say("scenario %s: %s; %d kills", s.name, s.what, kills)
		if err := s.run(ctx, l, kills); err != nil {
			if ctx.Err() != nil {
				_ = l.take(context.WithoutCancel(ctx), nil) // as far as it came
				return errors.Join(errInterrupted, l.report())
			}
			l.say("scenario %s: %v", s.name, err)
			errs = append(errs, fmt.Errorf("scenario %s: %w", s.name, err))
		}
	}
	return errors.Join(append(errs, l.report())...)
}

// report prints the table and the stories of what went wrong.
func (l *lab) report() error {
	var runs []*tally.Run
	var bad []*track
	l.log.each(func(t *track) {
		runs = append(runs, &t.Run)
		if v := tally.Judge(&t.Run); v.Bad() {
			bad = append(bad, t)
		}
	})
	rows, total := tally.Count(l.ledger.boundaries(), runs)
	for _, t := range bad[:min(len(bad), storiesTold)] {
		l.tellStory(t)
	}
	for _, t := range bad {
		v := tally.Judge(&t.Run)
		fmt.Fprintf(l.out, "%s: %s\n", t.ID, strings.Join(v.Why, "; "))
	}
	fmt.Fprintf(l.out, "\n%s\n", tally.Format(rows, &total))
	l.summary(&total)
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

// target of Acceptance: the first resumed action comes this soon.
const wantedRecovery = 5.0

// summary says in words what the table says in numbers.
func (l *lab) summary(total *tally.Row) {
	l.say("%d runs, %d kills: %d lost, %d duplicated, %d stuck, %d orphans", total.Runs, total.Killed,
		total.Lost, total.Duplicated, total.Stuck, total.Orphans)
	if worst := l.ledger.worst(recoveryRow); worst > 0 {
		word := "within"
		if worst.Seconds() > wantedRecovery {
			word = "NOT within"
		}
		l.say("the only process went on %.2f s after it was ready at worst, %s the %.0f s that are wanted", worst.Seconds(), word, wantedRecovery)
	}
}
