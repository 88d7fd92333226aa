package location

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	firstPart    = 8 << 20
	constantPart = 5000 // parts of the first size
	growEvery    = 500  // then the size doubles each so many parts
	largestPart  = 4 << 30
	maxParts     = 10000 // the fewest that any of the stores takes

	partBuffers = 3        // of parts up to sharedPart: two on their way, one being filled
	sharedPart  = 32 << 20 // larger ones go one at a time through one buffer

	abortTimeout = 30 * time.Second

	// A part is sent this often before the upload fails, with pauses that double
	// up to the longest: about two minutes in all, beside what the SDK repeats.
	partAttempts = 8
	firstPause   = time.Second
	longestPause = 30 * time.Second

	// A part may take slackTime and what it takes at slowest; then the connection
	// counts as dead. A store may copy all parts while it makes an object of them.
	slackTime  = 2 * time.Minute
	slowest    = 32 << 10 // bytes per second
	finishTime = 20 * time.Minute
)

// partSize is the size of part number n, counted from 1.
func partSize(n int) int {
	if n <= constantPart {
		return firstPart
	}
	return min(firstPart<<(1+(n-constantPart-1)/growEvery), largestPart)
}

// partStore is a store that takes an object in numbered parts.
type partStore interface {
	// whole writes an object in one request.
	whole(ctx context.Context, key string, data []byte) error
	// begin starts an upload in parts.
	begin(ctx context.Context, key string) (partUpload, error)
}

// partUpload is one upload in progress.
type partUpload interface {
	// send stores part number, counted from 1; the same number again replaces it.
	// It is called for several parts at the same time.
	send(ctx context.Context, number int, data []byte) error
	// finish makes an object of parts 1 to count.
	finish(ctx context.Context, count int) error
	// abort removes what has been sent.
	abort(ctx context.Context) error
}

// uploader writes objects of unknown length in parts, within bounded memory, and
// sends a part again when it fails (see doc.go).
type uploader struct {
	store partStore
	size  func(n int) int // partSize; tests make it small
	first time.Duration   // firstPause; tests make it small
}

func newUploader(store partStore) *uploader {
	return &uploader{store: store, size: partSize, first: firstPause}
}

// upload writes r to key: in one request when it fits into one part.
func (u *uploader) upload(ctx context.Context, key string, r io.Reader) error {
	pool := newPartPool()
	buf, err := pool.take(ctx, u.size(1))
	if err != nil {
		return err
	}
	n, err := io.ReadFull(r, buf)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return u.store.whole(ctx, key, buf[:n])
	case err != nil:
		return err
	}
	parts, err := u.store.begin(ctx, key)
	if err != nil {
		return fmt.Errorf("start the upload: %w", err)
	}
	run := &partRun{uploader: u, parts: parts, pool: pool}
	if err := run.all(ctx, r, buf); err != nil {
		// Also when ctx is done: what is left open shows nowhere and is paid for.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
		defer cancel()
		return errors.Join(err, parts.abort(ctx))
	}
	return nil
}

// partRun is the sending of one object.
type partRun struct {
	*uploader
	parts partUpload
	pool  *partPool
}

// all sends first and then the rest of r, and makes an object of it.
func (p *partRun) all(ctx context.Context, r io.Reader, first []byte) error {
	g, gctx := errgroup.WithContext(ctx)
	count := 0
	start := func(buf []byte, n int) {
		count++
		number := count
		g.Go(func() error {
			defer p.pool.give(buf)
			return p.patiently(gctx, fmt.Sprintf("part %d", number), timeFor(n), func(ctx context.Context) error {
				return p.parts.send(ctx, number, buf[:n])
			})
		})
	}
	start(first, len(first))
	readErr := p.read(gctx, r, start)
	if err := g.Wait(); err != nil {
		return err // also the reason why the reading ended
	}
	if readErr != nil {
		return readErr
	}
	return p.patiently(ctx, "finish the upload", finishTime, func(ctx context.Context) error {
		return p.parts.finish(ctx, count)
	})
}

// read fills buffers from r and hands each to start, from part 2 to the end.
func (p *partRun) read(ctx context.Context, r io.Reader, start func(buf []byte, n int)) error {
	for number := 2; ; number++ {
		if number > maxParts {
			return fmt.Errorf("the data is larger than %d parts hold; split it over several objects", maxParts)
		}
		buf, err := p.pool.take(ctx, p.size(number))
		if err != nil {
			return err
		}
		n, err := io.ReadFull(r, buf)
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		switch {
		case err != nil && !end:
			return err
		case n > 0:
			start(buf, n)
		}
		if end {
			return nil
		}
	}
}

// timeFor is how long a part of n bytes may take.
func timeFor(n int) time.Duration { return slackTime + time.Duration(n/slowest)*time.Second }

// patiently repeats a request while it may yet succeed: what has been read from a
// pipe cannot be read again, so giving up loses all that went before. A request
// that takes longer than limit is given up.
func (p *partRun) patiently(ctx context.Context, what string, limit time.Duration, request func(context.Context) error) error {
	pause := p.first
	for attempt := 1; ; attempt++ {
		err := inTime(ctx, limit, request)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil, attempt == partAttempts, !transient(err):
			return fmt.Errorf("%s: %w", what, err)
		}
		sleep(ctx, pause)
		pause = min(2*pause, longestPause)
	}
}

func inTime(ctx context.Context, limit time.Duration, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return request(ctx)
}

// sleep waits for d, or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// partPool bounds the memory of an upload: there are never more parts in memory
// than it has buffers.
type partPool struct {
	free chan []byte
	one  bool
}

func newPartPool() *partPool {
	p := &partPool{free: make(chan []byte, partBuffers)}
	for range partBuffers {
		p.free <- nil
	}
	return p
}

// take waits for a buffer and returns it with length size. Only the goroutine
// that reads calls it.
func (p *partPool) take(ctx context.Context, size int) ([]byte, error) {
	if size > sharedPart && !p.one {
		p.one = true
		for range partBuffers - 1 {
			if _, err := p.next(ctx); err != nil {
				return nil, err
			}
		}
	}
	buf, err := p.next(ctx)
	if err != nil {
		return nil, err
	}
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	return buf[:size], nil
}

func (p *partPool) next(ctx context.Context) ([]byte, error) {
	select {
	case buf := <-p.free:
		return buf, ctx.Err()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *partPool) give(buf []byte) { p.free <- buf }
