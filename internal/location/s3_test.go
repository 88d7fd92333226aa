package location

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/fixture/s3test"
	"github.com/salvor-io/salvor/internal/profile"
)

func start(t *testing.T) (*s3test.Server, *profile.Profile) {
	t.Helper()
	server := s3test.Start(t)
	server.CreateBucket(t, "backups")
	p := server.Profile("backups", "")
	return server, p
}

func openProfile(t *testing.T, p *profile.Profile) *Location {
	t.Helper()
	l, err := Open(t.Context(), p)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

// The numbers doc.go gives: what fits, and with how much memory.
func TestPartSizesHoldWhatTheDocsSay(t *testing.T) {
	const gib = 1 << 30
	memoryAt := map[int64]int64{39 * gib: 24 << 20, 46 * gib: 48 << 20, 62 * gib: 96 << 20, 156 * gib: 128 << 20, 531 * gib: 512 << 20, 1031 * gib: 1 << 30}
	var total int64
	for n := 1; n <= maxParts; n++ {
		size := int64(partSize(n))
		require.GreaterOrEqual(t, size, int64(partSize(max(n-1, 1))))
		require.LessOrEqual(t, size, int64(5*gib), "the largest part S3 takes")
		buffers := int64(partBuffers)
		if size > sharedPart {
			buffers = 1
		}
		for limit, memory := range memoryAt {
			if total+size <= limit {
				require.LessOrEqual(t, size*buffers, memory, "at %d GiB", total/gib)
			}
		}
		total += size
	}
	assert.Greater(t, total, int64(5<<40), "S3's limit for an object")
}

// Growth from shared buffers to a single large one, on a real server.
func TestPartsGrow(t *testing.T) {
	server, p := start(t)
	l := openProfile(t, p)
	u := newUploader(newS3Store(s3Client(t, l), "backups"))
	u.size = func(n int) int {
		switch {
		case n <= 3:
			return 5 << 20
		case n <= 6:
			return 10 << 20
		default:
			return sharedPart + 1
		}
	}
	sent, got := sha256.New(), sha256.New()
	const size = 3*(5<<20) + 3*(10<<20) + 2*(sharedPart+1) + 17
	data := io.LimitReader(rand.NewChaCha8([32]byte{3}), size)
	require.NoError(t, u.upload(t.Context(), "grown", io.TeeReader(data, sent)))
	n, err := l.Pull(t.Context(), "grown", got)
	require.NoError(t, err)
	assert.EqualValues(t, size, n)
	assert.Equal(t, sent.Sum(nil), got.Sum(nil))
	assert.Empty(t, server.Uploads(t, "backups"))
}

// Data that ends exactly where a part does must not get an empty part.
func TestDataOfWholeParts(t *testing.T) {
	_, p := start(t)
	l := openProfile(t, p)
	u := newUploader(newS3Store(s3Client(t, l), "backups"))
	u.size = func(int) int { return 5 << 20 }
	for parts := range int64(3) {
		data := make([]byte, parts*5<<20)
		require.NoError(t, u.upload(t.Context(), "whole", bytes.NewReader(data)))
		n, err := l.Pull(t.Context(), "whole", io.Discard)
		require.NoError(t, err)
		assert.EqualValues(t, len(data), n)
	}
}

// proxy stands before the server, keeping the host that requests are signed for.
func proxy(t *testing.T, server *s3test.Server) http.Handler {
	t.Helper()
	target, err := url.Parse(server.Endpoint)
	require.NoError(t, err)
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
}

func TestCertificates(t *testing.T) {
	server, p := start(t)
	front := httptest.NewTLSServer(proxy(t, server))
	t.Cleanup(front.Close)
	p.Location.Endpoint = front.URL
	_, err := openProfile(t, p).Push(t.Context(), "a", strings.NewReader("x"))
	require.ErrorContains(t, err, "skipSSLVerify")

	p.SkipSSLVerify = true
	_, err = openProfile(t, p).Push(t.Context(), "a", strings.NewReader("x"))
	require.NoError(t, err)
	assert.Equal(t, []string{"a"}, server.Objects(t, "backups"))
}

// The token of temporary keys goes with each request, the parts of an upload too.
// The server knows no temporary keys, so what stands before it checks the token and
// signs the request again without.
func TestSessionToken(t *testing.T) {
	t.Parallel()
	server, p := start(t)
	s3 := proxy(t, server)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Security-Token") != "temporary" || !strings.Contains(r.Header.Get("Authorization"), "x-amz-security-token") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		r.Header.Del("X-Amz-Security-Token")
		r.URL.Scheme, r.URL.Host = "http", r.Host
		keys := aws.Credentials{AccessKeyID: server.AccessKey, SecretAccessKey: server.SecretKey}
		assert.NoError(t, signer.SignHTTP(r.Context(), keys, r, r.Header.Get("X-Amz-Content-Sha256"), "s3", s3test.Region, time.Now()))
		s3.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	p.Location.Endpoint = front.URL
	p.Credential = profile.Credential{Type: profile.CredentialSecret, Secret: &profile.Secret{
		Type: profile.SecretAWS,
		Data: map[string][]byte{"aws_access_key_id": []byte(server.AccessKey), "aws_secret_access_key": []byte(server.SecretKey), "aws_session_token": []byte("temporary")},
	}}
	l := openProfile(t, p)
	_, err := l.Push(t.Context(), "a/dump", io.LimitReader(rand.NewChaCha8([32]byte{}), 20<<20))
	require.NoError(t, err)
	_, err = l.Pull(t.Context(), "a/dump", io.Discard)
	require.NoError(t, err)
	n, err := l.Delete(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, 1, n)
}

// The keys of a Secret with a role are exchanged at the store's token service.
// The server has no such service, so the test answers that one request; the keys
// it gives out are the server's, without a token, which the server does not know.
func TestRole(t *testing.T) {
	server, p := start(t)
	s3 := proxy(t, server)
	assumed := 0
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/" {
			s3.ServeHTTP(w, r)
			return
		}
		assumed++
		assert.NoError(t, r.ParseForm())
		assert.Equal(t, "AssumeRole", r.Form.Get("Action"))
		assert.Equal(t, "arn:aws:iam::1:role/backup", r.Form.Get("RoleArn"))
		assert.Contains(t, r.Header.Get("Authorization"), "Credential=base-id/")
		_, _ = fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
			<AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken></SessionToken>
			<Expiration>2199-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
			server.AccessKey, server.SecretKey)
	}))
	t.Cleanup(front.Close)
	p.Location.Endpoint = front.URL
	p.Credential = profile.Credential{Type: profile.CredentialSecret, Secret: &profile.Secret{
		Type: profile.SecretAWS,
		Data: map[string][]byte{"aws_access_key_id": []byte("base-id"), "aws_secret_access_key": []byte("base-secret"), "role": []byte("arn:aws:iam::1:role/backup")},
	}}
	l := openProfile(t, p)
	for _, path := range []string{"a", "b"} {
		_, err := l.Push(t.Context(), path, strings.NewReader("x"))
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"a", "b"}, server.Objects(t, "backups"))
	assert.Equal(t, 1, assumed, "the keys of the role are kept until they expire")
}

