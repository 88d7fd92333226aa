package procs

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sync/errgroup"
)

// pipe is the way of an output from a process, and from whoever inherits it, to its
// spool.
type pipe struct {
	*spool
	read, write *os.File
}

func newPipe(dir, pattern string) (*pipe, error) {
	spool, err := newSpool(dir, pattern)
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		spool.close()
		spool.remove()
		return nil, fmt.Errorf("there is no pipe for the output: %w", err)
	}
	return &pipe{spool: spool, read: read, write: write}, nil
}

// abandon takes back what newPipe made, where no process was started.
func (p *pipe) abandon() {
	_ = p.write.Close()
	_ = p.read.Close()
	p.close()
	p.remove()
}

// collect fills the spools until nobody can write any more. Where one cannot be
// filled, its writers are told by SIGPIPE.
func collect(pipes []*pipe) error {
	var all errgroup.Group
	for _, p := range pipes {
		_ = p.write.Close() // the process has its own
		all.Go(func() error {
			defer func() { _ = p.read.Close() }()
			_, err := io.Copy(p.spool, p.read)
			return err
		})
	}
	return all.Wait()
}
