package ingress_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/bridge/access"
	"github.com/salvor-io/salvor/bridge/ingress"
	"github.com/salvor-io/salvor/internal/fixture/outtest"
	"github.com/salvor-io/salvor/internal/kubetest"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

const (
	audience = "salvor-events"
	mostData = 4096
)

// door is a server with every kind of authentication, on a real stream and a real
// API server, served over TLS.
type door struct {
	t        *testing.T
	js       jetstream.JetStream
	kube     kubernetes.Interface
	url      string
	registry *prometheus.Registry
	ca       *authority
	key      []byte
	dir      string
	log      *outtest.Buffer
}

func newDoor(t *testing.T) *door {
	t.Helper()
	api := kubetest.Start(t)
	client, err := kubernetes.NewForConfig(api.Config())
	require.NoError(t, err)
	d := &door{t: t, js: natstest.Start(t), kube: client, registry: prometheus.NewRegistry(), ca: newAuthority(t, "door"), dir: t.TempDir(), log: &outtest.Buffer{}}
	d.key = bytes.Repeat([]byte("k"), 32)
	require.NoError(t, os.Mkdir(filepath.Join(d.dir, "keys"), 0o700))
	d.write("keys/shop", "whsec_"+base64.StdEncoding.EncodeToString(d.key)+"\n")
	d.write("token", "let-me-in\n")
	d.write("ca.pem", d.ca.pem())
	d.certify("localhost")
	options := ingress.DefaultOptions()
	options.TokenFile, options.HMACKeys, options.TokenAudience = d.path("token"), d.path("keys"), audience
	options.TLSCert, options.TLSKey, options.TLSClientCA = d.path("tls.crt"), d.path("tls.key"), d.path("ca.pem")
	require.NoError(t, options.Validate())
	auth, err := ingress.Authenticators(options, ingress.AuthDeps{
		Kube: client, Replays: stream.NewReplays(d.js), Clock: clock.RealClock{}, Log: zerolog.Nop(),
	})
	require.NoError(t, err)
	reviewer := access.NewReviewer(client, clock.RealClock{})
	config := ingress.Config{
		Listen: "127.0.0.1:0", MaxBytes: mostData, Store: stream.NewEvents(d.js), Serves: func(string) bool { return true },
		Auth: auth, Authorizer: reviewer, Options: options, Clock: clock.RealClock{}, Log: zerolog.New(d.log),
		Metrics: ingress.NewMetrics(d.registry),
		Extra:   map[string]http.Handler{"GET /lifecycle/{namespace}": feed(reviewer)},
	}
	server := ingress.New(config)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() { cancel(); assert.NoError(t, <-ended) })
	require.Eventually(t, func() bool { return server.Ready() == nil }, 3*time.Minute, time.Millisecond)
	d.url = "https://" + server.Addr().String()
	return d
}

