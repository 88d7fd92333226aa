package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Auth is a user with a password, or a token; the zero value is nothing.
type Auth struct {
	User, Password string
	Token          string
}

// ReadAuth reads one line: user:password, or a token, in which there is no colon.
func ReadAuth(path string) (Auth, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Auth{}, fmt.Errorf("read the credentials: %w", err)
	}
	line := strings.TrimSpace(string(data))
	user, password, isUser := strings.Cut(line, ":")
	switch {
	case line == "":
		return Auth{}, fmt.Errorf("%s is empty; it has to hold user:password, or a token", path)
	case strings.ContainsAny(line, "\r\n"):
		return Auth{}, fmt.Errorf("%s has more than one line; it has to hold user:password, or a token", path)
	case !isUser:
		return Auth{Token: line}, nil
	case user == "" || password == "":
		return Auth{}, fmt.Errorf("%s: the user or the password is empty", path)
	}
	return Auth{User: user, Password: password}, nil
}

// Zero says that there is nothing to show.
func (a Auth) Zero() bool { return a == Auth{} }

// Client returns how a client shows it.
func (a Auth) Client() []nats.Option {
	switch {
	case a.Token != "":
		return []nats.Option{nats.Token(a.Token)}
	case a.User != "":
		return []nats.Option{nats.UserInfo(a.User, a.Password)}
	}
	return nil
}

func (a Auth) apply(s *server.Options) {
	s.Username, s.Password, s.Authorization = a.User, a.Password, a.Token
}

// TLS names the files of a certificate; the zero value is no TLS.
type TLS struct {
	// Cert and Key are this server's certificate.
	Cert, Key string
	// CA signs the certificates of the other members, which they must show.
	CA string
}

// tlsTimeout is what a handshake may take, in seconds.
const tlsTimeout = 5

// config is nil without a certificate. mutual asks the other side for one.
func (t TLS) config(mutual bool) (*tls.Config, error) {
	if t.Cert == "" && t.Key == "" {
		return nil, nil //nolint:nilnil // no TLS
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if !mutual {
		return config, nil
	}
	data, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, fmt.Errorf("the certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, errors.New("the certificate authority: " + t.CA + " holds no certificate in PEM")
	}
	config.ClientCAs, config.RootCAs, config.ClientAuth = pool, pool, tls.RequireAndVerifyClientCert
	return config, nil
}
