package pods

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// Every container of a task pod continues the trace, unless the blueprint says
// otherwise.
func TestTraceparent(t *testing.T) {
	pod, warnings, err := build(testDraft(func(d *draft) {
		d.call.Traceparent = traceparent
		d.spec.Override = map[string]any{
			"initContainers": []any{map[string]any{"name": "prepare", "image": "x"}},
			"containers": []any{
				map[string]any{"name": "container", "env": []any{map[string]any{"name": "A", "value": "b"}}},
				map[string]any{"name": "own", "image": "x", "env": []any{map[string]any{"name": "TRACEPARENT", "value": "mine"}}},
			},
		}
	}))
	require.NoError(t, err)
	assert.Empty(t, warnings)
	given := corev1.EnvVar{Name: "TRACEPARENT", Value: traceparent}
	assert.Equal(t, []corev1.EnvVar{{Name: "A", Value: "b"}, given}, pod.Spec.Containers[0].Env)
	assert.Equal(t, []corev1.EnvVar{{Name: "TRACEPARENT", Value: "mine"}}, pod.Spec.Containers[1].Env)
	assert.Equal(t, []corev1.EnvVar{given}, pod.Spec.InitContainers[0].Env)
}
