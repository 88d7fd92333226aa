package profile

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
)

// TLSConfig says which certificates a client accepts: any with skipVerify; else
// those of the system's authorities and of ca, which is PEM and may be empty. If
// ca holds no certificate, an error says so.
func TLSConfig(skipVerify bool, ca []byte) (*tls.Config, error) {
	cfg := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: skipVerify, //nolint:gosec // G402: the user asks for it in the Profile
	}
	if len(ca) == 0 {
		return cfg, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // an image without authorities
	}
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("the CA bundle holds no certificate; it must be PEM, beginning with -----BEGIN CERTIFICATE-----")
	}
	cfg.RootCAs = pool
	return cfg, nil
}

// TrustFile adds the authorities of a PEM file to those of p.
func TrustFile(p *Profile, name string) error {
	pem, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	p.CABundle += "\n" + string(pem)
	return nil
}
