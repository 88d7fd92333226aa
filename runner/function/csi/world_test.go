package csi_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/salvor-io/salvor/internal/csitest"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/csi"
	"github.com/salvor-io/salvor/runner/functiontest"
)

// patience bounds what must come about. Nothing depends on how long it is.
const patience = 3 * time.Minute

func clients(t testing.TB) *kube.Clients {
	t.Helper()
	return functiontest.Clients(t, server.Config())
}

func gvr(plural string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: csi.Group, Version: "v1", Resource: plural}
}

func snapshots(t testing.TB, namespace string) dynamic.ResourceInterface {
	t.Helper()
	return clients(t).Dynamic.Resource(gvr("volumesnapshots")).Namespace(namespace)
}

func contents(t testing.TB) dynamic.ResourceInterface {
	t.Helper()
	return clients(t).Dynamic.Resource(gvr("volumesnapshotcontents"))
}

func callOf(t testing.TB, with *kube.Clients, name string, args map[string]any) *function.Call {
	t.Helper()
	return functiontest.NewCall(t, with, functiontest.Phase{Func: name, Args: args})
}

func newCall(t testing.TB, name string, args map[string]any) *function.Call {
	t.Helper()
	return callOf(t, clients(t), name, args)
}

// shop is a namespace with a claim that holds a file.
type shop struct {
	namespace string
	claim     *corev1.PersistentVolumeClaim
}

func newShop(t testing.TB) shop {
	t.Helper()
	s := shop{namespace: server.Namespace(t)}
	s.claim = storage.Claim(t, s.namespace, "data")
	require.NoError(t, os.WriteFile(filepath.Join(storage.Folder(t, s.claim), "file"), []byte("first"), 0o600))
	return s
}

func (s shop) args() map[string]any {
	return map[string]any{"pvc": "data", "namespace": s.namespace, "snapshotClass": csitest.Class}
}

// snapshot takes one.
func (s shop) snapshot(t testing.TB) map[string]any {
	t.Helper()
	output, err := csi.NewCreate().Execute(t.Context(), newCall(t, csi.NameCreate, s.args()))
	require.NoError(t, err)
	return output
}

// all are the snapshots in the namespace.
func (s shop) all(t testing.TB) []unstructured.Unstructured {
	t.Helper()
	list, err := snapshots(t, s.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	return list.Items
}

func contentOf(t testing.TB, name any) *unstructured.Unstructured {
	t.Helper()
	text, ok := name.(string)
	require.True(t, ok, "%v", name)
	o, err := contents(t).Get(t.Context(), text, metav1.GetOptions{})
	require.NoError(t, err)
	return o
}

func field(t testing.TB, o *unstructured.Unstructured, fields ...string) string {
	t.Helper()
	found, _, err := unstructured.NestedString(o.Object, fields...)
	require.NoError(t, err)
	return found
}

// restored is what the file says in a claim's volume.
func (s shop) restored(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(storage.Folder(t, storage.Bound(t, s.namespace, name)), "file"))
	require.NoError(t, err)
	return string(content)
}

// gate holds the first request of a method until it is opened, for functions that
// wait for nothing but the API server.
func gate(t testing.TB, method string) (clients *kube.Clients, reached <-chan struct{}, open func()) {
	t.Helper()
	at, opened := make(chan struct{}), make(chan struct{})
	arrive, open := sync.OnceFunc(func() { close(at) }), sync.OnceFunc(func() { close(opened) })
	config := server.Config()
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(request *http.Request) (*http.Response, error) {
			if request.Method == method {
				arrive()
				select {
				case <-opened:
				case <-request.Context().Done():
					return nil, request.Context().Err()
				}
			}
			return next.RoundTrip(request)
		})
	})
	return functiontest.Clients(t, config), at, open
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// gone waits until the driver does not keep the snapshot any more.
func gone(t testing.TB, handle string) {
	t.Helper()
	require.NotEmpty(t, handle)
	require.Eventually(t, func() bool { return !slices.Contains(storage.Snapshots(t), handle) },
		patience, 20*time.Millisecond, "snapshot %s is not deleted in the storage system", handle)
}

func kept(t testing.TB, handle string) {
	t.Helper()
	assert.Contains(t, storage.Snapshots(t), handle)
}
