package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/deploy/local/pki"
)

func TestIssue(t *testing.T) {
	now := time.Now()
	authority, err := pki.NewAuthority(now)
	require.NoError(t, err)
	stranger, err := pki.NewAuthority(now)
	require.NoError(t, err)
	roots := func(a *pki.Authority) *x509.CertPool {
		pool := x509.NewCertPool()
		require.True(t, pool.AppendCertsFromPEM(a.Cert))
		return pool
	}

	t.Run("a client certificate carries user and groups, and serves nothing", func(t *testing.T) {
		cert := issue(t, authority, pki.Subject{Name: "system:node:local", Groups: []string{"system:nodes"}})
		require.Equal(t, "system:node:local", cert.Subject.CommonName)
		require.Equal(t, []string{"system:nodes"}, cert.Subject.Organization)
		_, err := cert.Verify(x509.VerifyOptions{Roots: roots(authority), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		require.NoError(t, err)
		_, err = cert.Verify(x509.VerifyOptions{Roots: roots(authority), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		require.Error(t, err)
	})
	t.Run("a serving certificate is good for its hosts and for no other", func(t *testing.T) {
		cert := issue(t, authority, pki.Subject{Name: "kube-apiserver", Hosts: []string{"10.188.0.1", "kubernetes.default"}})
		for host, good := range map[string]bool{"10.188.0.1": true, "kubernetes.default": true, "10.188.0.2": false, "example.org": false} {
			require.Equal(t, good, cert.VerifyHostname(host) == nil, host)
		}
		_, err := cert.Verify(x509.VerifyOptions{Roots: roots(authority), DNSName: "kubernetes.default"})
		require.NoError(t, err)
		_, err = cert.Verify(x509.VerifyOptions{Roots: roots(stranger)})
		require.Error(t, err, "another authority's word counted")
	})
	t.Run("a clock that is a little behind does no harm", func(t *testing.T) {
		cert := issue(t, authority, pki.Subject{Name: "x"})
		_, err := cert.Verify(x509.VerifyOptions{
			Roots: roots(authority), CurrentTime: now.Add(-time.Minute), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		require.NoError(t, err)
	})
}

func TestSigningKeyHalvesBelongTogether(t *testing.T) {
	private, public, err := pki.NewSigningKey()
	require.NoError(t, err)
	block, _ := pem.Decode(private)
	key, err := x509.ParseECPrivateKey(block.Bytes)
	require.NoError(t, err)
	block, _ = pem.Decode(public)
	half, err := x509.ParsePKIXPublicKey(block.Bytes)
	require.NoError(t, err)
	require.True(t, key.PublicKey.Equal(half))
}

func issue(t *testing.T, authority *pki.Authority, subject pki.Subject) *x509.Certificate {
	t.Helper()
	pair, err := authority.Issue(subject)
	require.NoError(t, err)
	whole, err := tls.X509KeyPair(pair.Cert, pair.Key) // fails when the halves differ
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(whole.Certificate[0])
	require.NoError(t, err)
	return cert
}
