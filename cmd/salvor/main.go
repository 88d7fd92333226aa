// Command salvor is Salvor's server and command line. Called as kanctl, through
// a link of that name, it takes that tool's command lines.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	_ "time/tzdata" // schedules name zones, and an image may have none

	"github.com/go-logr/logr"
	"github.com/rs/zerolog"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/internal/cli"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/cli/serve"
	"github.com/salvor-io/salvor/internal/version"
)

func main() {
	os.Exit(run(os.Args, roles()))
}

func run(args []string, roles []serve.Constructor) int {
	ctx, stop := untilSignal(context.Background())
	defer stop()

	// What client-go logs is noise to a person; serve leads it to its own log.
	klog.SetLogger(logr.Discard())
	a := &app.App{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Clock: clock.RealClock{}, Getenv: os.Getenv}
	return cli.Run(ctx, a, cli.Program{
		Name:    strings.TrimSuffix(filepath.Base(args[0]), ".exe"),
		Version: version.String(),
		Roles:   roles,
		Logging: func(log zerolog.Logger) {
			klog.SetLogger(logr.FromSlogHandler(zerolog.NewSlogHandler(log.With().Str("from", "client-go").Logger())))
		},
	}, args[1:])
}

// untilSignal returns a context that ends with the first signal. A second one
// ends the process at once.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() { // ends with the process
		<-signals
		cancel()
		<-signals
		os.Exit(app.ExitError) //nolint:revive // what a second signal is for
	}()
	return ctx, cancel
}