func TestSecretCredential(t *testing.T) {
	server, p := start(t)
	p.Credential = profile.Credential{Type: profile.CredentialSecret, Secret: &profile.Secret{
		Type: profile.SecretAWS,
		Data: map[string][]byte{"aws_access_key_id": []byte(server.AccessKey + "\n"), "aws_secret_access_key": []byte(server.SecretKey + "\n")},
	}}
	_, err := openProfile(t, p).Push(t.Context(), "a", strings.NewReader("x"))
	require.NoError(t, err, "a line break at the end of a value is a common slip")
}

// A server that answers a part with an error: what was sent is removed.
func TestRefusedPartLeavesNothing(t *testing.T) {
	server, p := start(t)
	s3 := proxy(t, server)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("partNumber") == "3" {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		s3.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	p.Location.Endpoint = front.URL
	_, err := openProfile(t, p).Push(t.Context(), "dump", io.LimitReader(rand.NewChaCha8([32]byte{}), 100<<20))
	require.ErrorContains(t, err, "part 3")
	require.ErrorContains(t, err, "credential")
	assert.Empty(t, server.Objects(t, "backups"))
	assert.Empty(t, server.Uploads(t, "backups"))
}

func TestOpenURL(t *testing.T) {
	dir := t.TempDir()
	l, err := OpenURL(t.Context(), "file://"+dir+"?no_tmp_dir=true&metadata=skip")
	require.NoError(t, err)
	_, err = l.Push(t.Context(), "a/b", strings.NewReader("x"))
	require.NoError(t, err)
	assert.FileExists(t, dir+"/a/b")
	_, err = l.Pull(t.Context(), "c", io.Discard)
	require.ErrorIs(t, err, ErrNotExist)
	require.NoError(t, l.Close())

	_, err = OpenURL(t.Context(), "ftp://user:c4n4ry@host/dir")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "c4n4ry")
}

// The S3 credential is the one of the environment here.
func TestOpenURLOfS3(t *testing.T) {
	server, _ := start(t)
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_PROFILE", "") // of whoever runs the test
	l, err := OpenURL(t.Context(), "s3://backups?use_path_style=true&region=us-east-1&endpoint="+url.QueryEscape(server.Endpoint))
	require.NoError(t, err)
	_, err = l.Push(t.Context(), "large", io.LimitReader(rand.NewChaCha8([32]byte{}), 40<<20))
	require.NoError(t, err)
	assert.Equal(t, []string{"large"}, server.Objects(t, "backups"))
	require.NoError(t, l.Close())
}
