package emit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/salvor-io/salvor/internal/cli/app"
)

// envURL names the variable that stands for --to.
const envURL = "SALVOR_EVENTS_URL"

// answerLimit bounds how much of an answer is read, in bytes.
const answerLimit = 64 << 10

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

// send posts the event and returns what the bridge answered, if it took it.
func (o *options) send(ctx context.Context, a *app.App, to string, e cloudevents.Event) (string, error) {
	client, err := o.client(a)
	if err != nil {
		return "", err
	}
	if o.structured {
		ctx = binding.WithForceStructured(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	request, err := cehttp.NewHTTPRequestFromEvent(ctx, to, e)
	if err != nil {
		return "", fmt.Errorf("encode the event: %w", err)
	}
	request.Header.Set("User-Agent", "salvor")
	if o.tokenFile != "" {
		token, err := a.ReadSecret(o.tokenFile)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("send the event: %w; whether it arrived is not known, send it again with --id %s", err, e.ID())
	}
	defer func() { _ = response.Body.Close() }() // read to its end or refused
	body, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	if err != nil {
		return "", fmt.Errorf("read the answer to the event (%s): %w", response.Status, err)
	}
	answer := strings.TrimSpace(string(body))
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return "", refused(to, response, answer, e.ID())
	}
	return answer, nil
}

func refused(to string, response *http.Response, answer, id string) error {
	var problem struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(answer), &problem) == nil && problem.Error != "" {
		answer = problem.Error
	}
	if answer == "" {
		answer = "it gave no reason"
	}
	hint := ""
	switch response.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		hint = "; check --token-file"
	case http.StatusNotFound:
		hint = "; check the path of --to"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		hint = "; send it again later with --id " + id
		if after := response.Header.Get("Retry-After"); after != "" {
			hint += " (Retry-After: " + after + ")"
		}
	}
	return fmt.Errorf("%s refused the event with %s: %s%s", to, response.Status, strings.Join(strings.Fields(answer), " "), hint)
}

func (o *options) client(a *app.App) (*http.Client, error) {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the default HTTP transport was replaced")
	}
	transport := base.Clone()
	if o.caFile != "" {
		pem, err := a.ReadFile(o.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca-file: %s holds no certificate in PEM form", o.caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{
		Transport: transport,
		// A redirected POST becomes a GET, and the event would be lost with a 200.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
