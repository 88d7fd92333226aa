package pods

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
)

// marks are the marks of one attempt.
type marks struct {
	mu  sync.Mutex
	uid types.UID
}

func (m *marks) Marked(context.Context, string) (types.UID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.uid, nil
}

func (m *marks) Mark(_ context.Context, _ string, uid types.UID) (types.UID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.uid == "" {
		m.uid = uid
	}
	return m.uid, nil
}

// partMarks are the marks of the parts of one attempt.
type partMarks struct {
	mu sync.Mutex
	of map[string]*marks
}

func (m *partMarks) part(name string) *marks {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of[name] == nil {
		m.of[name] = &marks{}
	}
	return m.of[name]
}

func (m *partMarks) Marked(ctx context.Context, part string) (types.UID, error) {
	return m.part(part).Marked(ctx, part)
}

func (m *partMarks) Mark(ctx context.Context, part string, uid types.UID) (types.UID, error) {
	return m.part(part).Mark(ctx, part, uid)
}

var errGone = errors.New("the runner is gone")

// left has a runner begin the attempt and go, with its pod running.
func (b *bench) left(call *function.Call) {
	b.t.Helper()
	ctx, cancel := context.WithCancelCause(b.t.Context())
	done := b.run(ctx, call, nil)
	b.status(call, corev1.PodRunning, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, "working\n")
	require.Eventually(b.t, func() bool {
		uid, err := call.Marks.Marked(b.t.Context(), "")
		return err == nil && uid != ""
	}, 3*time.Minute, 5*time.Millisecond)
	cancel(errGone)
	require.ErrorIs(b.t, (<-done).err, errGone)
}

// change writes the pod's status as the cluster would.
func (b *bench) change(call *function.Call, f func(*corev1.PodStatus)) {
	b.t.Helper()
	pod := b.pod(call)
	f(&pod.Status)
	_, err := b.client.CoreV1().Pods(b.namespace).UpdateStatus(b.t.Context(), pod, metav1.UpdateOptions{})
	require.NoError(b.t, err)
}

func (b *bench) remove(call *function.Call) {
	b.t.Helper()
	require.NoError(b.t, b.client.CoreV1().Pods(b.namespace).Delete(b.t.Context(), call.Key.PodName(), metav1.DeleteOptions{GracePeriodSeconds: new(int64)}))
}

// What the next runner makes of the pod that it finds, or does not find. The
// cluster acts while no runner is there, or once the next one follows the pod.
func TestAdoption(t *testing.T) {
	nothing := func(*bench, *function.Call) {}
	ok := func(b *bench, call *function.Call) { b.exit(call, 0, "working\n"+marker(b.t, "k", "v")) }
	remove := (*bench).remove
	for name, tt := range map[string]struct {
		away, then func(*bench, *function.Call)
		// want is a part of the error; empty means the output.
		want string
	}{
		"running":  {nothing, ok, ""},
		"finished": {ok, nothing, ""},
		"failed": {
			func(b *bench, call *function.Call) { b.exit(call, 3, "no such table\n") }, nothing,
			"the command ended with exit code 3; the log ends with:\nno such table",
		},
		"evicted": {func(b *bench, call *function.Call) {
			b.change(call, func(s *corev1.PodStatus) {
				*s = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory."}
			})
		}, nothing, "the pod ended without running its command to the end (Evicted: The node was low on resource: memory.)"},
		"evicted while it is followed": {nothing, func(b *bench, call *function.Call) {
			b.change(call, func(s *corev1.PodStatus) { s.Phase, s.Reason, s.ContainerStatuses = corev1.PodFailed, "Evicted", nil })
		}, "(Evicted)"},
		"node silent, then back": {func(b *bench, call *function.Call) {
			b.change(call, func(s *corev1.PodStatus) { s.Phase, s.Reason = corev1.PodUnknown, "NodeLost" })
		}, ok, ""},
		"node lost, pod deleted": {func(b *bench, call *function.Call) {
			b.change(call, func(s *corev1.PodStatus) { s.Phase, s.Reason = corev1.PodUnknown, "NodeLost" })
		}, remove, "the pod was deleted before its command had ended (NodeLost)"},
		"node gone, pod collected": {nothing, func(b *bench, call *function.Call) {
			b.change(call, func(s *corev1.PodStatus) {
				s.Phase = corev1.PodFailed
				s.Conditions = []corev1.PodCondition{{
					Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByPodGC", Message: "PodGC: node no longer exists",
				}}
			})
			b.remove(call)
		}, "DeletionByPodGC: PodGC: node no longer exists"},
		"node gone, pod collected while nobody looks": {remove, nothing, "was deleted, or was lost with its node, while no runner followed it"},
		"the node does not know how it ended": {func(b *bench, call *function.Call) {
			b.status(call, corev1.PodFailed, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "ContainerStatusUnknown"}}, "")
		}, nothing, "the node lost the container"},
		"deleted by hand while nobody looks":   {remove, nothing, "while no runner followed it"},
		"deleted by hand while it is followed": {nothing, remove, "the pod was deleted before its command had ended; the log ends with:\nworking"},
		"made again by hand": {func(b *bench, call *function.Call) {
			pod := b.pod(call)
			b.remove(call)
			pod.ResourceVersion, pod.UID, pod.Status = "", "", corev1.PodStatus{}
			_, err := b.client.CoreV1().Pods(b.namespace).Create(b.t.Context(), pod, metav1.CreateOptions{})
			require.NoError(b.t, err)
		}, nothing, "while no runner followed it"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, clock.RealClock{})
			call, m := b.call(), &marks{}
			call.Marks = m
			b.left(call)
			tt.away(b, call)
			uid, found := m.uid, b.uids()

			next := newBenchIn(t, clock.RealClock{}, b.namespace)
			next.text = b.text
			done := next.run(t.Context(), next.takeOver(call), nil)
			require.Eventually(t, func() bool { return len(done) > 0 || next.logged("working") > 0 }, 3*time.Minute, 5*time.Millisecond)
			tt.then(next, call)
			r := <-done
			if tt.want == "" {
				require.NoError(t, r.err)
				assert.Equal(t, map[string]any{"k": "v"}, r.output, "each value once")
			} else {
				require.ErrorContains(t, r.err, tt.want)
				assert.Equal(t, event.ReasonPodFailed, reasonOf(t, r.err))
			}
			assert.Equal(t, uid, m.uid, "one pod for the attempt, ever")
			assert.Subset(t, found, b.uids(), "none is made again")
		})
	}
}

