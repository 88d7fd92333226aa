package location

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// source is the data of a push on its way into a driver. It counts, and when the
// data cannot be read it ends the write: some drivers would otherwise store what
// they have so far as a whole object.
type source struct {
	ctx    context.Context //nolint:containedctx // a Reader has no other way to see that the push is over
	r      io.Reader
	cancel context.CancelCauseFunc
	n      int64
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("the data to store could not be read after %d bytes: %w", s.n, err)
		s.cancel(err)
	}
	return n, err
}
