package feed

import (
	"net"
	"net/http"
	"sync"

	"github.com/salvor-io/salvor/bridge/access"
)

const (
	// readers is how many requests are served at the same time.
	readers = 64
	// readersOfOne is how many of them one sender may have: it leaves room for others.
	readersOfOne = readers / 2
)

// seats are those of the readers.
type seats struct {
	mu    sync.Mutex
	taken int
	of    map[string]int
}

// take returns 0 and how to give the seat back, or the code of the refusal.
func (s *seats) take(who string) (refused int, leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.of[who] >= readersOfOne:
		return http.StatusTooManyRequests, nil
	case s.taken >= readers:
		return http.StatusServiceUnavailable, nil
	}
	if s.of == nil {
		s.of = map[string]int{}
	}
	s.taken++
	s.of[who]++
	return 0, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.taken--
		if s.of[who]--; s.of[who] == 0 {
			delete(s.of, who)
		}
	}
}

// reader names who asks: the sender, or the address of one without an identity.
func reader(r *http.Request) string {
	if sender := access.SenderOf(r.Context()); sender != nil {
		return "user:" + sender.User
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return "ip:" + host
}
