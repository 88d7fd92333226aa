package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "\nchaos: %v\n", err)
		os.Exit(1) //nolint:gocritic // stop only ends the signal handler
	}
}

// options of the program.
type options struct {
	Salvor    string
	Kills     int
	Seed      uint64
	Only      string
	Scenarios string
	Limit     time.Duration
	Patience  time.Duration
	Recovery  time.Duration
	UnderWay  int
	Resume    time.Duration
	Verbose   bool
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.Salvor, "salvor", filepath.Join("bin", "chaos", "salvor"), "the salvor program, built with the tag failpoint")
	flags.IntVar(&o.Kills, "kills", 300, "how many kills at least, all scenarios together")
	flags.Uint64Var(&o.Seed, "seed", uint64(time.Now().Unix()), "seed of what is random")
	flags.StringVar(&o.Only, "only", "", "kill at this point or boundary only, for example runner.after-claim or random")
	flags.StringVar(&o.Scenarios, "scenarios", "", "run these scenarios only, comma-separated: "+strings.Join(names(scenarios()), ", "))
	flags.DurationVar(&o.Limit, "limit", 8*time.Minute, "stop killing after this time, whatever was reached (it grows with -kills above 300)")
	flags.DurationVar(&o.Patience, "patience", 4*time.Minute, "how long runs may take to end once nothing is killed any more")
	flags.DurationVar(&o.Recovery, "recovery-bound", 30*time.Second, "fail when the first resumed action takes longer than this")
	flags.IntVar(&o.UnderWay, "under-way", 24, "how many runs to keep under way")
	flags.DurationVar(&o.Resume, "resume", time.Second, "how long to wait after each kill for the first resumed step before the next kill")
	flags.BoolVar(&o.Verbose, "v", false, "print a line for each kill")
	flags.Usage = func() {
		fmt.Fprint(out, "chaos kills Salvor's processes at every boundary and counts effects.\n\n"+
			"It needs the local cluster (make cluster) and root; make chaos does all of it.\n\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is not a flag; -h lists them", flags.Arg(0))
	}
	if o.Kills < 1 {
		return o, fmt.Errorf("-kills %d: at least 1", o.Kills)
	}
	if o.Kills > 300 {
		o.Limit = o.Limit * time.Duration(o.Kills) / 300
	}
	absolute, err := filepath.Abs(o.Salvor)
	if err != nil {
		return o, err
	}
	o.Salvor = absolute
	return o, nil
}