// feed stands for a handler that asks what the sender may do, as that of the
// lifecycle events does.
func feed(reviewer *access.Reviewer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		may, err := reviewer.Allowed(r.Context(), access.SenderOf(r.Context()), access.Watch(r.PathValue("namespace")))
		switch {
		case err != nil:
			w.WriteHeader(http.StatusServiceUnavailable)
		case !may:
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"error":"no","reason":"forbidden"}`)
		}
	})
}

func (d *door) path(name string) string { return filepath.Join(d.dir, name) }

func (d *door) write(name, content string) {
	require.NoError(d.t, os.WriteFile(d.path(name), []byte(content), 0o600))
}

// certify gives the server a certificate for a name.
func (d *door) certify(name string) {
	pair := d.ca.issue(d.t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	private, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	require.True(d.t, ok)
	key, err := x509.MarshalECPrivateKey(private)
	require.NoError(d.t, err)
	d.write("tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key})))
	d.write("tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})))
}

type ask struct {
	method, path, body string
	header             map[string]string
	cert               *tls.Certificate
}

type told struct {
	code    int
	header  http.Header
	body    string
	problem ingress.Problem
	server  *x509.Certificate
}

func (d *door) do(a ask) told {
	d.t.Helper()
	config := &tls.Config{RootCAs: d.ca.pool(), ServerName: "localhost", MinVersion: tls.VersionTLS12}
	if a.cert != nil {
		config.Certificates = []tls.Certificate{*a.cert}
	}
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	if a.method == "" {
		a.method = http.MethodPost
	}
	if a.path == "" {
		a.path = "/events"
	}
	request, err := http.NewRequestWithContext(d.t.Context(), a.method, d.url+a.path, strings.NewReader(a.body))
	require.NoError(d.t, err)
	for name, value := range a.header {
		request.Header.Set(name, value)
	}
	response, err := transport.RoundTrip(request)
	require.NoError(d.t, err)
	defer func() { require.NoError(d.t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(d.t, err)
	out := told{code: response.StatusCode, header: response.Header, body: string(body), server: response.TLS.PeerCertificates[0]}
	_ = json.Unmarshal(body, &out.problem)
	return out
}

// rejected is the counter of a reason.
func (d *door) rejected(reason string) float64 {
	d.t.Helper()
	families, err := d.registry.Gather()
	require.NoError(d.t, err)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == "salvor_bridge_event_requests_rejected_total" && metric.GetLabel()[0].GetValue() == reason {
				return metric.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// senders are who sent the events on the stream, by the event's id.
func (d *door) senders() map[string]*event.Sender {
	d.t.Helper()
	s, err := d.js.Stream(d.t.Context(), event.StreamEvents)
	require.NoError(d.t, err)
	info, err := s.Info(d.t.Context())
	require.NoError(d.t, err)
	out := map[string]*event.Sender{}
	for sequence := uint64(1); sequence <= info.State.LastSeq; sequence++ {
		msg, err := s.GetMsg(d.t.Context(), sequence)
		require.NoError(d.t, err)
		e, err := stream.Decode(msg.Header, msg.Data)
		require.NoError(d.t, err)
		out[e.ID()], err = stream.SenderOf(msg.Header)
		require.NoError(d.t, err)
	}
	return out
}

// token is a real one of a service account.
func (d *door) token(namespace, name string, audiences ...string) string {
	d.t.Helper()
	request, err := d.kube.CoreV1().ServiceAccounts(namespace).CreateToken(d.t.Context(), name,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}, metav1.CreateOptions{})
	require.NoError(d.t, err)
	return request.Status.Token
}

const structuredType = "application/cloudevents+json"

func text(id string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/shop","type":"com.example.saved","data":{"n":1}}`, id)
}

// signed are the headers of a request by Standard Webhooks, made here from its text.
func signed(key []byte, id string, at time.Time, body string) map[string]string {
	stamp := fmt.Sprint(at.Unix())
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(id + "." + stamp + "." + body))
	return map[string]string{
		"Content-Type": structuredType, "webhook-id": id, "webhook-timestamp": stamp,
		"webhook-signature": "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil)),
	}
}

