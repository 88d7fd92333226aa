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

	"github.com/go-logr/logr"
	"github.com/rs/zerolog"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/internal/cli"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/version"
)

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	// After the first signal the default holds again: the second one kills.
	context.AfterFunc(ctx, stop)

	// What client-go logs is noise to a person; serve leads it to its own log.
	klog.SetLogger(logr.Discard())
	a := &app.App{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Clock: clock.RealClock{}, Getenv: os.Getenv}
	return cli.Run(ctx, a, cli.Program{
		Name:    strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe"),
		Version: version.String(),
		Roles:   roles(),
		Logging: func(log zerolog.Logger) {
			klog.SetLogger(logr.FromSlogHandler(zerolog.NewSlogHandler(log.With().Str("from", "client-go").Logger())))
		},
	}, os.Args[1:])
}
