package pods

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
)

// The end of a pod with two containers that count.
func TestJudgeBeside(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := start.Add
	l := limits{pull: 90 * time.Second, start: 15 * time.Minute}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	exit := func(code int32) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}
	}
	waits := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	podFailed := event.ReasonPodFailed
	tests := map[string]struct {
		output, background corev1.ContainerState
		change             func(*observation)
		want               verdict
		message            string
	}{
		"both run":         {output: running, background: running, want: verdict{state: stateRunning}},
		"both ended well":  {output: exit(0), background: exit(0), want: verdict{state: stateEnded}},
		"background ended": {output: running, background: exit(0), want: verdict{state: stateRunning}},
		"output ended, background runs, however long": {
			output: exit(0), background: running, change: func(o *observation) { o.now = at(48 * time.Hour) },
			want: verdict{state: stateWaiting, mainEnded: true, container: "background"},
		},
		"output failed, background runs": {
			output: exit(3), background: running, want: verdict{state: stateEnded, exit: 3, reason: podFailed}, message: "exit code 3",
		},
		"output failed, background failed": {
			output: exit(3), background: exit(4), want: verdict{state: stateEnded, exit: 3, reason: podFailed}, message: "exit code 3",
		},
		"output ended, background failed": {
			output: exit(0), background: exit(4),
			want: verdict{state: stateEnded, exit: 4, reason: podFailed, container: "background"}, message: "container background: the command ended with exit code 4",
		},
		"background failed, output has a moment": {
			output: running, background: exit(4), want: verdict{state: stateRunning, besideFailed: true, until: at(besideGrace)},
		},
		"background failed, output has had its moment": {
			output: running, background: exit(4),
			change: func(o *observation) { o.now, o.besideFailed = at(besideGrace), start },
			want:   verdict{state: stateEnded, exit: 4, reason: podFailed, container: "background", besideFailed: true}, message: "container background",
		},
		"background failed before output started": {
			output: waits("ContainerCreating"), background: exit(4), want: verdict{state: stateWaiting, besideFailed: true, until: at(besideGrace)},
		},
		"background cannot be pulled": {
			output: running, background: waits("ErrImagePull"), want: verdict{state: stateRunning, trouble: true, until: at(90 * time.Second)},
		},
		"background cannot be pulled in time": {
			output: running, background: waits("ErrImagePull"),
			change: func(o *observation) { o.now, o.troubleSince = at(90*time.Second), start },
			want:   verdict{state: stateFailed, trouble: true, reason: event.ReasonImagePull}, message: `image "maker:1" (container "background")`,
		},
		"background does not start": {
			output: running, background: waits("ContainerCreating"), change: func(o *observation) { o.now = at(time.Hour) },
			want: verdict{state: stateFailed, reason: podFailed}, message: "did not start within 15m0s: ContainerCreating",
		},
		"neither started": {
			output: waits("ContainerCreating"), background: waits("ContainerCreating"), want: verdict{state: stateWaiting, until: at(15 * time.Minute)},
		},
		"deleted while background runs": {
			output: exit(0), background: running, change: func(o *observation) { o.gone = true },
			want: verdict{state: stateFailed, reason: podFailed}, message: "deleted before its container background had ended",
		},
		"evicted while background runs": {
			output: exit(0), background: running,
			change: func(o *observation) { o.pod.Status.Phase, o.pod.Status.Reason = corev1.PodFailed, "Evicted" },
			want:   verdict{state: stateFailed, reason: podFailed}, message: "container background to the end (Evicted)",
		},
		"evicted before background started": {
			output: exit(0), background: waits("ContainerCreating"),
			change: func(o *observation) { o.pod.Status.Phase, o.pod.Status.Reason = corev1.PodFailed, "Evicted" },
			want:   verdict{state: stateFailed, reason: podFailed}, message: "container background to the end (Evicted)",
		},
		"being deleted while background runs": {
			output: exit(0), background: running,
			change: func(o *observation) { o.pod.DeletionTimestamp = &metav1.Time{Time: at(time.Minute)} },
			want:   verdict{state: stateWaiting, mainEnded: true, container: "background", until: at(time.Minute + nodeGrace)},
		},
		"background was taken away by an override": {
			output: exit(0), change: func(o *observation) { o.pod.Spec.Containers = o.pod.Spec.Containers[:1] }, want: verdict{state: stateEnded},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := observation{now: start, followed: start, beside: []string{"background"}, pod: &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{annotationMain: "output"}},
				Spec: corev1.PodSpec{
					NodeName: "node-1", RestartPolicy: corev1.RestartPolicyNever,
					Containers: []corev1.Container{{Name: "output", Image: "taker:1"}, {Name: "background", Image: "maker:1"}},
				},
				Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "background", State: tt.background}, {Name: "output", State: tt.output}}},
			}}
			if tt.change != nil {
				tt.change(&o)
			}
			got := judge(o, l)
			assert.Contains(t, got.message, tt.message)
			if tt.message == "" {
				assert.Empty(t, got.message)
			}
			got.message, got.pullError = "", ""
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestOverrideOfContainerIsForThoseThatWork(t *testing.T) {
	t.Parallel()
	entry := func(name string, more ...string) map[string]any {
		e := map[string]any{"name": name}
		for i := 0; i < len(more); i += 2 {
			e[more[i]] = more[i+1]
		}
		return e
	}
	tests := map[string]struct{ give, want []any }{
		"to both":                          {[]any{entry("container", "a", "1"), entry("side", "image", "x")}, []any{entry("side", "image", "x"), entry("output", "a", "1"), entry("background", "a", "1")}},
		"an image, too":                    {[]any{entry("container", "image", "i")}, []any{entry("output", "image", "i"), entry("background", "image", "i")}},
		"not of that name":                 {[]any{entry("side", "image", "x")}, []any{entry("side", "image", "x")}},
		"one has a word of its own":        {[]any{entry("container", "a", "1", "b", "1"), entry("output", "b", "2")}, []any{entry("output", "a", "1", "b", "2"), entry("background", "a", "1", "b", "1")}},
		"a container more, as in Kanister": {[]any{entry("container", "image", "i"), entry("output", "b", "2")}, []any{entry("container", "image", "i"), entry("output", "b", "2")}},
		"no list of maps":                  {[]any{"x", nil}, []any{"x", nil}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			patch := map[string]any{"containers": tt.give, "hostname": "h"}
			before := fmt.Sprint(patch)
			got := forContainers(patch, []string{"output", "background"})
			assert.Equal(t, map[string]any{"containers": tt.want, "hostname": "h"}, got)
			assert.Equal(t, before, fmt.Sprint(patch), "the patch is shared by all phases")
			assert.Equal(t, patch, forContainers(patch, []string{"container"}))
		})
	}
	assert.Nil(t, forContainers(nil, []string{"output"}))
}

