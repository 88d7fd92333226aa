package sink

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/stream"
)

// answerLimit is how much of an answer is read, so that the connection can be used
// again.
const answerLimit = 64 << 10

// deliver reports true once the event was delivered or is a dead letter, and false
// when ctx ended first.
func (s *sink) deliver(ctx context.Context, d *delivery) bool {
	for attempt := 1; ; attempt++ {
		if !s.turn(ctx) {
			return false
		}
		v := s.attempt(ctx, d)
		<-s.slots
		if ctx.Err() != nil && v.result != resultDelivered {
			return false
		}
		age := s.Clock.Since(d.stored)
		switch {
		case v.result == resultAgain && attempt >= s.Options.Attempts:
			v.result, v.reason = resultDead, fmt.Sprintf("%s; that was attempt %d, the last (--sink-attempts)", v.reason, attempt)
		case v.result == resultAgain && age >= s.Options.MaxAge:
			v.result, v.reason = resultDead, fmt.Sprintf("%s; it is %s old (--sink-max-age)", v.reason, age.Round(time.Second))
		}
		s.Metrics.attempt(s.target.name, v.result)
		s.tell(d, v)
		switch v.result {
		case resultDelivered:
			return true
		case resultDead:
			return s.bury(ctx, d, v.reason)
		case resultAgain:
		}
		s.hold(v.wait)
		if !s.sleep(ctx, backoff(d.event.ID(), attempt)) {
			return false
		}
	}
}

// turn waits until a request may be made. It reports false when ctx ended first.
func (s *sink) turn(ctx context.Context) bool {
	for {
		s.mu.Lock()
		wait := s.notBefore.Sub(s.Clock.Now())
		s.mu.Unlock()
		if wait <= 0 {
			break
		}
		if !s.sleep(ctx, wait) {
			return false
		}
	}
	select {
	case <-ctx.Done():
		return false
	case s.slots <- struct{}{}:
		return true
	}
}

// hold leaves the whole sink alone for a while.
func (s *sink) hold(wait time.Duration) {
	if wait <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if until := s.Clock.Now().Add(wait); until.After(s.notBefore) {
		s.notBefore = until
	}
}

// attempt makes one request.
func (s *sink) attempt(ctx context.Context, d *delivery) verdict {
	ctx, cancel := context.WithTimeout(ctx, s.Options.Timeout)
	defer cancel()
	request, err := cehttp.NewHTTPRequestFromEvent(ctx, s.target.url, d.event)
	if err != nil {
		return verdict{result: resultDead, reason: "it cannot be written as a request: " + err.Error()}
	}
	for name, values := range request.Header {
		for i := range values {
			if strings.HasPrefix(name, "Ce-") { // the SDK leaves that to its caller
				values[i] = stream.Escape(values[i])
			}
		}
	}
	request.Header.Set("User-Agent", "salvor")
	token, err := s.Options.token(s.target.host)
	if err != nil {
		return verdict{result: resultAgain, reason: err.Error()}
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	began := s.Clock.Now()
	response, err := s.client.Do(request)
	if err != nil {
		return unanswered(err)
	}
	defer func() { _ = response.Body.Close() }()                           // read to its end or given up
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, answerLimit)) // the status said all
	s.Metrics.took(s.target.name, s.Clock.Since(began).Seconds())
	if token != "" && response.StatusCode == http.StatusUnauthorized {
		return verdict{result: resultAgain, reason: "it answered 401 Unauthorized; put a token that it takes into --sink-tokens"}
	}
	return judge(response.StatusCode, response.Header, s.Clock.Now())
}

// tell logs the first failure of a row, its end, and each dead letter.
func (s *sink) tell(d *delivery, v verdict) {
	s.mu.Lock()
	before := s.troubled
	s.troubled = v.result == resultAgain
	s.mu.Unlock()
	log := s.log.With().Str("event", d.event.ID()).Str("type", d.event.Type()).Logger()
	switch v.result {
	case resultDead:
		log.Error().Str("reason", v.reason).Msg("the sink does not take an event; it becomes a dead letter")
	case resultAgain:
		if before {
			log.Debug().Str("reason", v.reason).Msg("the sink did not take an event; it will be tried again")
			return
		}
		log.Warn().Str("reason", v.reason).Msg("the sink did not take an event; it will be tried again")
	case resultDelivered:
		if before {
			log.Info().Msg("the sink takes events again")
		}
	}
}

// bury puts the event on DLQ, however often that has to be tried: only then may it
// be forgotten.
func (s *sink) bury(ctx context.Context, d *delivery, reason string) bool {
	content, err := json.Marshal(d.event)
	if err != nil {
		content = d.event.Data()
	}
	var l event.Lifecycle
	_ = d.event.DataAs(&l) // what it is about is then in the message
	letter := &event.DeadLetter{
		Key: event.Key{Namespace: l.Namespace, UID: l.UID}, ActionSet: l.ActionSet, At: s.Clock.Now(),
		Reason: "sink " + s.target.name + " does not take this event: " + reason, Sink: s.target.name,
		Subject: event.EventSubject(l.Namespace, d.event.Type()), Message: content,
	}
	for n := 1; ; n++ {
		err := s.Letters.Publish(ctx, letter)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		s.log.Warn().Err(err).Msg("a dead letter could not be stored; it will be tried again")
		if !s.sleep(ctx, backoff(d.event.ID(), n)) {
			return false
		}
	}
}
