package pods

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/fixture/outtest"
	"github.com/salvor-io/salvor/internal/kubetest"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/functiontest"
)

var server *kubetest.Server

func TestMain(m *testing.M) {
	os.Exit(kubetest.Run(m, func(s *kubetest.Server) error {
		server = s
		return nil
	}))
}

// bench is a Runner on a real API server. The test plays the kubelet: it writes
// the status of pods and holds their logs, which are the two things that need one.
type bench struct {
	t         *testing.T
	runner    *Runner
	client    kubernetes.Interface
	namespace string
	log       outtest.Buffer

	mu   sync.Mutex
	text string
}

func newBench(t *testing.T, c clock.WithTicker) *bench {
	t.Helper()
	return newBenchIn(t, c, server.Namespace(t))
}

// newBenchIn is newBench in a namespace that may have pods already.
func newBenchIn(t *testing.T, c clock.WithTicker, namespace string) *bench {
	t.Helper()
	b := &bench{t: t, namespace: namespace}
	var err error
	b.client, err = kubernetes.NewForConfig(functiontest.Wired(server.Config()))
	require.NoError(t, err)
	o := DefaultOptions()
	o.OwnNamespace = b.namespace
	b.runner, err = New(Deps{Client: b.client, Clock: c, Log: zerolog.New(&b.log)}, o)
	require.NoError(t, err)
	b.runner.openLog = func(kubernetes.Interface, *podRef) opener {
		return func(context.Context, bool) (io.ReadCloser, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			return io.NopCloser(strings.NewReader(b.text)), nil
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- b.runner.Serve(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-served) })
	require.Eventually(t, func() bool { return b.runner.Ready() == nil }, 3*time.Minute, 10*time.Millisecond)
	return b
}

// call is a call whose key no other test has.
func (b *bench) call() *function.Call {
	call := testCall()
	call.Key.UID = "uid-" + b.namespace
	call.Log = zerolog.New(&b.log)
	return call
}

type result struct {
	output map[string]any
	err    error
}

func (b *bench) run(ctx context.Context, call *function.Call, change func(*function.PodSpec)) <-chan result {
	spec := function.PodSpec{Image: "postgres:0", Command: []string{"true"}}
	if change != nil {
		change(&spec)
	}
	done := make(chan result, 1)
	go func() {
		output, err := b.runner.Run(ctx, call, spec)
		done <- result{output, err}
	}()
	return done
}

// pod waits for the call's pod.
func (b *bench) pod(call *function.Call) *corev1.Pod {
	b.t.Helper()
	var pod *corev1.Pod
	require.Eventually(b.t, func() (ok bool) {
		var err error
		pod, err = b.client.CoreV1().Pods(b.namespace).Get(b.t.Context(), call.Key.PodName(), metav1.GetOptions{})
		return err == nil
	}, 3*time.Minute, 10*time.Millisecond, "no pod appeared")
	return pod
}

func (b *bench) status(call *function.Call, phase corev1.PodPhase, state corev1.ContainerState, log string) {
	b.t.Helper()
	b.mu.Lock()
	b.text = log
	b.mu.Unlock()
	pod := b.pod(call)
	pod.Status.Phase = phase
	pod.Status.StartTime = &metav1.Time{Time: time.Unix(0, 0)}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "container", Image: "x", ImageID: "x", State: state}}
	_, err := b.client.CoreV1().Pods(b.namespace).UpdateStatus(b.t.Context(), pod, metav1.UpdateOptions{})
	require.NoError(b.t, err)
}

func (b *bench) exit(call *function.Call, code int32, log string) {
	b.t.Helper()
	phase := corev1.PodSucceeded
	if code != 0 {
		phase = corev1.PodFailed
	}
	b.status(call, phase, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}, log)
}

func (b *bench) count() int {
	b.t.Helper()
	list, err := b.client.CoreV1().Pods(b.namespace).List(b.t.Context(), metav1.ListOptions{})
	require.NoError(b.t, err)
	return len(list.Items)
}