func with(header map[string]string, more ...string) map[string]string {
	out := maps.Clone(header)
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

func bearerToken(token string) map[string]string {
	return map[string]string{"Content-Type": structuredType, "Authorization": "Bearer " + token}
}

// forged is a token that says of itself what it likes, and is signed by nobody.
func forged(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256"}`)) + "." + encode([]byte(claims)) + "." + encode([]byte("signature"))
}

// Everything that is refused is refused with its status and its reason, and counted
// under it; nothing of it is stored. Tokens and rights are the API server's own.
func TestRefusedWithStatusReasonAndMetric(t *testing.T) {
	d := newDoor(t)
	namespace := d.namespace()
	now := time.Now()
	replay := ask{header: signed(d.key, "msg-1", now, text("signed")), body: text("signed")}
	require.Equal(t, http.StatusAccepted, d.do(replay).code)
	other := newAuthority(t, "other")
	client := func(a *authority, change func(c *x509.Certificate)) *tls.Certificate {
		template := &x509.Certificate{Subject: pkix.Name{CommonName: "shop"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		if change != nil {
			change(template)
		}
		return a.issue(t, template)
	}
	structured := map[string]string{"Content-Type": structuredType}
	in := bearerToken("let-me-in")
	for name, c := range map[string]struct {
		ask
		code   int
		reason string
		says   string
	}{
		"nothing shown":            {ask{header: structured}, 401, "unauthorized", "Authorization: Bearer"},
		"a wrong token":            {ask{header: bearerToken("guess")}, 401, "unauthorized", "not valid"},
		"another scheme":           {ask{header: with(structured, "Authorization", "Basic bGV0LW1lLWlu")}, 401, "unauthorized", "nothing shows"},
		"a token without end":      {ask{header: bearerToken(strings.Repeat("x", 40_000))}, 401, "unauthorized", "longer than"},
		"the API server's token":   {ask{header: bearerToken(d.token(namespace, "app"))}, 401, "audience", audience},
		"another audience":         {ask{header: bearerToken(d.token(namespace, "app", "vault"))}, 401, "audience", audience},
		"a token that has run out": {ask{header: bearerToken(forged(`{"aud":["` + audience + `"],"exp":1000}`))}, 401, "expired", "run out"},
		"a forged token":           {ask{header: bearerToken(forged(`{"aud":"` + audience + `","exp":9999999999}`))}, 401, "unauthorized", "not valid"},
		"replayed":                 {replay, 401, "replayed", "used before"},
		"replayed, other case":     {ask{header: with(replay.header, "webhook-signature", "v1,AAAA "+replay.header["webhook-signature"]), body: text("signed")}, 401, "replayed", "used before"},
		"signed too long ago":      {ask{header: signed(d.key, "msg-2", now.Add(-6*time.Minute), text("x"))}, 401, "expired", "webhook-timestamp"},
		"signed in the future":     {ask{header: signed(d.key, "msg-2", now.Add(6*time.Minute), text("x"))}, 401, "expired", "webhook-timestamp"},
		"signed by another key":    {ask{header: signed([]byte("another key"), "msg-2", now, text("x"))}, 401, "signature", "no signature"},
		"another body":             {ask{header: signed(d.key, "msg-2", now, text("y"))}, 401, "signature", "no signature"},
		"another id":               {ask{header: with(signed(d.key, "msg-2", now, text("x")), "webhook-id", "msg-3")}, 401, "signature", "no signature"},
		"another version":          {ask{header: with(signed(d.key, "msg-2", now, text("x")), "webhook-signature", "v2,AAAA")}, 401, "signature", "no signature"},
		"no timestamp":             {ask{header: with(structured, "webhook-id", "x", "webhook-signature", "v1,AAAA")}, 401, "signature", "webhook-timestamp"},
		"a timestamp in words":     {ask{header: with(signed(d.key, "msg-2", now, text("x")), "webhook-timestamp", "now")}, 401, "signature", "webhook-timestamp"},
		"signed binary mode": {ask{header: with(signed(d.key, "msg-2", now, text("x")), "Content-Type", "application/json",
			"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/a", "ce-type", "t")}, 401, "signature", "headers are not signed"},
		"signed question":        {ask{method: "GET", path: "/events/outcome?source=/a&id=1", header: signed(d.key, "msg-2", now, "")}, 401, "signature", "sign"},
		"certificate of another": {ask{header: structured, cert: client(other, nil)}, 401, "unauthorized", "certificate"},
		"expired certificate": {ask{header: structured, cert: client(d.ca, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = now.Add(-2*time.Hour), now.Add(-time.Hour)
		})}, 401, "expired", "certificate"},
		"certificate of a server": {ask{header: structured, cert: client(d.ca, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})}, 401, "unauthorized", "certificate"},
		"nameless certificate": {ask{header: structured, cert: client(d.ca, func(c *x509.Certificate) { c.Subject = pkix.Name{} })}, 401, "unauthorized", "common name"},
		"oversized":            {ask{header: in, body: text(strings.Repeat("x", mostData))}, 413, "too_large", "4096 bytes"},
		"oversized and signed": {ask{header: signed(d.key, "msg-4", now, "x"), body: strings.Repeat("x", mostData+1)}, 413, "too_large", "4096 bytes"},
		"malformed":            {ask{header: in, body: "{"}, 400, "malformed", "JSON"},
		"malformed attribute":  {ask{header: in, body: `{"specversion":"1.0","id":"1","source":"/a"}`}, 400, "malformed", "type"},
		"own source":           {ask{header: in, body: strings.Replace(text("1"), "/shop", "/salvor/dispatcher", 1)}, 400, "malformed", "reserved"},
		"own type":             {ask{header: in, body: strings.Replace(text("1"), "com.example.saved", event.TypeRunCompleted, 1)}, 400, "malformed", "reserved"},
		"own extension":        {ask{header: in, body: strings.Replace(text("1"), `"data"`, `"salvorchain":"x","data"`, 1)}, 400, "malformed", "salvorchain"},
		"another format":       {ask{header: with(in, "Content-Type", "application/cloudevents+protobuf"), body: "x"}, 415, "media_type", "application/cloudevents+json"},
		"another charset":      {ask{header: with(in, "Content-Type", structuredType+"; charset=utf-16"), body: text("1")}, 415, "media_type", "application/cloudevents+json"},
		"compressed":           {ask{header: with(in, "Content-Encoding", "gzip"), body: text("1")}, 415, "media_type", "gzip"},
		"another path":         {ask{path: "/other", header: in}, 404, "path", "/events"},
		"no namespace":         {ask{path: "/events/_", header: in, body: text("1")}, 404, "namespace", "not a namespace"},
		"another method":       {ask{method: "PUT", header: in}, 405, "method", "POST"},
		"question not decided": {ask{method: "GET", path: "/events/outcome?source=/a&id=1", header: in}, 404, "path", "does not know"},
		"forbidden": {
			ask{method: "GET", path: "/lifecycle/" + namespace, header: bearerToken(d.token(namespace, "app", audience))},
			403, "forbidden", "forbidden",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.body == "" && c.method == "" && strings.HasPrefix(name, "signed") || strings.HasPrefix(name, "another ") && c.body == "" {
				c.body = text("x")
			}
			before := d.rejected(c.reason)
			got := d.do(c.ask)
			assert.Equal(t, c.code, got.code, got.body)
			assert.Equal(t, c.reason, got.problem.Reason, got.body)
			if c.reason != "forbidden" {
				assert.Contains(t, got.problem.Error, c.says)
			}
			assert.InDelta(t, before+1, d.rejected(c.reason), 0, "counted once")
			if c.code == http.StatusUnauthorized {
				assert.NotEmpty(t, got.header.Values("WWW-Authenticate"))
			}
		})
	}
	assert.Equal(t, map[string]*event.Sender{"signed": {User: "salvor:hmac:shop"}}, d.senders(), "nothing but the first request was stored")
	assert.NotContains(t, d.log.String(), "let-me-in")
}

