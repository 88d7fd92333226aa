package ingress

import (
	"net/http"
	"sync"
)

const (
	// roomForBodies bounds the bodies of requests that are held at the same time, in
	// bytes. A rate does not bound them: a body may come as slowly as readTimeout allows.
	roomForBodies = 64 << 20
	// shares is how many senders (addresses) it takes at least to fill that, so that one
	// does not keep out the others.
	shares = 4
)

// room is what the bodies of requests may take together. It holds before anybody is
// authenticated, since a signature is that of a body.
type room struct {
	share int64

	mu   sync.Mutex
	left int64
	held map[string]int64
}

// newRoom has place for one body of the largest size at any rate.
func newRoom(size, largest int64) *room {
	share := max(size/shares, largest)
	return &room{share: share, left: max(size, share), held: map[string]int64{}}
}

// take reports whether there are n bytes for who sends.
func (r *room) take(who string, n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > r.left || r.held[who]+n > r.share {
		return false
	}
	r.left -= n
	r.held[who] += n
	return true
}

// give takes n bytes back.
func (r *room) give(who string, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left += n
	if r.held[who] -= n; r.held[who] <= 0 {
		delete(r.held, who)
	}
}

// body returns a function that reads the body, once, and one that has to be called
// when it is not needed any more.
func (s *Server) body(w http.ResponseWriter, r *http.Request) (read func() ([]byte, error), done func()) {
	var (
		called bool
		body   []byte
		err    error
		took   int64
	)
	who := remote(r)
	read = func() ([]byte, error) {
		if called {
			return body, err
		}
		called = true
		if r.ContentLength > s.MaxBytes { // it need not be sent to be refused
			err = TooLarge(s.MaxBytes)
			return nil, err
		}
		size := s.MaxBytes
		if r.ContentLength >= 0 {
			size = min(size, r.ContentLength)
		}
		if !s.room.take(who, size) {
			refused := refuse(http.StatusTooManyRequests, reasonFull, "there is no room for the body now: too many requests are under way; send it again later")
			refused.After = retryAfter
			err = refused
			return nil, err
		}
		body, err = readAll(w, r, s.MaxBytes)
		took = min(size, int64(cap(body)))
		s.room.give(who, size-took)
		return body, err
	}
	return read, func() {
		if took > 0 {
			s.room.give(who, took)
		}
	}
}
