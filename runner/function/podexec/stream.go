package podexec

import (
	"sync"

	"github.com/salvor-io/salvor/internal/output"
)

// stream is where one of the command's outputs goes. The exec client may still
// write after it has returned because ctx ended; such bytes are dropped.
type stream struct {
	lock   sync.Mutex
	parser *output.Parser
	ended  bool
}

// Write implements io.Writer.
func (s *stream) Write(piece []byte) (int, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.ended {
		return len(piece), nil
	}
	return s.parser.Write(piece)
}

func (s *stream) finish() (map[string]any, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.ended = true
	return s.parser.Finish()
}

// recorder logs the lines of both outputs, in the order they came, and keeps the
// last ones, all with secret values replaced.
type recorder struct {
	*executor
	target Target

	lock sync.Mutex
	last []string
}

// add returns what takes the lines of one output.
func (r *recorder) add(name string) func(string) {
	log := r.call.Log.With().Str("pod", r.target.Namespace+"/"+r.target.Pod).
		Str("container", r.target.Container).Str("stream", name).Logger()
	return func(line string) {
		line = r.call.Values.Redact(line) // safe for several goroutines
		log.Info().Msg(line)
		r.lock.Lock()
		defer r.lock.Unlock()
		r.last = append(r.last, line)
		if extra := len(r.last) - output.TailLines; extra > 0 {
			r.last = append(r.last[:0], r.last[extra:]...)
		}
	}
}

func (r *recorder) tail() string {
	r.lock.Lock()
	defer r.lock.Unlock()
	return output.Excerpt(r.last)
}
