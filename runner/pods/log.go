package pods

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/internal/output"
	"github.com/salvor-io/salvor/runner/internal/again"
)

// logLimit is how long the log of a container that has ended may be unreadable.
const logLimit = 2 * time.Minute

// maxHeld is how much of an unfinished line is kept back; a longer one can carry
// no value that the parser would take.
const maxHeld = output.MaxValue + output.MaxLine

// opener opens the log of one container from its start.
type opener func(ctx context.Context, follow bool) (io.ReadCloser, error)

func openLog(client kubernetes.Interface, pod *corev1.Pod, container string) opener {
	return func(ctx context.Context, follow bool) (io.ReadCloser, error) {
		return client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name,
			&corev1.PodLogOptions{Container: container, Follow: follow}).Stream(ctx)
	}
}

// logReader reads one log as often as it takes into one parser. See the package
// comment. It is used by one goroutine at a time.
type logReader struct {
	open   opener
	clock  clock.Clock
	parser *output.Parser
	// line is called once for each line that publishes nothing.
	line func(string)

	// held is the unfinished line; spilled: it became too long to be held.
	held    []byte
	spilled bool
	// seen counts the lines of this reading, passed those passed on in all.
	seen, passed int
	// tail are the last lines of this reading. The parser's own would hold lines
	// of the reading before, too.
	tail []string
}

func newLogReader(open opener, c clock.Clock, line func(string)) *logReader {
	l := &logReader{open: open, clock: c, line: line}
	l.parser = output.NewParser(output.WithLines(l.onLine))
	return l
}

func (l *logReader) onLine(text string) {
	l.seen++
	if l.seen == 1 {
		l.tail = nil
	}
	if len(l.tail) == output.TailLines {
		l.tail = l.tail[1:]
	}
	l.tail = append(l.tail, text)
	if l.seen > l.passed {
		l.passed = l.seen
		l.line(text)
	}
}

// follow reads the log until ctx ends, opening it again whenever it ends.
func (l *logReader) follow(ctx context.Context, failed func(error)) {
	_ = again.Do(ctx, again.Policy{Clock: l.clock, Failed: failed}, func(ctx context.Context) error { // it ends with ctx only
		if err := l.read(ctx, true); err != nil {
			return err
		}
		return errLogEnded
	})
}

var errLogEnded = errors.New("the log ended")

// finish reads the log of a container that has ended, to its end.
func (l *logReader) finish(ctx context.Context) error {
	return again.Do(ctx, again.Policy{Clock: l.clock, Limit: logLimit, If: readable}, func(ctx context.Context) error { return l.read(ctx, false) })
}

// readable tells whether a log that could not be read may be readable later. A pod
// that the API server does not know stays away. One that only the kubelet does not
// know is known again a moment after the kubelet was started; giving up then would
// fail a command that has done its work. The API server makes of the kubelet's 404 one
// that speaks of a resource and not of the pod.
func readable(err error) bool {
	switch {
	case apierrors.IsForbidden(err):
		return false
	case apierrors.IsNotFound(err):
		return strings.Contains(err.Error(), "the server could not find the requested resource")
	}
	return true
}

// read reads from the start up to the end of the stream. Only whole lines reach
// the parser, and the last one, if the stream ended well and is not followed.
func (l *logReader) read(ctx context.Context, follow bool) error {
	l.restart()
	stream, err := l.open(ctx, follow)
	if err != nil {
		return err
	}
	defer stream.Close() // only read from
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer stop()
	buffer := make([]byte, 32<<10)
	for {
		n, err := stream.Read(buffer)
		l.take(buffer[:n])
		if errors.Is(err, io.EOF) {
			if !follow {
				l.flush()
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// take passes on everything up to the last newline and holds the rest.
func (l *logReader) take(piece []byte) {
	end := bytes.LastIndexByte(piece, '\n')
	if end < 0 {
		l.held = append(l.held, piece...)
		if len(l.held) > maxHeld {
			l.flush()
			l.spilled = true
		}
		return
	}
	l.flush()
	l.spilled = false
	l.write(piece[:end+1])
	l.held = append(l.held, piece[end+1:]...)
}

func (l *logReader) flush() {
	l.write(l.held)
	l.held = l.held[:0]
	if cap(l.held) > 1<<20 {
		l.held = nil
	}
}

// restart forgets the unfinished line of the reading before.
func (l *logReader) restart() {
	l.held = nil
	if l.spilled {
		l.write([]byte{'\n'})
		l.spilled = false
	}
	l.seen = 0
}

func (l *logReader) write(piece []byte) {
	_, _ = l.parser.Write(piece) // never fails
}
