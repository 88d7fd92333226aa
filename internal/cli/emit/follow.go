package emit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/cli/app"
)

const (
	// longPoll is how long the bridge is asked to hold back an answer that would say
	// nothing new.
	longPoll = 20 * time.Second
	// politeness is the least time between two requests of which the first brought
	// nothing new, for a bridge that does not hold answers back.
	politeness = time.Second
)

// follower waits for what became of one event.
type follower struct {
	link       *link
	to         string
	source, id string
	started    time.Time

	etag     string
	progress progress
	last     *event.Outcome
}

// follow returns nil when all that the event caused is complete, else an error with
// the exit code.
func (f *follower) follow(ctx context.Context) error {
	where, err := f.address()
	if err != nil {
		return err
	}
	for attempt := 0; ; {
		asked := f.link.app.Clock.Now()
		got, err := f.ask(ctx, where)
		if err != nil {
			if _, final := errors.AsType[*finalError](err); final {
				return fmt.Errorf("ask what became of event %s: %w; it was accepted, and what it starts goes on", f.id, err)
			}
			if err := f.link.again(ctx, attempt, got, f.waiting(err)); err != nil {
				return err
			}
			attempt++
			continue
		}
		attempt = 0
		fresh := got.code == http.StatusOK && got.header.Get("ETag") != "" && got.header.Get("ETag") != f.etag
		if got.code == http.StatusOK {
			if done, err := f.look(got); done || err != nil {
				return err
			}
		}
		rest := politeness - f.link.app.Clock.Since(asked)
		if !fresh && rest > 0 && !f.link.sleep(ctx, rest) {
			return &outOfTimeError{f.waiting(nil)}
		}
	}
}

// address of the outcome: below that of the events.
func (f *follower) address() (string, error) {
	u, err := url.Parse(f.to)
	if err != nil {
		return "", fmt.Errorf("--to: %w", err)
	}
	u = u.JoinPath("outcome")
	query := u.Query()
	query.Set("source", f.source)
	query.Set("id", f.id)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// ask returns an answer that says something (200) or that there is nothing new. An
// error that is not final passes by itself.
func (f *follower) ask(ctx context.Context, where string) (*answer, error) {
	hold := longPoll
	if left := f.link.deadline.Sub(f.link.app.Clock.Now()); left < hold {
		hold = max(left.Truncate(time.Second), 0)
	}
	header := http.Header{"Accept": {"application/json"}}
	if hold > 0 {
		header.Set("Prefer", "wait="+strconv.Itoa(int(hold.Seconds())))
	}
	if f.etag != "" {
		header.Set("If-None-Match", f.etag)
	}
	got, err := f.link.do(ctx, call{method: http.MethodGet, to: where, header: header, limit: hold + attemptTimeout})
	if err != nil {
		return nil, err // the caller says of what
	}
	switch {
	case got.code == http.StatusOK, got.code == http.StatusNotModified:
		return got, nil
	case got.code == http.StatusNotFound && undecided(got.refusal().Reason):
		return got, nil
	case busy(got.code):
		return got, fmt.Errorf("%s: %s", got.status, got.refusal().Error)
	}
	return nil, &finalError{fmt.Errorf("%s: %s", got.status, got.refusal().Error)}
}

// undecided tells a 404 that means "not yet" from one that means the address.
func undecided(reason string) bool {
	switch reason {
	case "", "path", "namespace", "method":
		return false
	}
	return true
}

// waiting says what is waited for; err is why it is not known.
func (f *follower) waiting(err error) error {
	text := "the bridge had not decided yet what event " + f.id + " starts"
	if f.last != nil {
		text = f.progress.open(f.last)
	}
	if err == nil {
		return errors.New(text)
	}
	return fmt.Errorf("%s: %w", text, err)
}

// look prints what is new. It returns true when all is over, with the verdict.
func (f *follower) look(got *answer) (bool, error) {
	var outcome event.Outcome
	if err := json.Unmarshal(got.body, &outcome); err != nil {
		return true, fmt.Errorf("the bridge's answer is no outcome of an event: %w", err)
	}
	f.etag, f.last = got.header.Get("ETag"), &outcome
	elapsed := f.link.app.Clock.Since(f.started)
	for _, line := range f.progress.lines(&outcome) {
		_, _ = fmt.Fprintf(f.link.app.Err, "%02d:%02d  %s\n", int(elapsed.Minutes()), int(elapsed.Seconds())%60, line)
	}
	if !outcome.Done {
		return false, nil
	}
	return true, verdict(&outcome)
}

// unmatchedError: the event caused nothing.
type unmatchedError struct{ id string }

func (e *unmatchedError) Error() string {
	return "no ActionTrigger matches event " + e.id + "; nothing was started (one that is suspended or invalid does not count)"
}

// verdict is what an outcome that is done means.
func verdict(o *event.Outcome) error {
	if len(o.Runs) == 0 {
		return app.WithCode(app.ExitNotFound, &unmatchedError{o.ID})
	}
	var bad []error
	for i := range o.Runs {
		if run := &o.Runs[i]; !good(run) {
			bad = append(bad, errors.New(describe(run)))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return app.WithCode(app.ExitFailed, fmt.Errorf("%d of %d did not end well: %w", len(bad), len(o.Runs), errors.Join(bad...)))
}

func good(run *event.OutcomeRun) bool {
	return run.Result == event.ResultStarted && run.State == string(kanister.StateComplete)
}
