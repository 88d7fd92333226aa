package ingress

import (
	"context"
	"net/http"

	"github.com/salvor-io/salvor/bridge/access"
)

// guard authenticates who asks an extra handler.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, done := s.body(w, r)
		grant, err := s.enter(r.Context(), Credentials{Request: r, Body: body})
		done() // it is good for nothing else
		if err != nil {
			s.refuseErr(w, err, whatAuth)
			return
		}
		// The server's limits are for short requests.
		s.extend(w, 0)
		// BaseContext ends with the server; so does this request.
		answer := &observed{ResponseWriter: w}
		next.ServeHTTP(answer, r.WithContext(access.WithSender(r.Context(), grant.Sender)))
		if reason := answer.reason(); reason != "" {
			s.Metrics.Rejected(reason)
		}
	})
}

// observed sees the code of an answer, so that refusals of extra handlers are
// counted too.
type observed struct {
	http.ResponseWriter

	code int
}

// WriteHeader notes the code.
func (o *observed) WriteHeader(code int) {
	if o.code == 0 {
		o.code = code
	}
	o.ResponseWriter.WriteHeader(code)
}

// Flush sends what was written.
func (o *observed) Flush() { _ = http.NewResponseController(o.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }

func (o *observed) reason() string {
	switch {
	case o.code == http.StatusForbidden:
		return reasonForbidden
	case o.code == http.StatusNotFound:
		return reasonNamespace
	case o.code == http.StatusMethodNotAllowed:
		return reasonMethod
	case o.code == http.StatusTooManyRequests:
		return reasonRate
	case o.code == http.StatusServiceUnavailable:
		return reasonUnavailable
	case o.code >= http.StatusBadRequest:
		return reasonMalformed
	}
	return ""
}

// detach is the context of work that goes on when the sender goes away or the
// server ends: an event that is being stored is stored.
func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
}
