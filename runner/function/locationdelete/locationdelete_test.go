package locationdelete_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/fixture/s3test"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/location"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/locationdelete"
	"github.com/salvor-io/salvor/runner/functiontest"
)

// store is a bucket of a server.
type store struct {
	server *s3test.Server
	bucket string
}

func (s *store) put(t *testing.T, prefix string, keys ...string) {
	t.Helper()
	l, err := location.Open(t.Context(), s.server.Profile(s.bucket, prefix))
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	for _, key := range keys {
		_, err := l.Push(t.Context(), key, strings.NewReader("x"))
		require.NoError(t, err)
	}
}

// call is a call with a profile of the store.
func (s *store) call(t *testing.T, endpoint, prefix, artifact string) *function.Call {
	t.Helper()
	clients := &kube.Clients{Kube: fake.NewClientset(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "tenant", Name: "keys"},
		Data:       map[string][]byte{"id": []byte(s.server.AccessKey), "secret": []byte(s.server.SecretKey)},
	})}
	return functiontest.NewCall(t, clients, functiontest.Phase{
		Func: "LocationDelete", Args: map[string]any{"artifact": artifact},
		Params: func(p *blueprint.Params) {
			p.Profile = &blueprint.ProfileRef{
				Namespace: "tenant", Name: "store",
				Location: kanister.Location{Type: kanister.LocationTypeS3Compliant, Bucket: s.bucket, Endpoint: endpoint, Prefix: prefix, Region: s3test.Region},
				Credential: &kanister.Credential{Type: kanister.CredentialTypeKeyPair, KeyPair: &kanister.KeyPair{
					IDField: "id", SecretField: "secret", Secret: kanister.ObjectReference{Namespace: "tenant", Name: "keys"},
				}},
			}
		},
	})
}

func TestLocationDelete(t *testing.T) {
	t.Parallel()
	s3 := s3test.Start(t)
	t.Run("suite", func(t *testing.T) { suite(t, s3) })
	tests := map[string]struct {
		bucket, prefix, artifact string
		there, left              []string
	}{
		"time-log: the bucket before the path": {
			bucket: "logs", artifact: "{{ .Profile.Location.Bucket }}/time-log",
			there: []string{"time-log/config", "time-log/data/00/a", "time-log/keys/k", "other"}, left: []string{"other"},
		},
		"without the bucket":                     {bucket: "plain", artifact: "a/b", there: []string{"a/b", "a/c"}, left: []string{"a/c"}},
		"with a slash before it":                 {bucket: "slash", artifact: "/a/b/", there: []string{"a/b/c"}},
		"an object":                              {bucket: "both", artifact: "run-1", there: []string{"run-1", "run-2"}, left: []string{"run-2"}},
		"another backup that begins like it":     {bucket: "begins", artifact: "run-1", there: []string{"run-1/x", "run-10/x", "run-1.old"}, left: []string{"run-1.old", "run-10/x"}},
		"a folder that begins like the bucket":   {bucket: "backups", artifact: "backups-old/x", there: []string{"backups-old/x", "-old/x"}, left: []string{"-old/x"}},
		"a folder that is named like the bucket": {bucket: "twice", artifact: "twice/twice/x", there: []string{"twice/x", "x"}, left: []string{"x"}},
		"the profile's prefix goes before it":    {bucket: "prefixed", prefix: "team", artifact: "prefixed/x", there: []string{"x"}, left: nil},
		"nothing is there":                       {bucket: "nothing", artifact: "x", there: []string{"y"}, left: []string{"y"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &store{server: s3, bucket: tt.bucket}
			s3.CreateBucket(t, tt.bucket)
			s.put(t, tt.prefix, tt.there...)
			output, err := locationdelete.New().Execute(t.Context(), s.call(t, s3.Endpoint, tt.prefix, tt.artifact))
			require.NoError(t, err)
			assert.Nil(t, output)
			assert.ElementsMatch(t, tt.left, s3.Objects(t, tt.bucket))
		})
	}
	t.Run("a bucket that is not there", func(t *testing.T) {
		t.Parallel()
		s := &store{server: s3, bucket: "missing"}
		_, err := locationdelete.New().Execute(t.Context(), s.call(t, s3.Endpoint, "", "x"))
		require.ErrorContains(t, err, "missing")
	})
	t.Run("a directory of the runner's own", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		file := filepath.Join(dir, "queue", "data")
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o750))
		require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
		call := functiontest.NewCall(t, &kube.Clients{Kube: fake.NewClientset()}, functiontest.Phase{
			Func: "LocationDelete", Args: map[string]any{"artifact": "queue"},
			Params: func(p *blueprint.Params) {
				p.Profile = &blueprint.ProfileRef{
					Namespace: "tenant", Name: "store", Location: kanister.Location{Type: kanister.LocationTypeFilestore, Bucket: dir},
				}
			},
		})
		_, err := locationdelete.New().Execute(t.Context(), call)
		require.ErrorContains(t, err, "filestore")
		assert.Equal(t, event.ReasonInvalid, functiontest.ReasonOf(err))
		assert.FileExists(t, file)
	})
	t.Run("the runner's own identity", func(t *testing.T) {
		t.Parallel()
		call := functiontest.NewCall(t, &kube.Clients{Kube: fake.NewClientset()}, functiontest.Phase{
			Func: "LocationDelete", Args: map[string]any{"artifact": "x"},
			Params: func(p *blueprint.Params) {
				p.Profile = &blueprint.ProfileRef{
					Namespace: "tenant", Name: "store",
					Location: kanister.Location{Type: kanister.LocationTypeS3Compliant, Bucket: "theirs", Endpoint: s3.Endpoint, Region: s3test.Region},
				}
			},
		})
		_, err := locationdelete.New().Execute(t.Context(), call)
		require.ErrorContains(t, err, "--allow-own-identity")
		assert.Equal(t, event.ReasonForbidden, functiontest.ReasonOf(err))
	})
	t.Run("no profile", func(t *testing.T) {
		t.Parallel()
		call := functiontest.NewCall(t, &kube.Clients{Kube: fake.NewClientset()}, functiontest.Phase{
			Func: "LocationDelete", Args: map[string]any{"artifact": "x"},
		})
		_, err := locationdelete.New().Execute(t.Context(), call)
		require.ErrorContains(t, err, "the action has no profile")
		assert.Equal(t, event.ReasonInvalid, functiontest.ReasonOf(err))
	})
}

