package ingress

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// RefusedError is an answer that is not the one asked for.
type RefusedError struct {
	// Code of HTTP.
	Code int
	// Reason is one word, for programs and as the label of the metric.
	Reason string
	// After is what the sender is told to wait; 0 says nothing.
	After time.Duration
	// Err says what is wrong and what to do, in words for the sender.
	Err error
}

// Error is Err in words.
func (r *RefusedError) Error() string { return r.Err.Error() }

// Unwrap returns Err.
func (r *RefusedError) Unwrap() error { return r.Err }

func refuse(code int, reason, format string, args ...any) *RefusedError {
	return &RefusedError{Code: code, Reason: reason, Err: fmt.Errorf(format, args...)}
}

func unauthorized(format string, args ...any) *RefusedError {
	return refuse(http.StatusUnauthorized, reasonUnauthorized, format, args...)
}

// Unavailable refuses because of a fault that may pass.
func Unavailable(err error) *RefusedError {
	return &RefusedError{Code: http.StatusServiceUnavailable, Reason: reasonUnavailable, After: retryAfter, Err: err}
}

// NoNamespace refuses a namespace that is none, or not served.
func NoNamespace(namespace string) *RefusedError {
	return refuse(http.StatusNotFound, reasonNamespace, "%q is not a namespace that this server serves", namespace)
}

// Problem is the body of every refusal.
type Problem struct {
	Error string `json:"error"`
	// Reason is one word, for programs.
	Reason string `json:"reason"`
	// Code of HTTP; only where there is no HTTP.
	Code int `json:"code,omitempty"`
	// Attribute at fault, when it is one.
	Attribute string `json:"attribute,omitempty"`
	// Event is the index in a batch of the event at fault.
	Event *int `json:"event,omitempty"`
}

// Problem is the refusal as the body of an answer.
func (r *RefusedError) Problem() Problem {
	body := Problem{Error: r.Error(), Reason: r.Reason}
	if badEvent, ok := errors.AsType[*BadEventError](r.Err); ok {
		body.Attribute = badEvent.Attribute
		if badEvent.Index >= 0 {
			body.Event = &badEvent.Index
		}
	}
	return body
}

// refuse answers with a problem and counts it.
func (s *Server) refuse(w http.ResponseWriter, r *RefusedError) {
	s.Metrics.Rejected(r.Reason)
	if r.Code == http.StatusUnauthorized {
		anyOf(s.Auth).challenge(w.Header())
	}
	if r.After > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((r.After+time.Second-1)/time.Second)))
	}
	s.Log.Debug().Int("code", r.Code).Str("reason", r.Reason).Err(r.Err).Msg("request refused")
	s.answer(w, r.Code, r.Problem())
}

// refuseErr is refuse for an error that may be a fault of our own, of which the
// sender is told nothing but that.
func (s *Server) refuseErr(w http.ResponseWriter, err error, what string) {
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok {
		s.Log.Error().Err(err).Msg(what)
		refused = Unavailable(fmt.Errorf("%s now; send it again later", what))
	}
	s.refuse(w, refused)
}
