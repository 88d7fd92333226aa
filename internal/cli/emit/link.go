package emit

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/salvor-io/salvor/internal/cli/app"
)

// answerLimit bounds how much of an answer is read, in bytes.
const answerLimit = 1 << 20

// link is the way to the bridge.
type link struct {
	app    *app.App
	access *access
	client *http.Client
	// deadline is when the whole command has to end.
	deadline time.Time
}

// answer is what the bridge said.
type answer struct {
	code   int
	status string
	header http.Header
	body   []byte
}

// refusal is the body of an answer that is none of the good ones.
type refusal struct {
	Error  string `json:"error"`
	Reason string `json:"reason"`
}

func (r *answer) refusal() refusal {
	var said refusal
	if json.Unmarshal(r.body, &said) != nil || said.Error == "" {
		said.Error = string(bytes.TrimSpace(r.body))
	}
	if said.Error = strings.Join(strings.Fields(said.Error), " "); said.Error == "" {
		said.Error = "it gave no reason"
	}
	return said
}

// call is one request.
type call struct {
	method, to string
	header     http.Header
	body       []byte
	// limit of the time that it takes.
	limit time.Duration
}

// do sends a request and reads its answer.
func (l *link) do(ctx context.Context, c call) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, c.method, c.to, bytes.NewReader(c.body))
	if err != nil {
		return nil, &finalError{fmt.Errorf("make the request: %w", err)}
	}
	maps.Copy(request.Header, c.header)
	if err := l.access.credentials(l.app, request, c.body); err != nil {
		return nil, &finalError{err}
	}
	response, err := l.client.Do(request)
	if err != nil {
		if hopeless(err) {
			err = &finalError{err}
		}
		return nil, err // the caller says what was to be done
	}
	defer func() { _ = response.Body.Close() }() // read to its end or given up
	text, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	if err != nil {
		return nil, fmt.Errorf("read the answer (%s): %w", response.Status, err)
	}
	return &answer{code: response.StatusCode, status: response.Status, header: response.Header, body: text}, nil
}

// finalError is one that the same request meets again.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// hopeless reports whether a failed request fails again: a name that does not
// exist, a certificate that is refused. That nobody listens or answers may pass.
func hopeless(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		return name.IsNotFound
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return true // the other side refused the handshake
	}
	failed, ok := errors.AsType[*url.Error](err)
	return ok && (errors.Is(failed.Err, http.ErrSchemeMismatch) || strings.Contains(failed.Err.Error(), "unsupported protocol"))
}

// busy reports whether a refusal passes by itself.
func busy(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// Pauses between requests.
const (
	firstPause = 500 * time.Millisecond
	maxPause   = 15 * time.Second
)

// pause is how long to wait before the next of a series of requests that failed.
func pause(attempt int, last *answer) time.Duration {
	wait := min(firstPause<<min(attempt, 10), maxPause)
	if last == nil {
		return wait
	}
	if after, err := strconv.Atoi(last.header.Get("Retry-After")); err == nil && after >= 0 {
		return min(max(wait, time.Duration(after)*time.Second), time.Minute)
	}
	return wait
}

// again says what went wrong and pauses before the next attempt. When there is no
// time for one, the error comes back.
func (l *link) again(ctx context.Context, attempt int, last *answer, err error) error {
	next := pause(attempt, last)
	if ctx.Err() != nil || !l.app.Clock.Now().Add(next).Before(l.deadline) {
		return &outOfTimeError{err}
	}
	_, _ = fmt.Fprintf(l.app.Err, "%v; trying again in %s\n", err, next)
	if !l.sleep(ctx, next) {
		return &outOfTimeError{err}
	}
	return nil
}

// sleep returns false when ctx ended first.
func (l *link) sleep(ctx context.Context, d time.Duration) bool {
	timer := l.app.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return true
	}
}
