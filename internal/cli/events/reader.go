package events

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/salvor-io/salvor/internal/cli/app"
)

const (
	// headerTimeout bounds the wait for the beginning of an answer.
	headerTimeout = 30 * time.Second
	// silence is after how long without even an empty line a connection counts as
	// broken: the bridge writes one every 15 s.
	silence = time.Minute
	// lineLimit bounds one event, in bytes.
	lineLimit = 4 << 20
	// problemLimit bounds how much of a refusal is read, in bytes.
	problemLimit = 64 << 10
	// remembered is how many ids are kept to tell what was shown already.
	remembered = 4096
)

// reader reads the feed and prints it.
type reader struct {
	options

	app    *app.App
	target *url.URL
	client *http.Client
	// after is the number of the last event, 0 before the first.
	after uint64
	// came counts the events.
	came  int
	seen  map[string]bool
	order []string
}

func (o *options) reader(a *app.App) (*reader, error) {
	target, err := o.target(a)
	if err != nil {
		return nil, err
	}
	client, err := o.client(a)
	if err != nil {
		return nil, err
	}
	return &reader{options: *o, app: a, target: target, client: client, seen: map[string]bool{}}, nil
}

// finalError is a refusal that would come again.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// run reads until everything was read or, with follow, until ctx ends, which is no
// error then.
func (r *reader) run(ctx context.Context) error {
	for failed := 0; ; failed++ {
		before := r.came
		err := r.read(ctx)
		if r.follow && ctx.Err() != nil {
			return nil //nolint:nilerr // that is how following ends
		}
		switch final := (*finalError)(nil); {
		case !r.follow || errors.As(err, &final):
			return err
		case r.came > before || err == nil:
			failed = 0
		}
		pause := min(pauseMin<<min(failed, 10), pauseMax)
		if err == nil {
			err = errors.New("the bridge ended the connection")
		}
		r.app.Warnf("%v; trying again in %s", err, pause)
		timer := r.app.Clock.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C():
		}
	}
}

// read makes one connection and prints what comes.
func (r *reader) read(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.address(), nil)
	if err != nil {
		return &finalError{fmt.Errorf("ask for events: %w", err)}
	}
	request.Header.Set("User-Agent", "salvor")
	if r.tokenFile != "" {
		token, err := r.app.ReadSecret(r.tokenFile) // each time: tokens are rotated
		if err != nil {
			return &finalError{fmt.Errorf("--token-file: %w", err)}
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := r.client.Do(request)
	if err != nil {
		return fmt.Errorf("ask for events: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // read to its end or given up
	if response.StatusCode != http.StatusOK {
		return r.refused(response)
	}
	r.app.Verbosef("connected to %s", r.target)
	r.begin(response.Header.Get("Salvor-Sequence"))
	return r.lines(response.Body, cancel)
}

// address says what is wanted, and what was seen already.
func (r *reader) address() string {
	q := url.Values{}
	for _, typ := range r.types {
		q.Add("type", typ)
	}
	if r.follow {
		q.Set("follow", "true")
	}
	switch {
	case r.after > 0:
		q.Set("after", strconv.FormatUint(r.after, 10))
	case r.since != "":
		q.Set("since", r.since)
	}
	u := *r.target
	u.RawQuery = q.Encode()
	return u.String()
}

// begin notes where the first answer begins that is to show what happens from then
// on: if it breaks before the first event, nothing is missed.
func (r *reader) begin(number string) {
	if r.after > 0 || r.since != "" || !r.follow {
		return
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err == nil && n == 0 {
		r.since = time.Time{}.Format(time.RFC3339) // there was nothing
	}
	r.after = n
}

// lines prints events until the answer ends. cancel ends the connection.
func (r *reader) lines(body io.Reader, cancel func()) error {
	watch := r.app.Clock.NewTimer(silence)
	defer watch.Stop()
	done, watching := make(chan struct{}), make(chan struct{})
	go func() { // ends with the answer
		defer close(watching)
		select {
		case <-done:
		case <-watch.C():
			cancel()
		}
	}()
	defer func() { close(done); <-watching }()
	scanner := bufio.NewScanner(body)
	scanner.Buffer(make([]byte, 0, 64<<10), lineLimit)
	for scanner.Scan() {
		watch.Reset(silence)
		if len(scanner.Bytes()) == 0 {
			continue
		}
		if err := r.line(scanner.Bytes()); err != nil {
			return err
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	return nil
}

func (r *reader) line(line []byte) error {
	var e cloudevents.Event
	if err := json.Unmarshal(line, &e); err != nil {
		return &finalError{fmt.Errorf("%s does not answer with CloudEvents: %w", r.target, err)}
	}
	r.came++
	if number, ok := e.Extensions()["sequence"].(string); ok {
		if n, err := strconv.ParseUint(number, 10, 64); err == nil {
			r.after = n
		}
	}
	if id := e.Source() + "\x1f" + e.ID(); !r.fresh(id) {
		return nil
	}
	if r.output == "json" {
		r.app.Printf("%s\n", line)
		return nil
	}
	r.app.Printf("%s\n", text(&e))
	return nil
}

// fresh reports whether the event was not shown yet, and remembers it.
func (r *reader) fresh(id string) bool {
	if r.seen[id] {
		return false
	}
	r.seen[id] = true
	r.order = append(r.order, id)
	if len(r.order) > remembered {
		delete(r.seen, r.order[0])
		r.order = r.order[1:]
	}
	return true
}

// refused is the error of an answer other than 200.
func (r *reader) refused(response *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(response.Body, problemLimit)) // the status says it too
	answer := strings.TrimSpace(string(body))
	var problem struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &problem) == nil && problem.Error != "" {
		answer = problem.Error
	}
	if answer == "" {
		answer = "it gave no reason"
	}
	err := fmt.Errorf("%s answered %s: %s", r.target, response.Status, clean(answer))
	switch {
	case response.StatusCode == http.StatusUnauthorized:
		return &finalError{fmt.Errorf("%w; check --token-file", err)}
	case response.StatusCode == http.StatusTooManyRequests, response.StatusCode >= http.StatusInternalServerError:
		return err
	}
	return &finalError{err}
}
