package emit

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/pflag"

	"github.com/salvor-io/salvor/internal/cli/app"
)

// access is how a request shows who sends it, and whom it trusts.
type access struct {
	tokenFile, signKeyFile, caFile, certFile, keyFile string
}

func (c *access) bindFlags(fs *pflag.FlagSet) {
	fs.StringVar(&c.tokenFile, "token-file", "", "file with a bearer token to send along; read again for each request")
	fs.StringVar(&c.signKeyFile, "sign-key-file", "", "file with the key to sign requests with (HMAC as in Standard Webhooks); implies --structured")
	fs.StringVar(&c.caFile, "ca-file", "", "file with the certificates to trust, PEM (default: the system's)")
	fs.StringVar(&c.certFile, "cert-file", "", "file with the client certificate to show, PEM; needs --key-file")
	fs.StringVar(&c.keyFile, "key-file", "", "file with the key of --cert-file, PEM")
}

// credentials shows who sends a request. Tokens of service accounts are renewed
// while a command waits, so files are read for each request.
func (c *access) credentials(a *app.App, r *http.Request, body []byte) error {
	r.Header.Set("User-Agent", "salvor")
	if c.tokenFile != "" {
		token, err := a.ReadSecret(c.tokenFile)
		if err != nil {
			return fmt.Errorf("--token-file: %w", err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if c.signKeyFile == "" {
		return nil
	}
	text, err := a.ReadSecret(c.signKeyFile)
	if err != nil {
		return fmt.Errorf("--sign-key-file: %w", err)
	}
	key, err := signingKey(text)
	if err != nil {
		return fmt.Errorf("--sign-key-file: %s: %w", c.signKeyFile, err)
	}
	if r.Method == http.MethodGet { // what is asked, for want of a body
		body = []byte(r.URL.RawQuery)
	}
	sign(r.Header, key, body, a.Clock.Now())
	return nil
}

func (c *access) client(a *app.App) (*http.Client, error) {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the default HTTP transport was replaced")
	}
	transport := base.Clone()
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.caFile != "" {
		pem, err := a.ReadFile(c.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca-file: %s holds no certificate in PEM form", c.caFile)
		}
	}
	if (c.certFile == "") != (c.keyFile == "") {
		return nil, errors.New("--cert-file and --key-file go together; give both or none")
	}
	if c.certFile != "" {
		if err := c.clientCertificate(a, config); err != nil {
			return nil, err
		}
	}
	transport.TLSClientConfig = config
	return &http.Client{
		Transport: transport,
		// A redirected POST becomes a GET, and the event would be lost with a 200.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func (c *access) clientCertificate(a *app.App, config *tls.Config) error {
	load := func() (*tls.Certificate, error) {
		cert, err := a.ReadFile(c.certFile)
		if err != nil {
			return nil, fmt.Errorf("--cert-file: %w", err)
		}
		key, err := a.ReadFile(c.keyFile)
		if err != nil {
			return nil, fmt.Errorf("--key-file: %w", err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("--cert-file, --key-file: %w", err)
		}
		return &pair, nil
	}
	if _, err := load(); err != nil {
		return err
	}
	// Certificates are renewed too.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return nil
}
