package ingress

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/utils/clock"
)

const (
	// sendersKept bounds the senders whose rate is known. The one that was silent
	// longest is forgotten, and starts anew with a full burst.
	sendersKept = 16384
	// senderKept is how long a silent sender is known.
	senderKept = time.Hour
)

// limits are the rates of senders.
type limits struct {
	clock clock.PassiveClock
	rate  rate.Limit
	burst int

	mu      sync.Mutex
	senders *cache.LRUExpireCache
}

// newLimits returns nil, which limits nobody, if perSecond is 0.
func newLimits(perSecond float64, burst int, c clock.PassiveClock) *limits {
	if perSecond <= 0 {
		return nil
	}
	return &limits{clock: c, rate: rate.Limit(perSecond), burst: max(burst, 1), senders: cache.NewLRUExpireCacheWithClock(sendersKept, c)}
}

// take takes n events from a sender's share, or refuses. More than the burst count
// as the burst, since they could never pass otherwise.
func (l *limits) take(sender string, n int) *RefusedError {
	if l == nil || n <= 0 {
		return nil
	}
	now := l.clock.Now()
	reservation := l.of(sender).ReserveN(now, min(n, l.burst))
	delay := reservation.DelayFrom(now)
	if delay == 0 {
		return nil
	}
	reservation.CancelAt(now)
	refused := refuse(http.StatusTooManyRequests, reasonRate,
		"one sender may send %g events a second, and %d at once (--ingress-rate, --ingress-burst); send it again later", float64(l.rate), l.burst)
	refused.After = delay
	return refused
}

// takeRest is take for a request of n events of which one was taken when it came in.
func (l *limits) takeRest(sender string, n int) *RefusedError {
	if l == nil {
		return nil
	}
	refused := l.take(sender, min(n, l.burst)-1)
	if refused != nil {
		refused.After += time.Duration(float64(time.Second) / float64(l.rate)) // one is taken when it comes again
	}
	return refused
}

func (l *limits) of(sender string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, _ := l.senders.Get(sender)
	limiter, ok := found.(*rate.Limiter)
	if !ok {
		limiter = rate.NewLimiter(l.rate, l.burst)
	}
	l.senders.Add(sender, limiter, senderKept) // anew, so that its hour begins again
	return limiter
}

// remote names who sends without showing who it is: the address, of IPv6 the network
// of 64 bits, which one sender has whole.
func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "ip:" + r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return "ip:" + host
	}
	if addr = addr.Unmap().WithZone(""); addr.Is6() {
		if network, err := addr.Prefix(64); err == nil {
			return "ip:" + network.String()
		}
	}
	return "ip:" + addr.String()
}