func reasonOf(t *testing.T, err error) event.Reason {
	t.Helper()
	var reasoned *function.Error
	require.ErrorAs(t, err, &reasoned)
	return reasoned.Reason
}

func TestPodRunsAndIsLeftForTheReport(t *testing.T) {
	b := newBench(t, clock.RealClock{})
	call := b.call()
	done := b.run(t.Context(), call, nil)
	b.status(call, corev1.PodRunning, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, "hello\n")
	require.Eventually(t, func() bool { return strings.Contains(b.log.String(), `"line":"hello"`) }, 3*time.Minute, 10*time.Millisecond,
		"the log is passed on while the pod runs")
	b.exit(call, 0, "hello\n"+marker(t, "path", "a/b"))

	r := <-done
	require.NoError(t, r.err)
	assert.Equal(t, map[string]any{"path": "a/b"}, r.output)
	assert.Equal(t, 1, strings.Count(b.log.String(), `"line":"hello"`), "each line once")
	assert.Equal(t, []string{b.namespace + "/" + call.Key.PodName()}, b.runner.Pods(call.Key))
	assert.Equal(t, 1, b.count(), "the pod stays until the report is stored")

	require.NoError(t, b.runner.Cleanup(t.Context(), call.Key))
	assert.Zero(t, b.count())
	assert.Empty(t, b.runner.Pods(call.Key))
	require.NoError(t, b.runner.Cleanup(t.Context(), call.Key), "again is no error")
}

func TestTheNextRunnerAdoptsThePod(t *testing.T) {
	b := newBench(t, clock.RealClock{})
	call := b.call()
	shutdown := errors.New("shutdown")
	ctx, cancel := context.WithCancelCause(t.Context())
	first := b.run(ctx, call, nil)
	uid := b.pod(call).UID
	b.status(call, corev1.PodRunning, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, marker(t, "k", "v"))
	cancel(shutdown)
	require.ErrorIs(t, (<-first).err, shutdown)
	b.runner.Leave(call.Key)
	assert.Equal(t, 1, b.count(), "left running")

	second := b.run(t.Context(), call, nil)
	b.exit(call, 0, marker(t, "k", "v"))
	r := <-second
	require.NoError(t, r.err)
	assert.Equal(t, map[string]any{"k": "v"}, r.output)
	assert.Equal(t, uid, b.pod(call).UID, "the same pod")
}

func TestCommandThatFails(t *testing.T) {
	b := newBench(t, clock.RealClock{})
	call := b.call()
	done := b.run(t.Context(), call, nil)
	b.exit(call, 2, strings.Repeat("noise\n", 20)+"fatal: no such table\n\n")
	r := <-done
	assert.Equal(t, event.ReasonPodFailed, reasonOf(t, r.err))
	require.ErrorContains(t, r.err, "the command ended with exit code 2; the log ends with:\nnoise\n")
	require.ErrorContains(t, r.err, "noise\nfatal: no such table")
	assert.Equal(t, 9, strings.Count(r.err.Error(), "noise"))
}

func TestCommandThatMayFail(t *testing.T) {
	b := newBench(t, clock.RealClock{})
	call := b.call()
	done := b.run(t.Context(), call, func(s *function.PodSpec) { s.IgnoreExit = true })
	b.exit(call, 2, marker(t, "k", "v"))
	r := <-done
	require.NoError(t, r.err)
	assert.Equal(t, map[string]any{"k": "v"}, r.output)
}

func TestOutputThatCannotBeRead(t *testing.T) {
	b := newBench(t, clock.RealClock{})
	call := b.call()
	done := b.run(t.Context(), call, nil)
	b.exit(call, 0, `###Phase-output###: {"key":"k","value":1}`)
	r := <-done
	assert.Equal(t, event.ReasonOutput, reasonOf(t, r.err))
	require.ErrorContains(t, r.err, "must be a string")
}

