package object_test

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/runner/function/object"
	"github.com/salvor-io/salvor/runner/functiontest"
)

// faulty answers some of the requests itself.
type faulty struct {
	next           http.RoundTripper
	lists, watches *atomic.Int32
}

// RoundTrip implements http.RoundTripper.
func (f faulty) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, "/configmaps") || r.Method != http.MethodGet {
		return f.next.RoundTrip(r)
	}
	if !strings.Contains(r.URL.RawQuery, "watch=true") {
		if f.lists.Add(1) == 1 {
			return answer(r, http.StatusServiceUnavailable, "ServiceUnavailable"), nil
		}
		return f.next.RoundTrip(r)
	}
	switch f.watches.Add(1) {
	case 1:
		return answer(r, http.StatusGone, "Expired"), nil
	case 2:
		return nil, errors.New("connection reset")
	case 3: // the version is found to be too old in the middle of the watch
		body := `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}}`
		return response(r, http.StatusOK, body), nil
	case 4: // cut off
		return response(r, http.StatusOK, ""), nil
	}
	return f.next.RoundTrip(r)
}

func answer(r *http.Request, code int, reason string) *http.Response {
	return response(r, code, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"`+reason+`","code":`+strconv.Itoa(code)+`}`)
}

func response(r *http.Request, code int, body string) *http.Response {
	return &http.Response{
		StatusCode: code, Request: r, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)),
	}
}

func TestFollowSurvivesWhatMayPass(t *testing.T) {
	namespace := server.Namespace(t)
	admin, err := kubernetes.NewForConfig(server.Config())
	require.NoError(t, err)
	var lists, watches atomic.Int32
	config := rest.CopyConfig(server.Config())
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return faulty{next, &lists, &watches} })
	found, err := object.Find(functiontest.Clients(t, config), object.Reference{Resource: "configmaps", Name: "x"}, namespace)
	require.NoError(t, err)
	follower := object.Follower{Resource: found.Client(functiontest.Clients(t, config)), Clock: clock.RealClock{}, Log: zerolog.Nop()}

	api := admin.CoreV1().ConfigMaps(namespace)
	var seen []string
	err = follower.Object(t.Context(), "x", func(o *unstructured.Unstructured) (bool, error) {
		switch {
		case o == nil && len(seen) > 0 && seen[len(seen)-1] == "there":
			seen = append(seen, "gone")
			return true, nil
		case o == nil && watches.Load() == 5-1: // after the faults; the real watch follows
			_, err := api.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{})
			assert.NoError(t, err)
			_, err = api.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, metav1.CreateOptions{})
			assert.NoError(t, err)
			seen = append(seen, "nothing")
		case o != nil:
			assert.Equal(t, "x", o.GetName())
			seen = append(seen, "there")
			assert.NoError(t, api.Delete(t.Context(), "x", metav1.DeleteOptions{}))
		}
		return false, nil
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"nothing", "there", "gone"}, seen)
	assert.Equal(t, int32(5), watches.Load())
}

func TestFollowEndsOnWhatCannotPass(t *testing.T) {
	namespace := server.Namespace(t)
	for name, tt := range map[string]struct {
		config *rest.Config
		path   string
		is     func(error) bool
	}{
		"forbidden":        {functiontest.User(t, server, namespace), "configmaps", apierrors.IsForbidden},
		"no such resource": {server.Config(), "gadgets", apierrors.IsNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			resource := functiontest.Clients(t, tt.config).Dynamic.Resource(corev1.SchemeGroupVersion.WithResource(tt.path)).Namespace(namespace)
			follower := object.Follower{Resource: resource, Clock: clock.RealClock{}, Log: zerolog.Nop()}
			err := follower.Object(t.Context(), "x", func(*unstructured.Unstructured) (bool, error) { return false, nil })
			assert.True(t, tt.is(err), "%v", err)
		})
	}
}

func TestFind(t *testing.T) {
	clients := functiontest.Clients(t, server.Config())
	for name, tt := range map[string]struct {
		ref  object.Reference
		want string
	}{
		"as Kanister":          {object.Reference{APIVersion: "v1", Group: "apps", Resource: "deployments", Name: "d", Namespace: "n"}, "deployments.apps n/d"},
		"group in the version": {object.Reference{APIVersion: "apps/v1", Resource: "deployments", Name: "d", Namespace: "n"}, "deployments.apps n/d"},
		"by kind":              {object.Reference{APIVersion: "apps/v1", Kind: "Deployment", Name: "d", Namespace: "n"}, "deployments.apps n/d"},
		"one, any case":        {object.Reference{APIVersion: "v1", Resource: "Pod", Name: "p", Namespace: "n"}, "pods n/p"},
		"no version":           {object.Reference{Group: "batch", Resource: "jobs", Name: "j", Namespace: "n"}, "jobs.batch n/j"},
		"fallback":             {object.Reference{APIVersion: "v1", Resource: "pods", Name: "p"}, "pods fallback/p"},
		"cluster wide":         {object.Reference{APIVersion: "v1", Resource: "nodes", Name: "x", Namespace: "ignored"}, "nodes x"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := object.Find(clients, tt.ref, "fallback")
			require.NoError(t, err)
			assert.Equal(t, tt.want, found.String())
		})
	}
	_, err := object.Find(clients, object.Reference{APIVersion: "v1", Resource: "pods", Name: "p"}, "")
	require.ErrorContains(t, err, "objectReference.namespace is empty")
	_, err = object.Find(clients, object.Reference{APIVersion: "v9", Group: "apps", Resource: "deployments", Name: "d"}, "n")
	require.ErrorContains(t, err, "deployments")
}
