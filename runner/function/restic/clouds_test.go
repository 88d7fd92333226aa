package restic_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/fixture/azuretest"
	"github.com/salvor-io/salvor/internal/fixture/gcstest"
	"github.com/salvor-io/salvor/internal/fixture/s3test"
	"github.com/salvor-io/salvor/runner/function/restic"
)

// restic knows no other address of Google's and Azure's stores than theirs, but it
// honours HTTPS_PROXY: here that leads to a server of ours.
func TestGoogleAndAzure(t *testing.T) {
	t.Parallel()
	google := gcstest.Start(t)
	google.CreateBucket(t, bucket)
	azure := azuretest.Start(t).Named(t)
	azure.CreateContainer(t, bucket)
	for name, c := range map[string]struct {
		kind     kanister.LocationType
		id, key  string
		endpoint string
		keepHost bool
		objects  func(tb testing.TB, bucket string) []string
		wantHost string
	}{
		"Google": {
			kind: kanister.LocationTypeGCS, id: "project", key: google.ServiceKey(t), endpoint: google.Endpoint,
			wantHost: "storage.googleapis.com:443", objects: google.Objects,
		},
		"Azure": {
			kind: kanister.LocationTypeAzure, id: azuretest.Named, key: azuretest.Key, endpoint: azure.Endpoint,
			keepHost: true, wantHost: azuretest.Named + ".blob.core.windows.net:443", objects: azure.Objects,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := files(t)
			l := newAPIOn(t, &s3test.Server{})
			l.server.Behave = l.inContainer
			l.server.Secrets["store"] = &corev1.Secret{Data: map[string][]byte{"id": []byte(c.id), "key": []byte(c.key)}}
			l.more = []string{"HTTPS_PROXY=" + detour(t, c.wantHost, c.endpoint, c.keepHost)}
			profile := func(p *blueprint.Params) {
				p.Profile.Location = kanister.Location{Type: c.kind, Bucket: bucket}
				p.Profile.Credential.KeyPair.Secret.Name = "store"
			}
			out := l.execute(t, restic.NewBackupData(), l.call(t, restic.NameBackupData, map[string]any{
				"namespace": "db", "pod": "db-0", "container": "main", "includePath": data, "backupArtifactPrefix": bucket + "/time-log",
				"insecureTLS": true,
			}, profile))
			assert.Contains(t, c.objects(t, bucket), "time-log/config", "where Kanister's restic looks")

			target := t.TempDir()
			l.execute(t, restic.NewRestoreData(), l.call(t, restic.NameRestoreData, map[string]any{
				"namespace": "db", "image": "tools:2", "backupArtifactPrefix": bucket + "/time-log", "restorePath": target,
				"volumes": map[string]any{"claim": target}, "backupIdentifier": out["backupID"], "insecureTLS": true,
			}, profile))
			same(t, data, filepath.Join(target, data))
		})
	}
}

// detour is a proxy through which host is the server at endpoint, with TLS.
func detour(t *testing.T, host, endpoint string, keepHost bool) string {
	t.Helper()
	to, err := url.Parse(endpoint)
	require.NoError(t, err)
	front := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		if keepHost { // it names the account
			r.Out.Host = r.In.Host
		}
	}})
	t.Cleanup(front.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != host {
			http.Error(w, "not here: "+r.Host, http.StatusForbidden)
			return
		}
		server, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", front.Listener.Addr().String())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer func() { _ = server.Close() }()
		w.WriteHeader(http.StatusOK)
		client, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = client.Close() }()
		go func() { _, _ = io.Copy(server, buffered); _ = server.Close() }()
		_, _ = io.Copy(client, server)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}