// Whoever shows good credentials of any kind gets in, and the event says who it was.
func TestSenderIsStoredWithTheEvent(t *testing.T) {
	d := newDoor(t)
	namespace := d.namespace()
	certificate := d.ca.issue(t, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "shop", Organization: []string{"system:masters", "ops"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	batch := "[" + text("hmac") + "," + text("hmac2") + "]"
	for name, c := range map[string]ask{
		"token":                         {header: bearerToken("let-me-in"), body: text("token")},
		"pod":                           {header: bearerToken(d.token(namespace, "app", audience)), body: text("pod")},
		"hmac":                          {header: with(signed(d.key, "m", time.Now(), batch), "Content-Type", "application/cloudevents-batch+json"), body: batch},
		"mtls":                          {header: map[string]string{"Content-Type": structuredType}, body: text("mtls"), cert: certificate},
		"wrong token, good certificate": {header: bearerToken("guess"), body: text("both"), cert: certificate},
	} {
		got := d.do(c)
		require.Equal(t, http.StatusAccepted, got.code, "%s: %s", name, got.body)
	}
	senders := d.senders()
	require.Len(t, senders, 6)
	assert.Nil(t, senders["token"], "a token of the file is nobody's")
	require.NotNil(t, senders["pod"])
	assert.Equal(t, "system:serviceaccount:"+namespace+":app", senders["pod"].User)
	assert.Contains(t, senders["pod"].Groups, "system:serviceaccounts:"+namespace)
	assert.NotEmpty(t, senders["pod"].UID)
	assert.Equal(t, &event.Sender{User: "salvor:hmac:shop"}, senders["hmac"])
	assert.Equal(t, senders["hmac"], senders["hmac2"])
	x509Sender := &event.Sender{User: "salvor:x509:shop", Groups: []string{"salvor:x509:ops", "salvor:x509:system:masters"}}
	assert.Equal(t, x509Sender, senders["mtls"], "no certificate makes its owner a group of the cluster")
	assert.Equal(t, x509Sender, senders["both"])

	// The right to see what happens is RBAC's to give.
	asPod := ask{method: http.MethodGet, path: "/lifecycle/" + namespace, header: bearerToken(d.token(namespace, "other", audience))}
	assert.Equal(t, http.StatusForbidden, d.do(asPod).code)
	d.allow(namespace, "watcher", rbacv1.PolicyRule{APIGroups: []string{"cr.kanister.io"}, Resources: []string{"actionsets"}, Verbs: []string{"watch"}},
		rbacv1.Subject{Kind: "ServiceAccount", Name: "app", Namespace: namespace})
	asPod.header = bearerToken(d.token(namespace, "app", audience))
	assert.Eventually(t, func() bool { return d.do(asPod).code == http.StatusOK }, 3*time.Minute, 100*time.Millisecond, "it is not asked again for some seconds")
}

// A signature counts once for all bridges and after a restart of them, unless nothing
// became of the request.
func TestSignatureCountsOnce(t *testing.T) {
	d := newDoor(t)
	// A second bridge on the same streams.
	replays := stream.NewReplays(d.js)
	now := time.Now()
	refused := ask{header: signed(d.key, "m1", now, "{"), body: "{"}
	for range 2 {
		got := d.do(refused)
		assert.Equal(t, http.StatusBadRequest, got.code, "nothing became of it, so it is not replayed: %s", got.body)
	}
	good := ask{header: signed(d.key, "m2", now, text("1")), body: text("1")}
	require.Equal(t, http.StatusAccepted, d.do(good).code)
	assert.Equal(t, "replayed", d.do(good).problem.Reason)
	mac, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(good.header["webhook-signature"], "v1,"))
	require.NoError(t, err)
	require.ErrorIs(t, replays.Use(t.Context(), "salvor:hmac:shop", fmt.Sprintf("%x", mac), time.Minute), stream.ErrExists, "every bridge sees the mark")
	// The same event, signed anew, counts once and is answered well.
	again := d.do(ask{header: signed(d.key, "m2", now.Add(time.Second), text("1")), body: text("1")})
	assert.JSONEq(t, `{"accepted":1,"duplicates":1}`, again.body)
	// A key that is rotated counts at once, beside the old one.
	second := bytes.Repeat([]byte("n"), 24)
	d.write("keys/shop", "whsec_"+base64.StdEncoding.EncodeToString(d.key)+"\nwhsec_"+base64.StdEncoding.EncodeToString(second)+"\n")
	assert.Equal(t, http.StatusAccepted, d.do(ask{header: signed(second, "m3", now, text("3")), body: text("3")}).code)
	assert.Equal(t, http.StatusAccepted, d.do(ask{header: signed(d.key, "m4", now, text("4")), body: text("4")}).code)
	d.write("keys/shop", "whsec_short")
	got := d.do(ask{header: signed(d.key, "m5", now, text("5")), body: text("5")})
	assert.Equal(t, http.StatusServiceUnavailable, got.code)
	assert.NotContains(t, d.log.String()+got.body, "whsec_short", "no key is told")
}

// A certificate that is renewed on disk is served to the next who comes, and one that
// is broken on disk is not.
func TestCertificateIsReadAgain(t *testing.T) {
	d := newDoor(t)
	in := ask{header: bearerToken("let-me-in"), body: text("1")}
	first := d.do(in).server
	assert.Equal(t, "localhost", first.Subject.CommonName)
	d.certify("localhost")
	second := d.do(in).server
	assert.NotEqual(t, first.SerialNumber, second.SerialNumber)
	d.write("tls.crt", "half a file")
	third := d.do(in).server
	assert.Equal(t, second.SerialNumber, third.SerialNumber, "the one before is used on")
	assert.Contains(t, d.log.String(), "cannot be used")
	next := newAuthority(t, "next")
	certificate := next.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "n"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	asNext := ask{header: map[string]string{"Content-Type": structuredType}, body: text("2"), cert: certificate}
	assert.Equal(t, http.StatusUnauthorized, d.do(asNext).code)
	d.write("ca.pem", d.ca.pem()+next.pem())
	assert.Equal(t, http.StatusAccepted, d.do(asNext).code, "authorities are read again too")
}

// While the API server is away senders that it knows are let in, and others are told
// to come again.
func TestTokensWhileTheAPIServerIsAway(t *testing.T) {
	api := kubetest.Start(t)
	client, err := kubernetes.NewForConfig(api.Config())
	require.NoError(t, err)
	d := &door{t: t, kube: client}
	namespace := d.namespace()
	known, unknown := d.token(namespace, "app", audience), d.token(namespace, "other", audience)
	review := ingress.NewTokenReview(client, audience, clock.RealClock{})
	authenticate := func(token string) (*ingress.Grant, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		return review.Authenticate(t.Context(), ingress.Credentials{Request: request})
	}
	_, err = authenticate(known)
	require.NoError(t, err)
	require.NoError(t, api.Stop())
	grant, err := authenticate(known)
	require.NoError(t, err)
	assert.Equal(t, "system:serviceaccount:"+namespace+":app", grant.Sender.User)
	_, err = authenticate(unknown)
	require.Error(t, err)
	var refused *ingress.RefusedError
	assert.NotErrorAs(t, err, &refused, "it is not known whether it is good")
}

// A token that the API server takes no more is refused a minute later; one that runs
// out before is asked about then.
func TestTokenIsAskedAboutAgain(t *testing.T) {
	api := kubetest.Start(t)
	requests := &atomic.Int64{}
	config := api.Config()
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &counted{next: next, n: requests} })
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	d := &door{t: t, kube: client}
	namespace := d.namespace()
	token := d.token(namespace, "app", audience)
	fake := clocktesting.NewFakePassiveClock(time.Now())
	review := ingress.NewTokenReview(client, audience, fake)
	authenticate := func() error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "bearer "+token)
		_, err = review.Authenticate(t.Context(), ingress.Credentials{Request: request})
		return err
	}
	requests.Store(0)
	var all sync.WaitGroup
	for range 500 {
		all.Go(func() { assert.NoError(t, authenticate()) })
	}
	all.Wait()
	assert.Equal(t, int64(1), requests.Load(), "many at once cost one review")
	require.NoError(t, client.CoreV1().ServiceAccounts(namespace).Delete(t.Context(), "app", metav1.DeleteOptions{}))
	fake.SetTime(fake.Now().Add(59 * time.Second))
	require.NoError(t, authenticate())
	fake.SetTime(fake.Now().Add(2 * time.Second))
	var refused *ingress.RefusedError
	require.Eventually(t, func() bool { // the API server remembers tokens too
		err := authenticate()
		fake.SetTime(fake.Now().Add(61 * time.Second))
		return errors.As(err, &refused)
	}, 3*time.Minute, 500*time.Millisecond)
	assert.Equal(t, "unauthorized", refused.Reason)
}

