package kubetask_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/kubetask"
	"github.com/salvor-io/salvor/runner/function/preparedata"
)

// recorder keeps the spec that a function asks for. The pod side itself is proved
// in package pods.
type recorder struct{ spec function.PodSpec }

func (r *recorder) Run(_ context.Context, _ *function.Call, spec function.PodSpec) (map[string]any, error) {
	r.spec = spec
	return map[string]any{"k": "v"}, nil
}

func TestArgumentsBecomeThePodsSpec(t *testing.T) {
	tests := map[string]struct {
		function function.Function
		args     map[string]any
		want     function.PodSpec
	}{
		"KubeTask": {
			kubetask.New(),
			map[string]any{
				"image": "x", "command": []any{"a", "b"}, "namespace": "shop",
				"podOverride": map[string]any{"hostname": "h"}, "podLabels": map[string]any{"n": 1}, "podAnnotations": map[string]any{"a": "b"},
			},
			function.PodSpec{
				Image: "x", Command: []string{"a", "b"}, Namespace: "shop", Override: map[string]any{"hostname": "h"},
				Labels: map[string]string{"n": "1"}, Annotations: map[string]string{"a": "b"},
			},
		},
		"KubeTask, one word, Salvor's namespace": {
			kubetask.New(), map[string]any{"image": "x", "command": "a"}, function.PodSpec{Image: "x", Command: []string{"a"}},
		},
		"PrepareData": {
			preparedata.New(),
			map[string]any{"namespace": "shop", "image": "x", "command": []any{"a"}, "volumes": map[string]any{"c": "/c"}, "serviceaccount": "sa"},
			function.PodSpec{
				Namespace: "shop", Image: "x", Command: []string{"a"}, Volumes: map[string]string{"c": "/c"}, ServiceAccount: "sa",
				IgnoreExit: true,
			},
		},
		"PrepareData that must succeed": {
			preparedata.New(),
			map[string]any{"namespace": "shop", "image": "x", "command": []any{"a"}, "failOnError": "true"},
			function.PodSpec{Namespace: "shop", Image: "x", Command: []string{"a"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pods := &recorder{}
			output, err := tt.function.Execute(t.Context(), &function.Call{Args: tt.args, Pods: pods})
			require.NoError(t, err)
			assert.Equal(t, map[string]any{"k": "v"}, output)
			assert.Empty(t, cmp.Diff(tt.want, pods.spec))
		})
	}
}

func TestWrongArguments(t *testing.T) {
	for name, f := range map[string]function.Function{"KubeTask": kubetask.New(), "PrepareData": preparedata.New()} {
		_, err := f.Execute(t.Context(), &function.Call{Args: map[string]any{"image": []any{"x", "y"}, "namespace": "n", "command": "a"}, Pods: &recorder{}})
		var reasoned *function.Error
		require.ErrorAs(t, err, &reasoned, name)
		assert.Equal(t, event.ReasonInvalid, reasoned.Reason)
		assert.Contains(t, err.Error(), `"image"`)
	}
}
