package events

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/salvor-io/salvor/internal/cli/app"
)

// target is the address of the feed. --to may be what emit is given.
func (o *options) target(a *app.App) (*url.URL, error) {
	to := o.to
	if to == "" {
		to = a.Getenv(envURL)
	}
	if to == "" {
		return nil, fmt.Errorf("where from? set --to or %s to the bridge's address, for example http://salvor.salvor.svc:8080", envURL)
	}
	u, err := url.Parse(to)
	if err != nil {
		return nil, fmt.Errorf("--to: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("--to: %q is not an http or https URL", to)
	}
	if u.User != nil {
		return nil, errors.New("--to: put no password into the URL, it would be printed; use --token-file")
	}
	if before, after, found := cutLast(u.Path, "/events"); found && (after == "" || after[0] == '/') {
		u.Path = before
	}
	u = u.JoinPath("lifecycle")
	if !o.all {
		namespace, err := a.Kube.CurrentNamespace()
		if err != nil {
			return nil, err // it says all
		}
		u = u.JoinPath(namespace)
	}
	u.RawQuery, u.Fragment = "", ""
	return u, nil
}

func cutLast(text, sep string) (before, after string, found bool) {
	i := strings.LastIndex(text, sep)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(sep):], true
}

func (o *options) client(a *app.App) (*http.Client, error) {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the default HTTP transport was replaced")
	}
	transport := base.Clone()
	transport.ResponseHeaderTimeout = headerTimeout
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
		// A token goes nowhere but where it was meant for.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
