package pods

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/kubetask"
	"github.com/salvor-io/salvor/runner/function/preparedata"
	"github.com/salvor-io/salvor/runner/functiontest"
)

// The functions with a pod of their own pass the suite that every function
// passes; the test plays the kubelet.
func TestFunctionsWithAPod(t *testing.T) {
	bad := []functiontest.Bad{
		{Name: "no image", Set: map[string]any{"image": nil}, Want: `argument "image" is missing`},
		{Name: "an empty image", Set: map[string]any{"image": " "}, Want: "argument image is empty"},
		{Name: "an empty command", Set: map[string]any{"command": []any{}}, Want: "argument command is empty"},
		{Name: "a command that is a map", Set: map[string]any{"command": map[string]any{"a": 1}}, Want: `argument "command[0]" must be text`},
		{Name: "a podOverride that is a word", Set: map[string]any{"podOverride": "x"}, Want: `argument "podOverride" must be a map`},
		{Name: "a podOverride that fits no pod", Set: map[string]any{"podOverride": map[string]any{"containers": "x"}}, Want: "podOverride does not fit"},
		{Name: "a label that is none", Set: map[string]any{"podLabels": map[string]any{"a b": "c"}}, Want: `metadata.labels: Invalid value: "a b"`, Reason: event.ReasonInvalid},
		{Name: "a namespace that is not there", Set: map[string]any{"namespace": "nowhere"}, Want: "namespace nowhere", Reason: event.ReasonNotFound},
	}
	t.Run("KubeTask", func(t *testing.T) {
		functiontest.Run(t, functiontest.Harness{Name: "KubeTask", New: kubetask.New, World: podWorld, Bad: bad})
	})
	t.Run("PrepareData", func(t *testing.T) {
		functiontest.Run(t, functiontest.Harness{Name: "PrepareData", New: preparedata.New, World: claimWorld, Bad: append(bad, functiontest.Bad{
			Name: "a claim that is not there", Set: map[string]any{"volumes": map[string]any{"nowhere": "/x"}},
			Want: `persistentvolumeclaims "nowhere" not found`, Reason: event.ReasonNotFound,
		})})
	})
}

func podWorld(t *testing.T) functiontest.World {
	t.Helper()
	return podWorldOf(t, map[string]any{"image": "postgres:15", "command": []any{"true"}})
}

// claimWorld is the world of a call whose pod mounts a claim.
func claimWorld(t *testing.T) functiontest.World {
	t.Helper()
	w := podWorldOf(t, map[string]any{"image": "postgres:15", "command": []any{"true"}, "volumes": map[string]any{"data": "/data"}})
	namespace, _ := w.Call.Args["namespace"].(string)
	api, err := kubernetes.NewForConfig(server.Config())
	require.NoError(t, err)
	_, err = api.CoreV1().PersistentVolumeClaims(namespace).Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	return w
}

// podWorldOf is the world of a call with these arguments and a namespace.
func podWorldOf(t *testing.T, args map[string]any) functiontest.World {
	t.Helper()
	b := newBench(t, clock.RealClock{})
	call := b.call()
	call.Args = maps.Clone(args)
	call.Args["namespace"] = b.namespace
	return b.world(call, marker(t, "k", "v"), map[string]any{"k": "v"})
}

// world is a call whose pods say something and end well.
func (b *bench) world(call *function.Call, log string, want map[string]any) functiontest.World {
	t := b.t
	call.Pods, call.Marks = b.runner, &attemptMarks{call: call, of: map[int]*partMarks{}}
	busy := make(chan struct{})
	release := sync.OnceFunc(func() { b.play(func() bool { return b.end(log) }) })
	b.play(func() bool {
		list, err := b.client.CoreV1().Pods(b.namespace).List(t.Context(), metav1.ListOptions{})
		if err == nil && len(list.Items) > 0 {
			close(busy)
			return false
		}
		return t.Context().Err() == nil
	})
	return functiontest.World{
		Call: call, Busy: busy, Release: release,
		Check: func(t *testing.T, output map[string]any) {
			t.Helper()
			assert.Equal(t, want, output)
			assert.Equal(t, 1, b.count(), "one pod; those of earlier attempts are gone")
			assert.LessOrEqual(t, b.secrets(), 1, "the Secrets of earlier attempts are gone")
		},
	}
}

// attemptMarks are the marks of all attempts of a call.
type attemptMarks struct {
	call *function.Call
	of   map[int]*partMarks
}

func (m *attemptMarks) now() *partMarks {
	if m.of[m.call.Key.Attempt] == nil {
		m.of[m.call.Key.Attempt] = &partMarks{of: map[string]*marks{}}
	}
	return m.of[m.call.Key.Attempt]
}

func (m *attemptMarks) Marked(ctx context.Context, part string) (types.UID, error) {
	return m.now().Marked(ctx, part)
}

func (m *attemptMarks) Mark(ctx context.Context, part string, uid types.UID) (types.UID, error) {
	return m.now().Mark(ctx, part, uid)
}

// play calls step again and again until it returns false or the test ends.
func (b *bench) play(step func() bool) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for step() {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	b.t.Cleanup(func() { close(stop); <-done })
}

// end has every pod of the namespace end well.
func (b *bench) end(log string) bool {
	b.mu.Lock()
	b.text = log
	b.mu.Unlock()
	ctx := b.t.Context()
	list, err := b.client.CoreV1().Pods(b.namespace).List(ctx, metav1.ListOptions{})
	if ctx.Err() != nil {
		return false
	}
	if !assert.NoError(b.t, err) { // perhaps not the goroutine of the test
		return false
	}
	for i := range list.Items {
		pod := &list.Items[i]
		if pod.Status.Phase == corev1.PodSucceeded {
			continue
		}
		pod.Status.Phase = corev1.PodSucceeded
		for _, c := range pod.Spec.Containers {
			pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
				Name: c.Name, Image: "x", ImageID: "x", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}},
			})
		}
		_, err := b.client.CoreV1().Pods(b.namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		if ctx.Err() == nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) { // it went, or changed, meanwhile
			assert.NoError(b.t, err)
		}
	}
	return true
}
