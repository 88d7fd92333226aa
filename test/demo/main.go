package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/test/harness"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "\nThe demo failed: %v\n", err)
		os.Exit(1) //nolint:gocritic // stop only ends the signal handler
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	verbose := flags.Bool("v", false, "print every command before it runs")
	rows := flags.Int("rows", 100_000, "rows in the table that is lost and restored")
	tag := flags.String("image-tag", "dev", "tag of the Salvor image to install")
	stops := flags.Bool("stops", false, "whoever runs this stops the cluster at the end, so do not say how to look around")
	if err := flags.Parse(args); err != nil {
		return err // a sentence for the person
	}

	tools, err := harness.Find(os.Getenv("KUBECONFIG"))
	if err != nil {
		return err // a sentence for the person
	}
	if *verbose {
		tools.Verbose = os.Stdout
	}
	wall := clock.RealClock{}
	s := &story{tools: tools, out: os.Stdout, clock: wall, start: wall.Now()}
	d := &demo{story: s, rows: *rows, tag: *tag, samples: filepath.Join(tools.Root, "deploy", "samples", "postgresql")}
	defer d.close()
	if *stops {
		defer fmt.Fprint(s.out, "\nThe cluster stops now. `make demo KEEP=1` leaves it, and Salvor in it, for a look.\n")
	}
	if err := d.tell(ctx); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\n%d steps in %s. Lost and restored: %d rows, checksum %s before and after.\n",
		s.steps, s.clock.Since(s.start).Round(time.Second), d.before.rows, d.before.checksum)
	if *stops {
		return nil
	}
	fmt.Fprintf(s.out, `
Look around:  export KUBECONFIG=%s PATH=%s:$PATH
              kubectl get actionsets,blueprints,profiles,actiontriggers -A
              kubectl describe actionset -n shop %s
              kubectl logs -n salvor salvor-0
Stop:         make cluster-down
`, tools.Kubeconfig, filepath.Join(tools.Root, "bin")+":"+filepath.Join(tools.Root, ".local", "bin"), d.backup)
	return nil
}