func (b *bench) uids() []types.UID {
	b.t.Helper()
	list, err := b.client.CoreV1().Pods(b.namespace).List(b.t.Context(), metav1.ListOptions{})
	require.NoError(b.t, err)
	uids := []types.UID{}
	for i := range list.Items {
		uids = append(uids, list.Items[i].UID)
	}
	return uids
}

// takeOver is the same attempt, as another runner calls it.
func (b *bench) takeOver(call *function.Call) *function.Call {
	again := *call
	again.Log = zerolog.New(&b.log)
	return &again
}

// logged counts how often the line of the pod was passed on.
func (b *bench) logged(line string) int {
	return strings.Count(b.log.String(), `"line":"`+line+`"`)
}

// cutLog has every stream of the log that is followed break off at that byte.
func (b *bench) cutLog(text string, at int) {
	b.runner.openLog = func(kubernetes.Interface, *podRef) opener {
		return func(_ context.Context, follow bool) (io.ReadCloser, error) {
			if follow {
				return io.NopCloser(io.MultiReader(strings.NewReader(text[:at]), &failing{})), nil
			}
			return io.NopCloser(strings.NewReader(text)), nil
		}
	}
}

func TestAdoptedPodWhoseImageCannotBePulled(t *testing.T) {
	b := newBench(t, clock.RealClock{})
	call := b.call()
	call.Marks = &marks{}
	b.left(call)
	b.status(call, corev1.PodPending, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "not found"}}, "")
	fake := clocktesting.NewFakeClock(time.Unix(1000, 0))
	next := newBenchIn(t, fake, b.namespace)
	done := next.run(t.Context(), next.takeOver(call), nil)
	require.Eventually(t, func() bool {
		fake.Step(10 * time.Second)
		return len(done) > 0
	}, 3*time.Minute, 20*time.Millisecond)
	r := <-done
	assert.Equal(t, event.ReasonImagePull, reasonOf(t, r.err))
	assert.GreaterOrEqual(t, fake.Since(time.Unix(1000, 0)), DefaultOptions().PullTimeout, "it gets the whole time again")
}

// The runner is lost between making the pod and marking it, and the pod is there.
func TestPodWithoutAMarkIsAdoptedAndMarked(t *testing.T) {
	b := newBench(t, clock.RealClock{})
	call := b.call()
	ctx, cancel := context.WithCancelCause(t.Context())
	done := b.run(ctx, call, nil)
	pod := b.pod(call)
	cancel(errGone)
	<-done
	m := &marks{}
	call.Marks = m
	next := newBenchIn(t, clock.RealClock{}, b.namespace)
	done = next.run(t.Context(), next.takeOver(call), nil)
	next.exit(call, 0, "")
	require.NoError(t, (<-done).err)
	assert.Equal(t, pod.UID, m.uid)
}

// The log is cut in the middle of a marker, for the runner before and for the next
// one: what was published is neither lost nor there twice.
func TestMarkerThatIsCutForBothRunners(t *testing.T) {
	text := "one\n" + marker(t, "k", "v") + "two\n"
	b := newBench(t, clock.RealClock{})
	call := b.call()
	call.Marks = &marks{}
	cut := len("one\n") + 30
	b.cutLog(text, cut)
	b.left(call)
	next := newBenchIn(t, clock.RealClock{}, b.namespace)
	next.cutLog(text, cut+1)
	done := next.run(t.Context(), next.takeOver(call), nil)
	require.Eventually(t, func() bool { return next.logged("one") > 0 }, 3*time.Minute, 5*time.Millisecond)
	next.exit(call, 0, text)
	r := <-done
	require.NoError(t, r.err)
	assert.Equal(t, map[string]any{"k": "v"}, r.output)
	assert.Equal(t, 1, next.logged("one"))
	assert.Equal(t, 1, next.logged("two"))
	assert.NotContains(t, next.log.String(), "Phase-output", "half a marker is no line")
}

