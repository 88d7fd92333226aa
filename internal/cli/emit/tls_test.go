package emit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/cli/app"
)

// client makes an authority and a certificate of a client, and returns the pool of
// the one and the files of the other.
func client(t *testing.T) (*x509.CertPool, string, string) {
	t.Helper()
	now := time.Now()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "shop"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, &key.PublicKey, key)
	require.NoError(t, err)
	root, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(root)
	der, err = x509.CreateCertificate(rand.Reader, leaf, authority, &leafKey.PublicKey, key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(leafKey)
	require.NoError(t, err)
	return pool, write(t, "CERTIFICATE", der), write(t, "PRIVATE KEY", secret)
}

func write(t *testing.T, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

func TestClientCertificates(t *testing.T) {
	pool, cert, key := client(t)
	var seen string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.TLS.PeerCertificates[0].Subject.CommonName
		w.WriteHeader(http.StatusAccepted)
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	authority := write(t, "CERTIFICATE", s.Certificate().Raw)
	base := []string{"--type", "x", "--source", "/x", "--to", s.URL + "/events"}

	_, err := run(t, nil, append(base, "--ca-file", authority, "--cert-file", cert, "--key-file", key)...)
	require.NoError(t, err)
	assert.Equal(t, "shop", seen)

	// What a certificate is refused for does not pass, so nothing is tried again.
	for says, args := range map[string][]string{
		"certificate signed by unknown authority": {},
		"remote error: tls":                       {"--ca-file", authority},
		"--cert-file and --key-file go together":  {"--cert-file", cert},
		"--key-file":                              {"--cert-file", cert, "--key-file", "/nonexistent"},
		"--cert-file, --key-file":                 {"--cert-file", key, "--key-file", cert},
	} {
		got, err := run(t, nil, append(base, args...)...)
		require.ErrorContains(t, err, says)
		assert.Equal(t, app.ExitError, app.Code(err))
		assert.NotContains(t, got.err, "trying again")
	}
}
