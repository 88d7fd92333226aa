package wait_test

import (
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/salvor-io/salvor/runner/function"
)

// log is what a call logs, for tests that must know how far it is.
type log struct {
	lock    sync.Mutex
	changed *sync.Cond
	all     strings.Builder
}

func listen(call *function.Call) *log {
	l := &log{}
	l.changed = sync.NewCond(&l.lock)
	call.Log = zerolog.New(l)
	return l
}

// Write implements io.Writer.
func (l *log) Write(line []byte) (int, error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.changed.Broadcast()
	return l.all.Write(line)
}

// wait returns once a text was logged.
func (l *log) wait(text string) {
	l.lock.Lock()
	defer l.lock.Unlock()
	for !strings.Contains(strings.ReplaceAll(l.all.String(), `\"`, `"`), text) {
		l.changed.Wait()
	}
}

// again pauses a little and reports whether a text is still not logged.
func (l *log) again(text string) bool {
	time.Sleep(10 * time.Millisecond)
	return !strings.Contains(l.text(), text)
}

func (l *log) text() string {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.all.String()
}
