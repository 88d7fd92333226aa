package sink

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// verdict is what one attempt means for the event.
type verdict struct {
	result result
	// wait is what the sink asks for before the next request, 0 if nothing.
	wait time.Duration
	// reason in words, without the sink's address.
	reason string
}

type result string

const (
	resultDelivered result = "delivered"
	resultAgain     result = "retried"
	resultDead      result = "dead"
)

const (
	backoffMin = time.Second
	backoffMax = 5 * time.Minute
	// waitMax bounds what a sink may ask for.
	waitMax = time.Hour
)

// judge is pure.
func judge(status int, header http.Header, now time.Time) verdict {
	said := fmt.Sprintf("it answered %d %s", status, http.StatusText(status))
	switch {
	case status >= 200 && status < 300:
		return verdict{result: resultDelivered}
	case status >= 300 && status < 400:
		return verdict{result: resultDead, reason: strings.TrimSpace(said) + "; redirects are not followed, give the address that it names as --sink"}
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return verdict{result: resultAgain, reason: said, wait: retryAfter(header.Get("Retry-After"), now)}
	case status >= 400:
		return verdict{result: resultDead, reason: said + ", which it would answer again"}
	}
	return verdict{result: resultAgain, reason: said}
}

// unanswered is the verdict on a request without an answer.
func unanswered(err error) verdict {
	// The outer error repeats the address.
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	return verdict{result: resultAgain, reason: "no answer: " + err.Error()}
}

// retryAfter reads the header: seconds or a date.
func retryAfter(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return bounded(time.Duration(seconds) * time.Second)
	}
	if at, err := http.ParseTime(text); err == nil {
		return bounded(at.Sub(now))
	}
	return 0
}

func bounded(d time.Duration) time.Duration { return min(max(d, 0), waitMax) }

// backoff is the pause after attempt n, counted from 1: doubled from 1 s to 5 min,
// less up to a quarter of it, so that events that failed together do not come again
// together.
func backoff(id string, n int) time.Duration {
	pause := backoffMin
	for range min(n, 20) - 1 {
		pause *= 2
	}
	pause = min(pause, backoffMax)
	h := fnv.New32a()
	_, _ = h.Write([]byte(id + strconv.Itoa(n))) // never fails
	return pause - pause/4*time.Duration(h.Sum32()%1000)/1000
}
