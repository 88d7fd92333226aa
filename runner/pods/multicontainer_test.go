package pods

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/multicontainer"
	"github.com/salvor-io/salvor/runner/functiontest"
)

func twoCommands() map[string]any {
	return map[string]any{
		"backgroundImage": "maker:1", "backgroundCommand": []any{"make"},
		"outputImage": "taker:1", "outputCommand": []any{"take"},
	}
}

func TestMultiContainerRunPassesTheSuite(t *testing.T) {
	t.Parallel()
	functiontest.Run(t, functiontest.Harness{
		Name: "MultiContainerRun", New: multicontainer.New,
		World: func(t *testing.T) functiontest.World { t.Helper(); return podWorldOf(t, twoCommands()) },
		Bad: []functiontest.Bad{
			{Name: "no output", Set: map[string]any{"outputImage": nil}, Want: `argument "outputImage" is missing`},
			{Name: "no background", Set: map[string]any{"backgroundCommand": nil}, Want: `argument "backgroundCommand" is missing`},
			{Name: "an empty image", Set: map[string]any{"backgroundImage": " "}, Want: "argument backgroundImage is empty"},
			{Name: "a size that is none", Set: map[string]any{"sharedVolumeSizeLimit": "much"}, Want: "sharedVolumeSizeLimit must be a quantity"},
			{Name: "a negative size", Set: map[string]any{"sharedVolumeSizeLimit": "-1Gi"}, Want: "sharedVolumeSizeLimit must be a quantity"},
			{Name: "a medium that is none", Set: map[string]any{"sharedVolumeMedium": "tape"}, Want: "sharedVolumeMedium must be Memory"},
			{Name: "no folder", Set: map[string]any{"sharedVolumeDir": ""}, Want: "sharedVolumeDir is empty"},
			{Name: "a namespace that is not there", Set: map[string]any{"namespace": "nowhere"}, Want: "namespace nowhere", Reason: event.ReasonNotFound},
		},
	})
}

// capture keeps the spec that a function asks for.
type capture struct{ spec function.PodSpec }

func (c *capture) Run(_ context.Context, _ *function.Call, spec function.PodSpec) (map[string]any, error) {
	c.spec = spec
	return nil, nil
}

func TestPodOfMultiContainerRun(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args      map[string]any
		actionSet wishes
	}{
		"multi-plain": {},
		"multi-all": {args: map[string]any{
			"initImage": "first:1", "initCommand": []any{"prepare"}, "sharedVolumeMedium": "Memory", "sharedVolumeSizeLimit": "1Gi", "sharedVolumeDir": "/data",
			"podLabels": map[string]any{"createdBy": "blueprint", "a": "blueprint"}, "podAnnotations": map[string]any{annotationMain: "background", "n": "blueprint"},
			"podOverride": map[string]any{"containers": []any{map[string]any{"name": "background", "env": []any{map[string]any{"name": "A", "value": "1"}}}}},
		}, actionSet: wishes{
			labels: map[string]string{"a": "actionset", "b": "actionset"}, annotations: map[string]string{"n": "actionset"},
			override: map[string]any{"hostname": "h", "containers": []any{
				map[string]any{"name": "container", "resources": map[string]any{"limits": map[string]any{"memory": "1Gi"}}},
			}},
		}},
		// Kanister runs the image's own command for an empty one.
		"multi-entrypoint": {args: map[string]any{"backgroundCommand": []any{}, "outputCommand": []any{}, "initCommand": []any{"not used"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			call, asked := testCall(), &capture{}
			call.Pods, call.Args = asked, twoCommands()
			maps.Copy(call.Args, tt.args)
			_, err := multicontainer.New().Execute(t.Context(), call)
			require.NoError(t, err)
			pod, warnings, err := build(testDraft(func(d *draft) { d.spec, d.actionSet = asked.spec, tt.actionSet }))
			require.NoError(t, err)
			assert.Empty(t, warnings)
			got, err := yaml.Marshal(pod)
			require.NoError(t, err)
			golden := filepath.Join("testdata", name+".yaml")
			if *update {
				require.NoError(t, os.WriteFile(golden, got, 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), string(got), "run with -update if the change is meant")
		})
	}
}

func TestBackgroundRunsOnce(t *testing.T) {
	t.Parallel()
	pod, warnings, err := build(testDraft(func(d *draft) {
		twoContainers(&d.spec)
		d.spec.Override = map[string]any{"containers": []any{
			map[string]any{"name": "background", "restartPolicy": "Always"}, map[string]any{"name": "output", "restartPolicy": "Always"},
		}}
	}))
	require.NoError(t, err)
	assert.Len(t, warnings, 2)
	for _, c := range pod.Spec.Containers {
		assert.Nil(t, c.RestartPolicy, c.Name)
	}
	_, _, err = build(testDraft(func(d *draft) {
		twoContainers(&d.spec)
		d.spec.Override = map[string]any{"containers": []any{map[string]any{"name": "output", "$patch": "delete"}}}
	}))
	require.ErrorContains(t, err, `removes the container "output"`)
}

// Twenty calls at once on one runner: each has its own pod with its own commands, and
// gets its own output. In Kanister they share the fields of one value, and their
// ActionSets' podOverride is changed under them.
func TestTwentyMultiContainerRunsAtOnce(t *testing.T) {
	t.Parallel()
	const calls = 20
	b := newBench(t, clock.RealClock{})
	b.runner.openLog = func(_ kubernetes.Interface, ref *podRef) opener { // each pod says what its command is
		return func(context.Context, bool) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(marker(t, "said", strings.Join(ref.pod.Spec.Containers[0].Command, " ")))), nil
		}
	}
	b.play(func() bool { return b.end("") })
	ended := make(chan result, calls)
	for i := range calls {
		call := b.call()
		call.Key.Phase, call.Pods = i, b.runner
		n := strconv.Itoa(i)
		call.Args = map[string]any{
			"namespace": b.namespace, "backgroundImage": "maker:" + n, "backgroundCommand": []any{"make", n},
			"outputImage": "taker:" + n, "outputCommand": []any{"take", n}, "sharedVolumeDir": "/data/" + n,
			"podLabels": map[string]any{"number": n},
		}
		go func() {
			output, err := multicontainer.New().Execute(t.Context(), call)
			if err == nil && output["said"] != "take "+n {
				err = fmt.Errorf("call %s got %v", n, output)
			}
			ended <- result{output, err}
		}()
	}
	for range calls {
		select {
		case r := <-ended:
			require.NoError(t, r.err)
		case <-time.After(3 * time.Minute):
			t.Fatal("a call does not end")
		}
	}
	list, err := b.client.CoreV1().Pods(b.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, list.Items, calls)
	for _, pod := range list.Items {
		n := pod.Labels["number"]
		output, background := pod.Spec.Containers[0], pod.Spec.Containers[1]
		assert.Equal(t, []string{"taker:" + n, "maker:" + n}, []string{output.Image, background.Image})
		assert.Equal(t, [][]string{{"take", n}, {"make", n}}, [][]string{output.Command, background.Command})
		assert.Contains(t, output.VolumeMounts, corev1.VolumeMount{Name: "shared", MountPath: "/data/" + n})
	}
}