// counted counts requests.
type counted struct {
	next http.RoundTripper
	n    *atomic.Int64
}

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.next.RoundTrip(r)
}

func TestOptions(t *testing.T) {
	for flag, change := range map[string]func(o *ingress.Options){
		"--ingress-tls-cert":      func(o *ingress.Options) { o.TLSKey = "key" },
		"--ingress-tls-client-ca": func(o *ingress.Options) { o.TLSClientCA = "ca" },
		"--ingress-rate":          func(o *ingress.Options) { o.Rate = math.NaN() },
		"--ingress-burst":         func(o *ingress.Options) { o.Burst = 0 },
	} {
		o := ingress.DefaultOptions()
		require.NoError(t, o.Validate())
		change(&o)
		require.ErrorContains(t, o.Validate(), flag)
	}
	empty := t.TempDir()
	bad := filepath.Join(empty, "bad")
	for content, says := range map[string]string{"": "no key", "secret": "whsec_", "whsec_%": "not base64", "whsec_YQ==": "24 to 64"} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "shop"), []byte(content), 0o600))
		_, err := ingress.Authenticators(ingress.Options{HMACKeys: dir}, ingress.AuthDeps{})
		require.ErrorContains(t, err, says)
		assert.NotContains(t, err.Error(), "secret")
	}
	for flag, o := range map[string]ingress.Options{
		"--ingress-hmac-keys":     {HMACKeys: empty},
		"--ingress-token-file":    {TokenFile: bad},
		"--ingress-tls-client-ca": {TLSClientCA: bad},
	} {
		_, err := ingress.Authenticators(o, ingress.AuthDeps{})
		require.ErrorContains(t, err, flag)
	}
}

func (d *door) namespace() string {
	d.t.Helper()
	namespace, err := d.kube.CoreV1().Namespaces().Create(d.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "door-"}}, metav1.CreateOptions{})
	require.NoError(d.t, err)
	for _, name := range []string{"app", "other"} {
		_, err = d.kube.CoreV1().ServiceAccounts(namespace.Name).Create(d.t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		require.NoError(d.t, err)
	}
	return namespace.Name
}

func (d *door) allow(namespace, name string, rule rbacv1.PolicyRule, subject rbacv1.Subject) {
	d.t.Helper()
	_, err := d.kube.RbacV1().Roles(namespace).Create(d.t.Context(),
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{rule}}, metav1.CreateOptions{})
	require.NoError(d.t, err)
	_, err = d.kube.RbacV1().RoleBindings(namespace).Create(d.t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Subjects: []rbacv1.Subject{subject},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
	}, metav1.CreateOptions{})
	require.NoError(d.t, err)
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{cert: cert, key: key}
}

func serial(t *testing.T) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	return n
}

func (a *authority) issue(t *testing.T, template *x509.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template.SerialNumber = serial(t)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func (a *authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}
