package csi

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func withStatus(status map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"status": status}}
}

func TestFailure(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status map[string]any
		want   string
	}{
		"no status yet":   {},
		"no error":        {status: map[string]any{"readyToUse": false}},
		"internal":        {status: map[string]any{"error": map[string]any{"message": "rpc error: code = Internal desc = broken"}}, want: "rpc error: code = Internal desc = broken"},
		"nothing":         {status: map[string]any{"error": map[string]any{}}, want: "(it does not say what is wrong)"},
		"conflict":        {status: map[string]any{"error": map[string]any{"message": "Operation cannot be fulfilled: the object has been modified; please apply your changes to the latest version and try again"}}},
		"deadline":        {status: map[string]any{"error": map[string]any{"message": "rpc error: code = DeadlineExceeded desc = stream"}}},
		"other deadline":  {status: map[string]any{"error": map[string]any{"message": "context deadline exceeded"}}},
		"aborted":         {status: map[string]any{"error": map[string]any{"message": "rpc error: code = Aborted desc = in progress"}}},
		"unavailable":     {status: map[string]any{"error": map[string]any{"message": "rpc error: code = Unavailable desc = EOF"}}},
		"quota exhausted": {status: map[string]any{"error": map[string]any{"message": "rpc error: code = ResourceExhausted desc = quota"}}, want: "rpc error: code = ResourceExhausted desc = quota"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, failure(withStatus(tt.status)))
		})
	}
}

func TestUsable(t *testing.T) {
	t.Parallel()
	made := "2026-01-02T03:04:05Z"
	assert.False(t, usable(withStatus(nil)))
	assert.False(t, usable(withStatus(map[string]any{"readyToUse": true})), "without a time of creation, as in Kanister")
	assert.False(t, usable(withStatus(map[string]any{"readyToUse": false, "creationTime": made})))
	assert.True(t, usable(withStatus(map[string]any{"readyToUse": true, "creationTime": made})))
}

// A driver need not say how large a snapshot is. Kanister's output is then the text
// <nil>, with which the restore fails.
func TestSizeWithoutTheDriver(t *testing.T) {
	t.Parallel()
	s := &snapshot{name: "s", namespace: "n"}
	for _, status := range []map[string]any{{}, {"restoreSize": "0"}} {
		assert.Empty(t, s.output(withStatus(status))[outSize])
	}
	assert.Equal(t, "20Gi", s.output(withStatus(map[string]any{"restoreSize": "20Gi"}))[outSize])

	claim := &corev1.PersistentVolumeClaim{}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	assert.Equal(t, "1Gi", sizeOf(claim))
	claim.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")}
	assert.Equal(t, "2Gi", sizeOf(claim), "what it got may be more than was asked for")
}
