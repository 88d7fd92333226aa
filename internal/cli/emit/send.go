package emit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/salvor-io/salvor/internal/cli/app"
)

// envURL names the variable that stands for --to.
const envURL = "SALVOR_EVENTS_URL"

// attemptTimeout bounds one attempt to send, so that a server that does not answer
// costs an attempt and not the whole time.
const attemptTimeout = 30 * time.Second

// outOfTimeError is the last error before the time, --timeout, was over.
type outOfTimeError struct{ err error }

func (e *outOfTimeError) Error() string { return e.err.Error() }
func (e *outOfTimeError) Unwrap() error { return e.err }

// run is the command.
func (o *options) run(ctx context.Context, a *app.App) error {
	to, err := o.target(a)
	if err != nil {
		return err
	}
	e, err := o.build(a)
	if err != nil {
		return err
	}
	client, err := o.client(a)
	if err != nil {
		return err
	}
	timeout := o.timeout
	switch {
	case timeout < 0:
		return fmt.Errorf("--timeout: %s is less than nothing", timeout)
	case timeout == 0 && o.wait:
		timeout = waitTimeout
	case timeout == 0:
		timeout = sendTimeout
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	l := &link{app: a, access: &o.access, client: client, deadline: a.Clock.Now().Add(timeout)}
	a.Verbosef("sending event %s of type %s to %s", e.ID(), e.Type(), to)
	said, err := o.send(limited, l, to, e)
	if err != nil {
		return o.ended(ctx, limited, timeout, err)
	}
	a.Printf("event %s accepted\n", e.ID())
	if said != "" {
		a.Printf("%s\n", said)
	}
	if !o.wait {
		return nil
	}
	f := &follower{link: l, to: to, source: e.Source(), id: e.ID(), started: a.Clock.Now()}
	err = f.follow(limited)
	if _, none := errors.AsType[*unmatchedError](err); none && o.allowUnmatched {
		a.Warnf("%v", err)
		return nil
	}
	return o.ended(ctx, limited, timeout, err)
}

// ended gives an error the words and the exit code of a wait that was cut short, if
// it was.
func (o *options) ended(outer, limited context.Context, timeout time.Duration, err error) error {
	if err == nil {
		return nil
	}
	_, late := errors.AsType[*outOfTimeError](err)
	switch {
	case outer.Err() != nil:
		return fmt.Errorf("interrupted; what was started goes on: %w", err)
	case o.wait && (late || limited.Err() != nil):
		return app.WithCode(app.ExitTimeout, fmt.Errorf("not ended within %s (--timeout): %w", timeout, err))
	}
	return err
}

// target is where the event goes: --to, and below it the namespace.
func (o *options) target(a *app.App) (string, error) {
	to := o.to
	if to == "" {
		to = a.Getenv(envURL)
	}
	if to == "" {
		return "", fmt.Errorf("where to? set --to or %s to the bridge's address, for example http://salvor.salvor.svc:8080/events", envURL)
	}
	u, err := url.Parse(to)
	if err != nil {
		return "", fmt.Errorf("--to: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", fmt.Errorf("--to: %q is not an http or https URL", to)
	}
	if u.User != nil {
		return "", errors.New("--to: put no password into the URL, it would be printed; use --token-file")
	}
	if o.namespace != "" {
		u = u.JoinPath(o.namespace)
	}
	return u.String(), nil
}

// send posts the event until the bridge takes or refuses it, and returns what it
// answered. A repetition has the same id, so it counts once.
func (o *options) send(ctx context.Context, l *link, to string, e cloudevents.Event) (string, error) {
	header, body, err := o.encode(ctx, to, e)
	if err != nil {
		return "", err
	}
	for attempt := 0; ; attempt++ {
		got, err := l.do(ctx, call{method: http.MethodPost, to: to, header: header, body: body, limit: attemptTimeout})
		if err == nil && got.code >= 200 && got.code <= 299 {
			return strings.TrimSpace(string(got.body)), nil
		}
		if err == nil {
			err = refused(to, got, e.ID())
			if !busy(got.code) {
				return "", err
			}
		} else if _, final := errors.AsType[*finalError](err); final {
			return "", fmt.Errorf("send the event: %w", err)
		} else {
			err = fmt.Errorf("send the event: %w; whether it arrived is not known, send it again with --id %s", err, e.ID())
		}
		if err := l.again(ctx, attempt, got, err); err != nil {
			return "", err
		}
	}
}

// encode makes the request of the event: the same for every attempt.
func (o *options) encode(ctx context.Context, to string, e cloudevents.Event) (http.Header, []byte, error) {
	if o.structured || o.signKeyFile != "" { // a signature covers the body, not the headers
		ctx = binding.WithForceStructured(ctx)
	}
	request, err := cehttp.NewHTTPRequestFromEvent(ctx, to, e)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the event: %w", err)
	}
	if request.Body == nil {
		return request.Header, nil, nil
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the event: %w", err)
	}
	return request.Header, body, nil
}

func refused(to string, got *answer, id string) error {
	hint := ""
	switch got.code {
	case http.StatusUnauthorized, http.StatusForbidden:
		hint = "; check --token-file, --sign-key-file or --cert-file"
	case http.StatusNotFound:
		hint = "; check the path of --to"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		hint = "; send it again later with --id " + id
		if after := got.header.Get("Retry-After"); after != "" {
			hint += " (Retry-After: " + after + ")"
		}
	}
	return fmt.Errorf("%s refused the event with %s: %s%s", to, got.status, got.refusal().Error, hint)
}