// Before the second attempt the pod of the first is gone, and what cannot be
// removed stops the attempt.
func TestPodsOfEarlierAttempts(t *testing.T) {
	b := newBench(t, clock.RealClock{})
	first := b.call()
	first.Key.Attempt = 1
	first.Marks = &marks{}
	b.left(first)
	second := b.call()
	second.Marks = &marks{}
	done := b.run(t.Context(), second, nil)
	b.exit(second, 0, "")
	require.NoError(t, (<-done).err)
	assert.Equal(t, 1, b.count())

	recovered := b.call()
	recovered.Key.Attempt, recovered.Recovered = 1, true
	done = b.run(t.Context(), recovered, nil)
	b.exit(recovered, 0, "")
	require.NoError(t, (<-done).err)
	assert.Equal(t, 1, b.count(), "the record was lost: the pod of attempt 2 is of another life")
}

func TestEarlierPodThatStays(t *testing.T) {
	fake := clocktesting.NewFakeClock(time.Unix(1000, 0))
	b := newBench(t, fake)
	first := b.call()
	first.Key.Attempt = 1
	first.Marks = &marks{}
	b.left(first)
	pod := b.pod(first)
	pod.Finalizers = []string{"example.com/hold"}
	_, err := b.client.CoreV1().Pods(b.namespace).Update(t.Context(), pod, metav1.UpdateOptions{})
	require.NoError(t, err)
	second := b.call()
	done := b.run(t.Context(), second, nil)
	require.Eventually(t, func() bool {
		fake.Step(time.Second)
		return len(done) > 0
	}, 3*time.Minute, 5*time.Millisecond)
	r := <-done
	require.ErrorContains(t, r.err, "attempt 2 is not started, because a pod of attempt 1 cannot be removed")
	require.ErrorContains(t, r.err, "example.com/hold")
	assert.Equal(t, 1, b.count())
	pod = b.pod(first)
	pod.Finalizers = nil
	_, err = b.client.CoreV1().Pods(b.namespace).Update(t.Context(), pod, metav1.UpdateOptions{})
	require.NoError(t, err)
}

// A pod whose command may be running goes only when its node says that it ended.
func TestRunningPodIsDeletedWithGrace(t *testing.T) {
	b := newBench(t, clock.RealClock{})
	_, err := b.client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: b.namespace}}, metav1.CreateOptions{})
	require.NoError(t, err)
	call := b.call()
	done := b.run(t.Context(), call, func(s *function.PodSpec) { s.Override = map[string]any{"nodeName": b.namespace} })
	b.status(call, corev1.PodRunning, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, "")
	cleaned := make(chan error, 1)
	go func() { cleaned <- b.runner.Cleanup(t.Context(), call.Key) }()
	require.Eventually(t, func() bool { return b.pod(call).DeletionTimestamp != nil }, 3*time.Minute, 5*time.Millisecond)
	assert.Empty(t, cleaned, "not gone before the kubelet says so")
	b.remove(call) // as the kubelet does in the end
	require.NoError(t, <-cleaned)
	require.Error(t, (<-done).err)
}

// A pod that came and went between two lists of the informer is told of by nobody.
func TestPodThatTheInformerNeverSaw(t *testing.T) {
	client := fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})
	client.PrependReactor("list", "pods", func(k8stesting.Action) (bool, runtime.Object, error) { return true, &corev1.PodList{}, nil })
	client.PrependWatchReactor("pods", func(k8stesting.Action) (bool, watch.Interface, error) { return true, watch.NewFake(), nil })
	c := clocktesting.NewFakeClock(time.Unix(1000, 0))
	o := DefaultOptions()
	o.OwnNamespace = "shop"
	r, err := New(Deps{Client: client, Clock: c, Log: zerolog.Nop()}, o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx) }()
	defer func() { cancel(); require.NoError(t, <-served) }()
	call := testCall()
	call.Key.Attempt = 1
	done := make(chan error, 1)
	go func() {
		_, err := r.Run(t.Context(), call, function.PodSpec{Namespace: "shop", Image: "x", Command: []string{"x"}})
		done <- err
	}()
	require.Eventually(t, func() bool {
		return client.CoreV1().Pods("shop").Delete(t.Context(), call.Key.PodName(), metav1.DeleteOptions{}) == nil
	}, 3*time.Minute, 5*time.Millisecond)
	require.Eventually(t, func() bool {
		c.Step(time.Second)
		return len(done) > 0
	}, 3*time.Minute, 5*time.Millisecond)
	require.ErrorContains(t, <-done, "the pod was deleted before its command had ended")
	assert.Less(t, c.Since(time.Unix(1000, 0)), o.StartTimeout)
}
