package ingress

import (
	"errors"
	"fmt"
	"math"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
)

// Options of the endpoint. Start from DefaultOptions.
type Options struct {
	// TokenFile holds the bearer tokens that senders of events may show, one per
	// line; changes count at once.
	TokenFile string
	// TokenAudience lets in whose bearer token the API server takes for this audience.
	TokenAudience string
	// HMACKeys is a directory with the keys of senders that sign their requests.
	HMACKeys string
	// TLSCert and TLSKey are the files of the certificate to serve with; without them
	// the endpoint speaks plain HTTP. Changed files are read again.
	TLSCert, TLSKey string
	// TLSClientCA is a file with the authorities whose certificates let a sender in.
	TLSClientCA string
	// Rate is how many events one sender may send a second; 0 is no limit. Default 500.
	Rate float64
	// Burst is how many of them may come at once. Default 2000.
	Burst int
	// WebhookOrigins may deliver here, as the handshake of webhooks has it; * is any.
	// Default *.
	WebhookOrigins []string
}

// DefaultOptions are the documented defaults.
func DefaultOptions() Options {
	return Options{Rate: 500, Burst: 2000, WebhookOrigins: []string{"*"}}
}

// BindFlags adds a flag for each option; its present value is the default.
func (o *Options) BindFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.TokenFile, "ingress-token-file", o.TokenFile, "file with the bearer tokens that senders of CloudEvents may show, one per line")
	fs.StringVar(&o.TokenAudience, "ingress-token-audience", o.TokenAudience, "let in senders whose bearer token the API server takes for this audience (TokenReview)")
	fs.StringVar(&o.HMACKeys, "ingress-hmac-keys", o.HMACKeys, "directory with one file for each sender that signs its requests by Standard Webhooks; its name is the sender's, its lines are keys (whsec_...)")
	fs.StringVar(&o.TLSCert, "ingress-tls-cert", o.TLSCert, "certificate of the HTTP endpoint, PEM; empty speaks plain HTTP")
	fs.StringVar(&o.TLSKey, "ingress-tls-key", o.TLSKey, "key of --ingress-tls-cert, PEM")
	fs.StringVar(&o.TLSClientCA, "ingress-tls-client-ca", o.TLSClientCA, "authorities whose client certificates let a sender in, PEM")
	fs.Float64Var(&o.Rate, "ingress-rate", o.Rate, "events that one sender may send a second; 0 is no limit")
	fs.IntVar(&o.Burst, "ingress-burst", o.Burst, "events that one sender may send at once")
	fs.StringSliceVar(&o.WebhookOrigins, "ingress-webhook-origins", o.WebhookOrigins, "origins that the webhook handshake (OPTIONS) allows, separated by commas; * is any")
}

// Validate checks the options; the error names the flag.
func (o *Options) Validate() error {
	var errs []error
	if (o.TLSCert == "") != (o.TLSKey == "") {
		errs = append(errs, errors.New("--ingress-tls-cert and --ingress-tls-key belong together; give both or none"))
	}
	if o.TLSClientCA != "" && o.TLSCert == "" {
		errs = append(errs, errors.New("--ingress-tls-client-ca needs --ingress-tls-cert and --ingress-tls-key: a client certificate is shown in TLS only"))
	}
	if !(o.Rate >= 0) || math.IsInf(o.Rate, 0) { // it may be no number at all
		errs = append(errs, fmt.Errorf("--ingress-rate: %g is not a number from 0 up; 0 is no limit", o.Rate))
	}
	if o.Rate > 0 && o.Burst < 1 {
		errs = append(errs, fmt.Errorf("--ingress-burst: %d is not positive", o.Burst))
	}
	return errors.Join(errs...)
}

// AuthDeps are what authenticators work with.
type AuthDeps struct {
	Kube    kubernetes.Interface
	Replays Replays
	Clock   clock.PassiveClock
	Log     zerolog.Logger
}

// Authenticators are those that the options ask for, in the order in which they are
// asked: the cheapest first.
func Authenticators(o Options, d AuthDeps) ([]Authenticator, error) {
	var (
		out  []Authenticator
		errs []error
	)
	add := func(a Authenticator, err error) {
		out, errs = append(out, a), append(errs, err)
	}
	if o.TokenFile != "" {
		add(NewTokenFile(o.TokenFile))
	}
	if o.TLSClientCA != "" {
		add(NewClientCert(o.TLSClientCA, d.Clock, d.Log))
	}
	if o.TokenAudience != "" {
		add(NewTokenReview(d.Kube, o.TokenAudience, d.Clock), nil)
	}
	if o.HMACKeys != "" {
		add(NewHMAC(o.HMACKeys, d.Replays, d.Clock, d.Log))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return out, nil
}
