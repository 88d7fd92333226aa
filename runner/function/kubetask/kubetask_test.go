package kubetask_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/kubetask"
	"github.com/salvor-io/salvor/runner/function/preparedata"
	"github.com/salvor-io/salvor/runner/functiontest"
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
			map[string]any{"namespace": "shop", "image": "x", "command": []any{"a"}, "volumes": map[string]any{"c": "/c"}, "failOnError": "true"},
			function.PodSpec{Namespace: "shop", Image: "x", Command: []string{"a"}, Volumes: map[string]string{"c": "/c"}},
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

// Without the argument volumes the claims of the action's workload are mounted, each at
// a path of its own; where there is none the phase fails, as in Kanister, and does not
// work on an empty folder.
func TestPrepareDataMountsTheClaimsOfTheWorkload(t *testing.T) {
	claimsOf := map[string]map[string]string{"db-0": {"data-db-0": "/var/lib/db", "wal": "/wal"}, "db-1": {"data-db-1": "/var/lib/db"}}
	workload := func() *blueprint.Workload {
		return &blueprint.Workload{Name: "db", Namespace: "shop", Pods: []string{"db-0", "db-1"}, PersistentVolumeClaims: claimsOf}
	}
	want := map[string]string{
		"data-db-0": "/mnt/prepare_data/data-db-0", "data-db-1": "/mnt/prepare_data/data-db-1", "wal": "/mnt/prepare_data/wal",
	}
	for name, tt := range map[string]struct {
		object func(*blueprint.Params)
		args   map[string]any
		want   map[string]string
	}{
		"StatefulSet":             {object: func(p *blueprint.Params) { p.StatefulSet = workload() }, want: want},
		"Deployment":              {object: func(p *blueprint.Params) { p.Deployment = workload() }, want: want},
		"DeploymentConfig":        {object: func(p *blueprint.Params) { p.DeploymentConfig = workload() }, want: want},
		"what is named goes":      {object: func(p *blueprint.Params) { p.StatefulSet = workload() }, args: map[string]any{"c": "/c"}, want: map[string]string{"c": "/c"}},
		"none of them has claims": {object: func(p *blueprint.Params) { p.Deployment = &blueprint.Workload{Pods: []string{"web-0"}} }},
		"no pod runs":             {object: func(p *blueprint.Params) { p.Deployment = &blueprint.Workload{} }},
		"no workload":             {object: func(p *blueprint.Params) { p.TargetNamespace = &blueprint.Named{Name: "shop", Namespace: "shop"} }},
	} {
		t.Run(name, func(t *testing.T) {
			args := map[string]any{"namespace": "shop", "image": "x", "command": []any{"a"}}
			if tt.args != nil {
				args["volumes"] = tt.args
			}
			pods := &recorder{}
			call := functiontest.NewCall(t, nil, functiontest.Phase{Func: "PrepareData", Args: args, Params: tt.object})
			call.Pods = pods
			_, err := preparedata.New().Execute(t.Context(), call)
			if tt.want == nil {
				var reasoned *function.Error
				require.ErrorAs(t, err, &reasoned)
				assert.Equal(t, event.ReasonInvalid, reasoned.Reason)
				assert.Contains(t, err.Error(), "name the claims in volumes")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, pods.spec.Volumes)
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
