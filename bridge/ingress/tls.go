package ingress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
)

// senderX509 is the prefix of the name and the groups of a sender with a
// certificate. Without it whoever signs for the event endpoint could name itself
// after any user or group of the cluster, system:masters for one.
const senderX509 = "salvor:x509:"

// watched is a value made from files, made again when they change.
type watched[T any] struct {
	paths []string
	make  func() (T, error)
	log   zerolog.Logger

	mu    sync.Mutex
	stamp string
	value T
}

// get returns the present value. If the files changed and are no good now, the
// value before is kept and the log says so.
func (w *watched[T]) get() (T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	stamp := w.look()
	if stamp == w.stamp {
		return w.value, nil
	}
	value, err := w.make()
	if err != nil {
		if w.stamp == "" {
			return value, err
		}
		w.log.Error().Err(err).Msg("certificates changed and cannot be used; those before are used on")
		return w.value, nil
	}
	if w.stamp != "" {
		w.log.Info().Strs("files", w.paths).Msg("certificates changed and are used from now on")
	}
	w.stamp, w.value = stamp, value
	return value, nil
}

// look tells one state of the files from another.
func (w *watched[T]) look() string {
	var stamp strings.Builder
	for _, path := range w.paths {
		if info, err := os.Stat(path); err == nil { //nolint:gosec // the path is the operator's own option
			_, _ = fmt.Fprint(&stamp, info.ModTime().UnixNano(), info.Size()) // never fails
		}
		_ = stamp.WriteByte('/') // never fails
	}
	return stamp.String()
}

// serverTLS returns the configuration of a listener whose certificate is read again
// when its files change.
func serverTLS(certFile, keyFile string, log zerolog.Logger) (*tls.Config, error) {
	certificate := &watched[*tls.Certificate]{
		paths: []string{certFile, keyFile}, log: log,
		make: func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(certFile, keyFile)
			if err != nil {
				return nil, fmt.Errorf("read the certificate of the event endpoint (--ingress-tls-cert, --ingress-tls-key): %w", err)
			}
			return &pair, nil
		},
	}
	if _, err := certificate.get(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate.get() },
		// A certificate is verified with the request, which can be answered with a
		// reason; a handshake cannot. The sender has proved by then that it has the key.
		ClientAuth: tls.RequestClientCert,
	}, nil
}

// ClientCert lets in whose certificate one of the authorities in a file signed. The
// common name is the user, the organizations are the groups, as Kubernetes has it,
// each behind senderX509.
type ClientCert struct {
	clock clock.PassiveClock
	pool  *watched[*x509.CertPool]
}

// NewClientCert returns the authenticator, or an error when the file holds no
// certificate.
func NewClientCert(caFile string, c clock.PassiveClock, log zerolog.Logger) (*ClientCert, error) {
	a := &ClientCert{clock: c, pool: &watched[*x509.CertPool]{
		paths: []string{caFile}, log: log,
		make: func() (*x509.CertPool, error) {
			text, err := os.ReadFile(caFile)
			if err != nil {
				return nil, fmt.Errorf("read the authorities of senders (--ingress-tls-client-ca): %w", err)
			}
			pool := x509.NewCertPool()
			if !pool.AppendCertsFromPEM(text) {
				return nil, fmt.Errorf("--ingress-tls-client-ca: %s has no certificate in PEM in it", caFile)
			}
			return pool, nil
		},
	}}
	_, err := a.pool.get()
	return a, err
}

// Challenge has no header: a certificate is shown before.
func (a *ClientCert) Challenge() (scheme, words string) {
	return "", "show a client certificate"
}

// Authenticate verifies the certificate of the connection.
func (a *ClientCert) Authenticate(_ context.Context, c Credentials) (*Grant, error) {
	if c.TLS == nil || len(c.TLS.PeerCertificates) == 0 {
		return nil, errNotShown
	}
	pool, err := a.pool.get()
	if err != nil {
		return nil, err
	}
	leaf, intermediates := c.TLS.PeerCertificates[0], x509.NewCertPool()
	for _, one := range c.TLS.PeerCertificates[1:] {
		intermediates.AddCert(one)
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: pool, Intermediates: intermediates, CurrentTime: a.clock.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return nil, refuse(http.StatusUnauthorized, reasonExpired, "the client certificate is valid from %s to %s only",
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	if err != nil {
		return nil, unauthorized("the client certificate is not valid here: %v", err)
	}
	if leaf.Subject.CommonName == "" {
		return nil, unauthorized("the client certificate has no common name, which is the sender's name")
	}
	sender := &event.Sender{User: senderX509 + leaf.Subject.CommonName}
	for _, organization := range leaf.Subject.Organization {
		sender.Groups = append(sender.Groups, senderX509+organization)
	}
	return &Grant{Sender: sender, Key: "user:" + sender.User}, nil
}
