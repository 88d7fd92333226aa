package broker_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/broker"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	files := certificate(t)
	routes := []*url.URL{{Scheme: "nats", Host: freeAddress(t)}, {Scheme: "nats", Host: freeAddress(t)}}
	members := make([]*broker.Broker, len(routes))
	for i := range routes {
		port, err := strconv.Atoi(routes[i].Port())
		require.NoError(t, err)
		members[i], err = broker.Start(t.Context(), broker.Options{
			Name: strconv.Itoa(i), StoreDir: t.TempDir(), NoSync: true, Host: "127.0.0.1", Port: -1, TLS: files,
			Cluster: &broker.Cluster{Name: "c", Host: "127.0.0.1", Port: port, Routes: routes},
		})
		require.NoError(t, err)
		t.Cleanup(members[i].Kill)
	}
	for _, b := range members {
		require.Eventually(t, func() bool { return b.Ready() == nil }, 3*time.Minute, 50*time.Millisecond)
		inside, err := b.Connect()
		require.NoError(t, err)
		inside.Close()
		_, err = nats.Connect(b.URL())
		require.Error(t, err, "the certificate is unknown")
		nc, err := nats.Connect(b.URL(), nats.RootCAs(files.CA))
		require.NoError(t, err)
		require.True(t, nc.TLSRequired())
		nc.Close()
	}
}

func TestTLSFilesThatAreNone(t *testing.T) {
	t.Parallel()
	files := certificate(t)
	_, err := broker.Start(t.Context(), broker.Options{StoreDir: t.TempDir(), Port: -1, TLS: broker.TLS{Cert: files.Cert, Key: "none"}})
	require.ErrorContains(t, err, "the certificate: open none")
	files.CA = files.Key
	_, err = broker.Start(t.Context(), broker.Options{StoreDir: t.TempDir(), TLS: files, Cluster: &broker.Cluster{Name: "c", Host: "127.0.0.1", Port: -1}})
	require.ErrorContains(t, err, "holds no certificate in PEM")
}

// certificate makes one for 127.0.0.1 that signs itself.
func certificate(t *testing.T) broker.TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name, kind string, data []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600))
		return path
	}
	cert := write("tls.crt", "CERTIFICATE", der)
	return broker.TLS{Cert: cert, Key: write("tls.key", "PRIVATE KEY", private), CA: cert}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}