func suite(t *testing.T, s3 *s3test.Server) {
	t.Parallel()
	var worlds atomic.Int64
	target, err := url.Parse(s3.Endpoint)
	require.NoError(t, err)
	functiontest.Run(t, functiontest.Harness{
		Name: "LocationDelete", New: locationdelete.New,
		World: func(t *testing.T) functiontest.World {
			t.Helper()
			s := &store{server: s3, bucket: fmt.Sprintf("world-%d", worlds.Add(1))}
			s3.CreateBucket(t, s.bucket)
			s.put(t, "", "run-1/a", "run-1/b", "run-10")
			gate, busy, released := &functiontest.Gate{}, make(chan struct{}), make(chan struct{})
			began := sync.OnceFunc(func() { close(busy) })
			proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(target)
				r.Out.Host = r.In.Host // it is signed
			}, ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }}
			front := httptest.NewServer(gate.Before(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				began()
				select {
				case <-released:
					proxy.ServeHTTP(w, r)
				case <-r.Context().Done():
				case <-t.Context().Done():
				}
			})))
			t.Cleanup(front.Close)
			return functiontest.World{
				Call: s.call(t, front.URL, "", s.bucket+"/run-1"), Busy: busy, Gate: gate,
				Release: sync.OnceFunc(func() { close(released) }),
				Check: func(t *testing.T, output map[string]any) {
					t.Helper()
					assert.Nil(t, output)
					assert.Equal(t, []string{"run-10"}, s3.Objects(t, s.bucket))
				},
			}
		},
		Bad: []functiontest.Bad{
			{Name: "no artifact", Set: map[string]any{"artifact": nil}, Want: `argument "artifact" is missing`},
			{Name: "an empty artifact", Set: map[string]any{"artifact": ""}, Want: "argument artifact names no object"},
			{Name: "the whole bucket", Set: map[string]any{"artifact": "/"}, Want: "argument artifact names no object"},
			{Name: "a list", Set: map[string]any{"artifact": []any{"a", "b"}}, Want: `argument "artifact" must be text`},
		},
	})
}
