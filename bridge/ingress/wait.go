package ingress

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/salvor-io/salvor/api/event"
)

const (
	// longestWait bounds what Prefer: wait asks for.
	longestWait = time.Minute
	// The pauses between two looks at what becomes of an event: short at first, since
	// most are decided in a moment.
	pauseMin, pauseMax = 100 * time.Millisecond, time.Second
	// mostWaited bounds the events of a request that can be waited for.
	mostWaited = 100
)

// preferredWait is how long a sender is willing to wait (RFC 7240); 0 is not at all.
// What cannot be read is no preference.
func preferredWait(h http.Header) time.Duration {
	for preference := range strings.SplitSeq(strings.Join(h.Values("Prefer"), ","), ",") {
		preference, _, _ = strings.Cut(preference, ";")
		name, value, _ := strings.Cut(preference, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
		if err != nil {
			return 0
		}
		return min(time.Duration(seconds)*time.Second, longestWait)
	}
	return 0
}

// poll calls look until it says that it is done, wait is over, or ctx ends.
func (s *Server) poll(ctx context.Context, wait time.Duration, look func(context.Context) (done bool, err error)) error {
	if wait > 0 {
		if !s.waiters.TryAcquire(1) {
			wait = 0 // as if it had not been asked
		} else {
			defer s.waiters.Release(1)
			s.Metrics.waits(1)
			defer s.Metrics.waits(-1)
		}
	}
	over, pause := s.Clock.Now().Add(wait), pauseMin
	for {
		done, err := look(ctx)
		left := over.Sub(s.Clock.Now())
		if done || err != nil || left <= 0 {
			return err
		}
		timer := s.Clock.NewTimer(min(pause, left))
		select {
		case <-ctx.Done(): // the sender went away, or the server ends
			timer.Stop()
			return nil
		case <-timer.C():
		}
		pause = min(pause*2, pauseMax)
	}
}

// answerOutcomes waits until all events are decided and answers with what became of
// them. It returns false, and answers nothing, if they are not in time, or if it
// cannot be known: the events are stored all the same.
func (s *Server) answerOutcomes(w http.ResponseWriter, r *http.Request, q received) bool {
	if s.Outcomes == nil || len(q.events) > mostWaited {
		return false
	}
	s.extend(w, q.wait+writeTimeout)
	outcomes := make([]event.Outcome, 0, len(q.events))
	err := s.poll(r.Context(), q.wait, func(ctx context.Context) (bool, error) {
		for len(outcomes) < len(q.events) {
			e := &q.events[len(outcomes)]
			found, err := s.look(ctx, asked{namespace: q.namespace, source: e.Source(), id: e.ID(), sender: q.sender})
			if errors.Is(err, errUndecided) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			outcomes = append(outcomes, *found)
		}
		return true, nil
	})
	if err != nil {
		s.Log.Warn().Err(err).Msg("a sender cannot be told what became of its events; they are stored")
	}
	if err != nil || len(outcomes) < len(q.events) {
		return false
	}
	w.Header().Set("Preference-Applied", "wait")
	s.answer(w, http.StatusOK, outcomes)
	return true
}

// outcome answers what became of an event.
func (s *Server) outcome(w http.ResponseWriter, r *http.Request) {
	if !isMethod(r, http.MethodGet, http.MethodHead) {
		w.Header().Set("Allow", http.MethodGet)
		s.refuse(w, refuse(http.StatusMethodNotAllowed, reasonMethod, "%s is not allowed here; GET it", r.Method))
		return
	}
	body, done := s.body(w, r)
	grant, err := s.enter(r.Context(), Credentials{Request: r, Body: body})
	done() // it is good for nothing else
	if err != nil {
		s.refuseErr(w, err, whatAuth)
		return
	}
	a := asked{source: normalSource(r.URL.Query().Get("source")), id: r.URL.Query().Get("id"), sender: grant.Sender}
	if a.namespace, err = s.namespace(r); err == nil {
		err = s.answerOutcome(w, r, a)
	}
	if err != nil {
		s.refuseErr(w, err, "what became of the event cannot be said")
	}
}

func (s *Server) answerOutcome(w http.ResponseWriter, r *http.Request, a asked) error {
	switch {
	case s.Outcomes == nil:
		return refuse(http.StatusNotFound, reasonPath, "this server does not know what becomes of events")
	case a.source == "" || a.id == "":
		return refuse(http.StatusBadRequest, reasonMalformed, "name the event: ?source=<its source>&id=<its id>, each percent-encoded")
	}
	wait := preferredWait(r.Header)
	if wait > 0 {
		s.extend(w, wait+writeTimeout)
		w.Header().Set("Preference-Applied", "wait")
	}
	known := r.Header.Get("If-None-Match")
	var found *event.Outcome
	err := s.poll(r.Context(), wait, func(ctx context.Context) (bool, error) {
		now, err := s.look(ctx, a)
		if errors.Is(err, errUndecided) {
			return false, nil
		}
		found = now
		// One that is done does not change, so there is nothing to wait for.
		return err == nil && (now.Done || !matches(known, tag(now))), err
	})
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-cache")
	switch {
	case found == nil:
		refused := refuse(http.StatusNotFound, reasonUndecided, "nothing is known of event %q of source %q: it was not looked at yet, or not sent here (to this namespace), or more than a day ago", a.id, a.source)
		refused.After = time.Second
		return refused
	case matches(known, tag(found)):
		w.Header().Set("ETag", tag(found))
		w.WriteHeader(http.StatusNotModified)
	default:
		w.Header().Set("ETag", tag(found))
		s.answer(w, http.StatusOK, found)
	}
	return nil
}

// matches is If-None-Match: a list of tags, perhaps weak ones, or any.
func matches(known, tag string) bool {
	for one := range strings.SplitSeq(known, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == tag || one == "*" {
			return true
		}
	}
	return false
}
