package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"k8s.io/utils/clock"
)

// extSequence is the extension of the CloudEvents specification for the place of an
// event among others.
const extSequence = "sequence"

// errReader: the reader is gone or does not read.
var errReader = errors.New("the reader is gone")

// lines writes events to a reader.
type lines struct {
	to      http.ResponseWriter
	control *http.ResponseController
	clock   clock.PassiveClock
	// types are prefixes of which one must fit; none means all.
	types []string
}

// Event writes one line.
func (l *lines) Event(number uint64, e *cloudevents.Event, more bool) error {
	begins := func(prefix string) bool { return strings.HasPrefix(e.Type(), prefix) }
	if len(l.types) > 0 && !slices.ContainsFunc(l.types, begins) {
		if more {
			return nil
		}
		return l.flush()
	}
	e.SetExtension(extSequence, strconv.FormatUint(number, 10))
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode event %s: %w", e.ID(), err)
	}
	return l.write(append(line, '\n'), more)
}

// Idle writes an empty line.
func (l *lines) Idle() error { return l.write([]byte{'\n'}, false) }

func (l *lines) write(line []byte, more bool) error {
	l.extend()
	if _, err := l.to.Write(line); err != nil {
		return fmt.Errorf("%w: %w", errReader, err)
	}
	if more {
		return nil
	}
	return l.flush()
}

func (l *lines) flush() error {
	l.extend()
	if err := l.control.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errReader, err)
	}
	return nil
}

// extend gives the reader time for the next line; the server's own limits are for
// requests that end.
func (l *lines) extend() {
	_ = l.control.SetWriteDeadline(l.clock.Now().Add(writeTimeout)) // what has none, waits
}
