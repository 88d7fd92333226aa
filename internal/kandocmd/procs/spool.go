package procs

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
)

// spool is an output of a process: a file that grows until it is closed, and any
// number of readers that follow it.
type spool struct {
	file *os.File

	mu      sync.Mutex
	size    int64
	closed  bool
	changed chan struct{} // closed when size or closed changes
}

func newSpool(dir, pattern string) (*spool, error) {
	file, err := os.CreateTemp(dir, pattern) // mode 0600
	if err != nil {
		return nil, fmt.Errorf("there is no place for the output: %w", err)
	}
	return &spool{file: file, changed: make(chan struct{})}, nil
}

// Write takes what the process prints. An error, such as a full disk, ends the
// process' output and shows in its exit.
func (s *spool) Write(piece []byte) (int, error) {
	n, err := s.file.Write(piece)
	s.change(int64(n), false)
	return n, err
}

func (s *spool) close() {
	_ = s.file.Close() // every Write was checked
	s.change(0, true)
}

func (s *spool) remove() { _ = os.Remove(s.file.Name()) }

func (s *spool) change(more int64, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size += more
	s.closed = s.closed || closed
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *spool) state() (size int64, closed bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size, s.closed, s.changed
}

// follow writes the output to w from its beginning to its end, as it comes, and
// calls flush after each piece.
func (s *spool) follow(ctx context.Context, w io.Writer, flush func() error) error {
	file, err := os.Open(s.file.Name())
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	for sent := int64(0); ; {
		size, closed, changed := s.state()
		if size > sent {
			n, err := io.CopyN(w, file, size-sent)
			sent += n
			if err != nil {
				return err
			}
			if err := flush(); err != nil {
				return err
			}
			continue
		}
		if closed {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