func TestImageThatCannotBePulled(t *testing.T) {
	fake := clocktesting.NewFakeClock(time.Unix(1000, 0))
	b := newBench(t, fake)
	call := b.call()
	done := b.run(t.Context(), call, nil)
	b.status(call, corev1.PodPending, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
		Reason: "ErrImagePull", Message: "manifest unknown",
	}}, "")
	start := fake.Now()
	var r result
	require.Eventually(t, func() bool {
		select {
		case r = <-done:
			return true
		default:
			fake.Step(10 * time.Second)
			return false
		}
	}, 3*time.Minute, 50*time.Millisecond)
	assert.Equal(t, event.ReasonImagePull, reasonOf(t, r.err))
	require.ErrorContains(t, r.err, `image "postgres:0" (container "container") cannot be pulled: ErrImagePull: manifest unknown`)
	assert.GreaterOrEqual(t, fake.Since(start), 90*time.Second)
}

func TestPodDeletedByHand(t *testing.T) {
	b := newBench(t, clock.RealClock{})
	call := b.call()
	done := b.run(t.Context(), call, nil)
	b.status(call, corev1.PodRunning, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, "working\n")
	require.Eventually(t, func() bool { return strings.Contains(b.log.String(), "working") }, 3*time.Minute, 10*time.Millisecond)
	zero := int64(0)
	require.NoError(t, b.client.CoreV1().Pods(b.namespace).Delete(t.Context(), call.Key.PodName(), metav1.DeleteOptions{GracePeriodSeconds: &zero}))
	r := <-done
	assert.Equal(t, event.ReasonPodFailed, reasonOf(t, r.err))
	require.ErrorContains(t, r.err, "the pod was deleted before its command had ended; the log ends with:\nworking")
}

func TestForeignPodIsNotTouched(t *testing.T) {
	for name, labels := range map[string]map[string]string{
		"unlabelled":      nil,
		"another attempt": identityLabels(event.Key{UID: "other", Namespace: "shop", Kind: event.KindCore, Attempt: 1}),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, clock.RealClock{})
			call := b.call()
			_, err := b.client.CoreV1().Pods(b.namespace).Create(t.Context(), &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: call.Key.PodName(), Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "container", Image: "x"}}},
			}, metav1.CreateOptions{})
			require.NoError(t, err)
			r := <-b.run(t.Context(), call, nil)
			require.ErrorIs(t, r.err, errForeign)
			require.NoError(t, b.runner.Cleanup(t.Context(), call.Key))
			assert.Equal(t, 1, b.count())
		})
	}
}

func TestWhatDoesNotExist(t *testing.T) {
	b := newBench(t, clock.RealClock{})
	r := <-b.run(t.Context(), b.call(), func(s *function.PodSpec) { s.Namespace = "nowhere" })
	assert.Equal(t, event.ReasonNotFound, reasonOf(t, r.err))
	require.ErrorContains(t, r.err, "argument namespace: namespace nowhere")

	r = <-b.run(t.Context(), b.call(), func(s *function.PodSpec) { s.Volumes = map[string]string{"data": "/data"} })
	assert.Equal(t, event.ReasonNotFound, reasonOf(t, r.err))
	require.ErrorContains(t, r.err, "argument volumes: claim "+b.namespace+"/data")
	assert.Zero(t, b.count())
}

func TestClaimIsMountedReadOnlyWhereItMust(t *testing.T) {
	b := newBench(t, clock.RealClock{})
	_, err := b.client.CoreV1().PersistentVolumeClaims(b.namespace).Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	call := b.call()
	ctx, cancel := context.WithCancel(t.Context())
	done := b.run(ctx, call, func(s *function.PodSpec) { s.Volumes = map[string]string{"data": "/data"} })
	pod := b.pod(call)
	assert.True(t, pod.Spec.Volumes[0].PersistentVolumeClaim.ReadOnly)
	assert.True(t, pod.Spec.Containers[0].VolumeMounts[0].ReadOnly)
	cancel()
	require.ErrorIs(t, (<-done).err, context.Canceled)
}