// A pod is deleted with some grace while a command beside the main one may run.
func TestPodWithACommandBesideMayRun(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Name: "container"}, {Name: "side"}}}}
	assert.True(t, mayRun(pod))
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "container", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
	assert.True(t, mayRun(pod), "side")
	pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
		Name: "side", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}},
	})
	assert.False(t, mayRun(pod))
}

func twoContainers(s *function.PodSpec) {
	s.Main, s.Beside = "output", []string{"background"}
	s.Base = func(spec *corev1.PodSpec) {
		spec.Containers = append(spec.Containers, corev1.Container{Name: "background", Image: "x"})
	}
}

// states writes what the kubelet says of the containers.
func (b *bench) states(call *function.Call, states map[string]corev1.ContainerState) {
	b.t.Helper()
	pod := b.pod(call)
	pod.Status.Phase = corev1.PodRunning
	pod.Status.ContainerStatuses = nil
	for name, state := range states {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: name, Image: "x", ImageID: "x", State: state})
	}
	_, err := b.client.CoreV1().Pods(b.namespace).UpdateStatus(b.t.Context(), pod, metav1.UpdateOptions{})
	require.NoError(b.t, err)
}

func TestOutputWaitsForItsBackground(t *testing.T) {
	t.Parallel()
	b := newBench(t, clock.RealClock{})
	call := b.call()
	b.text = "hello\n" + marker(t, "k", "v")
	done := b.run(t.Context(), call, twoContainers)
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	well := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
	b.states(call, map[string]corev1.ContainerState{"output": running, "background": running})
	b.states(call, map[string]corev1.ContainerState{"output": well, "background": running})
	require.Eventually(t, func() bool { return strings.Contains(b.log.String(), "waiting for the end of background") }, 3*time.Minute, 10*time.Millisecond)
	select {
	case r := <-done:
		t.Fatalf("it ended: %v", r.err)
	default:
	}
	b.states(call, map[string]corev1.ContainerState{"output": well, "background": well})
	r := <-done
	require.NoError(t, r.err)
	assert.Equal(t, map[string]any{"k": "v"}, r.output)
	require.NoError(t, b.runner.Cleanup(t.Context(), call.Key))
	assert.Zero(t, b.count())
}

func TestBackgroundThatFails(t *testing.T) {
	t.Parallel()
	fake := clocktesting.NewFakeClock(time.Unix(1000, 0))
	b := newBench(t, fake)
	call := b.call()
	b.text = "pg_dump: no such database\n"
	done := b.run(t.Context(), call, twoContainers)
	b.states(call, map[string]corev1.ContainerState{
		"output":     {Running: &corev1.ContainerStateRunning{}},
		"background": {Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}},
	})
	start := fake.Now()
	step := sync.OnceFunc(func() { fake.Step(besideGrace - time.Second) })
	var r result
	require.Eventually(t, func() bool {
		select {
		case r = <-done:
			return true
		default:
			step()
			fake.Step(time.Second)
			return false
		}
	}, 3*time.Minute, 50*time.Millisecond)
	assert.Equal(t, event.ReasonPodFailed, reasonOf(t, r.err))
	require.ErrorContains(t, r.err, "container background: the command ended with exit code 1; the log ends with:\npg_dump: no such database")
	assert.GreaterOrEqual(t, fake.Since(start), besideGrace)
}
