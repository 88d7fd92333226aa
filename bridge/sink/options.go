package sink

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Options of all sinks. Start from DefaultOptions.
type Options struct {
	// URLs that lifecycle events are posted to. Default: none.
	URLs []string
	// Overrides is what Knative puts into K_CE_OVERRIDES: extensions that all events
	// get. Default: none.
	Overrides string
	// Attempts after which an event is given up. Default 30, which takes two hours.
	Attempts int
	// MaxAge of an event that is still sent; an older one is given up. EVENTS keeps it
	// for 72 h. Default 24 h.
	MaxAge time.Duration
	// Timeout of one request. Default 10 s.
	Timeout time.Duration
	// CAFile has the authorities that the sinks' certificates are checked against,
	// besides the system's. Default: none.
	CAFile string
	// CA is the same as PEM, from K_CA_CERTS. Default: none.
	CA string
	// Tokens is a directory with bearer tokens. A file has the name of a sink's host, and
	// the sinks of that host are sent what is in it. Default: none is sent.
	Tokens string
}

// DefaultOptions are the documented defaults.
func DefaultOptions() Options {
	return Options{Attempts: 30, MaxAge: 24 * time.Hour, Timeout: 10 * time.Second}
}

// BindFlags adds a flag for each option; its present value is the default.
func (o *Options) BindFlags(fs *pflag.FlagSet) {
	fs.StringArrayVar(&o.URLs, "sink", o.URLs, "URL that the lifecycle events of runs are posted to as CloudEvents; may be repeated (default: $K_SINK)")
	fs.IntVar(&o.Attempts, "sink-attempts", o.Attempts, "attempts after which an event that a sink does not take becomes a dead letter")
	fs.DurationVar(&o.MaxAge, "sink-max-age", o.MaxAge, "age at which an event that a sink does not take becomes a dead letter")
	fs.DurationVar(&o.Timeout, "sink-timeout", o.Timeout, "time limit of one request to a sink")
	fs.StringVar(&o.Tokens, "sink-tokens", o.Tokens, "directory with bearer tokens for sinks: one file for each host that wants one, with its name; changes count at once")
	fs.StringVar(&o.CAFile, "sink-ca-file", o.CAFile, "file with authorities that sinks' certificates may be signed by besides the system's, PEM")
}

// Validate checks the options; the error names the flag or the variable.
func (o *Options) Validate() error {
	var errs []error
	if _, err := o.targets(); err != nil {
		errs = append(errs, err)
	}
	if _, err := parseOverrides(o.Overrides); err != nil {
		errs = append(errs, err)
	}
	if o.Attempts < 1 {
		errs = append(errs, fmt.Errorf("--sink-attempts is %d; set it to 1 or more", o.Attempts))
	}
	if o.MaxAge < time.Second {
		errs = append(errs, fmt.Errorf("--sink-max-age is %s; set it to 1s or more", o.MaxAge))
	}
	if o.Timeout < time.Millisecond {
		errs = append(errs, fmt.Errorf("--sink-timeout is %s; set it to 1s or more", o.Timeout))
	}
	if _, err := o.authorities(); err != nil {
		errs = append(errs, err)
	}
	if o.Tokens != "" {
		errs = append(errs, o.tokensThere())
	}
	return errors.Join(errs...)
}

// target is one endpoint.
type target struct {
	url, host string
	// name for people: the host and a hash, since the rest may be secret.
	name string
	// key is a hash of the address.
	key string
}

func (o *Options) targets() ([]target, error) {
	var targets []target
	for _, text := range o.URLs {
		u, err := url.Parse(text)
		switch {
		case err != nil: // it would repeat the address
			return nil, errors.New("--sink: an address cannot be parsed as a URL")
		case (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
			return nil, errors.New("--sink: an address is not an http or https URL with a host, such as http://broker.events.svc/default")
		case u.User != nil:
			return nil, fmt.Errorf("--sink: the address of %s holds a password; it would be seen in the list of processes", u.Host)
		}
		u.Fragment = ""
		sum := sha256.Sum256([]byte(u.String()))
		key := hex.EncodeToString(sum[:5])
		t := target{url: u.String(), host: u.Hostname(), name: u.Hostname() + "-" + key[:6], key: key}
		if !slices.Contains(targets, t) {
			targets = append(targets, t)
		}
	}
	return targets, nil
}

// parseOverrides reads K_CE_OVERRIDES: {"extensions":{"name":"value"}}.
func parseOverrides(text string) (map[string]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var overrides struct {
		Extensions map[string]string `json:"extensions"`
	}
	if err := json.Unmarshal([]byte(text), &overrides); err != nil {
		return nil, fmt.Errorf(`K_CE_OVERRIDES is not {"extensions":{"name":"value"}}: %w`, err)
	}
	attributes := []string{"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data"}
	for name := range overrides.Extensions {
		wrong := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }
		if name == "" || strings.ContainsFunc(name, wrong) || slices.Contains(attributes, name) {
			return nil, fmt.Errorf("K_CE_OVERRIDES: %q cannot be the name of an extension; names are lower-case letters and digits", name)
		}
	}
	return overrides.Extensions, nil
}

// authorities are nil for the system's alone.
func (o *Options) authorities() (*x509.CertPool, error) {
	if o.CAFile == "" && o.CA == "" {
		return nil, nil //nolint:nilnil // the system's are what a nil pool means
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if o.CA != "" && !pool.AppendCertsFromPEM([]byte(o.CA)) {
		return nil, errors.New("K_CA_CERTS holds no certificate in PEM form")
	}
	if o.CAFile == "" {
		return pool, nil
	}
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("--sink-ca-file: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--sink-ca-file: %s holds no certificate in PEM form", o.CAFile)
	}
	return pool, nil
}