// The pod is admitted where Pod Security restricted is enforced, by the real
// admission.
func TestRestrictedNamespaceAdmitsThePod(t *testing.T) {
	b := newBench(t, clock.RealClock{})
	ns, err := b.client.CoreV1().Namespaces().Get(t.Context(), b.namespace, metav1.GetOptions{})
	require.NoError(t, err)
	ns.Labels[labelEnforce] = levelRestricted
	_, err = b.client.CoreV1().Namespaces().Update(t.Context(), ns, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Eventually(t, func() bool { // the admission plugin has a cache of its own
		_, err := b.client.CoreV1().Pods(b.namespace).Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "probe"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "container", Image: "x"}}},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return apierrors.IsForbidden(err)
	}, 3*time.Minute, 50*time.Millisecond)
	call := b.call()
	done := b.run(t.Context(), call, nil)
	b.exit(call, 0, "")
	require.NoError(t, (<-done).err)

	other := b.call()
	other.Key.Attempt = 3
	r := <-b.run(t.Context(), other, func(s *function.PodSpec) {
		s.Override = map[string]any{"hostNetwork": true}
	})
	assert.Equal(t, event.ReasonForbidden, reasonOf(t, r.err))
	require.ErrorContains(t, r.err, "PodSecurity")
}

func TestSweep(t *testing.T) {
	fake := clocktesting.NewFakeClock(time.Now())
	b := newBench(t, fake)
	over, current := b.call(), b.call()
	current.Key.Phase = over.Key.Phase + 1
	for _, call := range []*function.Call{over, current} {
		ctx, cancel := context.WithCancel(t.Context())
		done := b.run(ctx, call, nil)
		b.pod(call)
		require.Eventually(t, func() bool { return len(b.runner.watch.all()) >= 1 && b.runner.watch.get(nameOf(b.pod(call))) != nil }, 3*time.Minute, 10*time.Millisecond)
		cancel()
		<-done
	}
	asked := map[int]bool{}
	ended := func(_ context.Context, id Identity) (bool, error) {
		if id.Key.UID != over.Key.UID {
			return false, nil // another test's
		}
		asked[id.Key.Phase] = true
		return id.Key.Phase == over.Key.Phase, nil
	}
	n, err := b.runner.Sweep(t.Context(), ended)
	require.NoError(t, err)
	assert.Zero(t, n)
	assert.Empty(t, asked, "young pods are left alone")

	fake.Step(10 * time.Minute)
	n, err = b.runner.Sweep(t.Context(), ended)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, map[int]bool{over.Key.Phase: true, current.Key.Phase: true}, asked)
	assert.Equal(t, 1, b.count())
	b.pod(current)
}

func TestSweepKeepsWhatIsNotProved(t *testing.T) {
	fake := clocktesting.NewFakeClock(time.Now())
	b := newBench(t, fake)
	call := b.call()
	ctx, cancel := context.WithCancel(t.Context())
	done := b.run(ctx, call, nil)
	require.Eventually(t, func() bool { return b.runner.watch.get(nameOf(b.pod(call))) != nil }, 3*time.Minute, 10*time.Millisecond)
	fake.Step(5 * time.Minute)
	_, err := b.runner.Sweep(t.Context(), func(ctx context.Context, id Identity) (bool, error) {
		return id.Key == call.Key, nil
	})
	require.NoError(t, err)
	assert.Equal(t, 1, b.count(), "somebody follows it")
	cancel()
	<-done
	broken := errors.New("the store does not answer")
	_, err = b.runner.Sweep(t.Context(), func(context.Context, Identity) (bool, error) { return true, broken })
	require.ErrorIs(t, err, broken)
	assert.Equal(t, 1, b.count())
}

// The attempt may be done and its pod deleted by the runner that took over.
func TestNoPodForAJobThatAnotherRunnerHas(t *testing.T) {
	b := newBench(t, clock.RealClock{})
	lost, call := errors.New("lost"), b.call()
	call.Held = func() error { return lost }
	_, err := b.runner.Run(t.Context(), call, function.PodSpec{Namespace: b.namespace, Image: "x", Command: []string{"x"}})
	require.ErrorIs(t, err, lost)
	assert.Zero(t, b.count())
}
