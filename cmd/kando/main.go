// Command kando runs inside task pods: it hands results back to the run and moves
// data between the pod and an object store. See docs/kando.md.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/internal/kandocmd"
)

// version is set by the linker.
var version = "dev"

// gcPercent: most of what kando holds is the few buffers of an upload, used again
// and again, so collecting early costs little time and keeps it within 64 MiB.
const gcPercent = 10

func main() {
	debug.SetGCPercent(gcPercent)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := kandocmd.Run(ctx, os.Args[1:], version, kandocmd.Host{
		In: stdin(ctx), Out: os.Stdout, Err: os.Stderr, Signals: signals, Clock: clock.RealClock{},
	})
	stop()
	os.Exit(code)
}

// signals delivers what would end the process otherwise.
func signals() (<-chan os.Signal, func()) {
	ch := make(chan os.Signal, 8)
	signal.Notify(ch, syscall.SIGTERM, syscall.SIGINT)
	return ch, func() { signal.Stop(ch) }
}

// stdin returns the standard input such that a Read ends when ctx does: a pipe
// that nobody writes to must not keep an upload open. Go can do that for files it
// opened itself, so the pipe is opened once more under its own name; where that is
// impossible (a socket, a terminal) a Read waits for the kubelet's second signal.
func stdin(ctx context.Context) io.Reader {
	info, err := os.Stdin.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return os.Stdin
	}
	// Without O_NONBLOCK a named pipe whose writer is done already would wait for
	// another one.
	pipe, err := os.OpenFile("/dev/stdin", os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return os.Stdin
	}
	// The pipe has another end of reading now; the first would keep a writer
	// alive that should see that nobody reads.
	_ = os.Stdin.Close()
	context.AfterFunc(ctx, func() { _ = pipe.SetReadDeadline(time.Unix(1, 0)) })
	return pipe
}
