package runner

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/runner/function"
)

func TestJobThatAnotherRunnerHolds(t *testing.T) {
	b := newBench(t, nil)
	task := returns(nil, nil)
	lease, err := b.leases.Claim(t.Context(), b.key(event.KindCore, 0), stream.Holder{Name: "other", Incarnation: "1"}, time.Minute)
	require.NoError(t, err)
	b.start("r1", function.Registry{"KubeTask": task.factory}, nil)
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	consumer, err := b.jobs.Consumer(t.Context(), event.DefaultPool, DefaultOptions().AckWait)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, err := consumer.Info(t.Context())
		return err == nil && info.NumRedelivered > 0
	}, patience, 10*time.Millisecond, "the job comes around again")
	assert.Empty(t, task.began)
	b.noReport()
	require.NoError(t, lease.Release(t.Context()))
	assert.Equal(t, event.ReportSucceeded, b.report().Kind, "the other runner is gone")
}

func TestLostClaimStopsWithoutAReport(t *testing.T) {
	b := newBench(t, nil)
	r := b.start("r1", nil, func(_ *Deps, o *Options) { o.ClaimTTL = 3 * time.Second })
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	b.pod()
	// Another runner takes over what this one did not renew in time.
	kv, err := b.js.KeyValue(t.Context(), event.BucketLeases)
	require.NoError(t, err)
	_, err = kv.PutString(t.Context(), event.ClaimKey(b.key(event.KindCore, 0)), `{"name":"other","incarnation":"1"}`)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.active.count() == 0 }, patience, 10*time.Millisecond)
	b.noReport()
	assert.Equal(t, 1, b.pods(), "the pod is the other's now")
	assert.Contains(t, b.log.String(), "lost the claim")
}

func TestCancelStopsCorePhases(t *testing.T) {
	b := newBench(t, nil)
	b.start("r1", nil, nil)
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	b.pod()
	require.NoError(t, b.leases.Cancel(t.Context(), "another"))
	require.NoError(t, b.leases.Cancel(t.Context(), "u1"))
	require.Eventually(t, func() bool { return strings.Contains(b.log.String(), "does not know of any more") }, patience, 10*time.Millisecond)
	b.noReport() // the mark is of a round before, seen late: nobody has cancelled this one
	require.NoError(t, b.leases.ClearCancel(t.Context(), "u1"))
	b.cancel()
	r := b.report()
	assert.Equal(t, event.ReportCancelled, r.Kind)
	assert.Equal(t, event.ReasonCancelled, r.Failure.Reason)
	assert.Zero(t, b.pods(), "gone before it is reported")
	b.settled()
}

// cancel does what the dispatcher does, in its order.
func (b *bench) cancel() {
	b.t.Helper()
	b.update(func(r *event.Run) { r.Cancel = &event.Cancel{Reason: "ActionSet deleted"} })
	require.NoError(b.t, b.leases.Cancel(b.t.Context(), "u1"))
}

func TestCancelBeforeTheJobIsTaken(t *testing.T) {
	b := newBench(t, nil)
	task := returns(nil, nil)
	b.update(func(r *event.Run) { r.Cancel = &event.Cancel{Reason: "ActionSet deleted"} })
	b.start("r1", function.Registry{"KubeTask": task.factory}, nil)
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	assert.Equal(t, event.ReportCancelled, b.report().Kind)
	assert.Empty(t, task.began)
}

func TestCancelDoesNotStopTheDeferPhase(t *testing.T) {
	b := newBench(t, nil)
	b.update(func(r *event.Run) { r.Cancel = &event.Cancel{Reason: "ActionSet deleted"} })
	resume := make(chan struct{})
	task := newCall(func(ctx context.Context, _ *function.Call) (map[string]any, error) {
		<-resume
		return nil, ctx.Err()
	})
	core := blocks()
	b.start("r1", function.Registry{"KubeTask": task.factory, "KubeExec": core.factory}, nil)
	b.publish(event.Job{Key: b.key(event.KindDefer, 0)})
	within(t, task.began, "the call")
	require.NoError(t, b.leases.Cancel(t.Context(), "u1"))
	b.publish(event.Job{Key: b.key(event.KindCore, 1)})
	assert.Equal(t, event.ReportCancelled, b.report().Kind, "by now the mark has been seen")
	close(resume)
	assert.Equal(t, event.ReportSucceeded, b.report().Kind)
}

// The runner is stopped in the middle; the next one follows the same pod.
func TestShutdownHandsThePodOver(t *testing.T) {
	b := newBench(t, nil)
	first := b.start("r1", nil, nil)
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	pod := b.pod()
	require.NoError(t, first.stop())
	b.noReport()
	assert.Equal(t, 1, b.pods(), "left running")

	second := b.start("r2", nil, nil)
	require.Eventually(t, func() bool { return second.active.count() == 1 }, patience, 10*time.Millisecond, "taken at once")
	b.exit(pod, 0)
	r := b.report()
	assert.Equal(t, event.ReportSucceeded, r.Kind)
	assert.Equal(t, "r2", r.Runner)
	assert.Equal(t, "shop/"+pod.Name, r.Pod)
	b.settled()
	assert.Equal(t, 1, b.created(), "one pod for the phase, ever")
	require.Eventually(t, func() bool { return b.pods() == 0 }, patience, 10*time.Millisecond)
}

// The runner dies without a word: nothing is released, the claim runs out.
func TestDeadRunnerIsReplaced(t *testing.T) {
	b := newBench(t, nil)
	key := b.key(event.KindCore, 0)
	_, err := b.leases.Claim(t.Context(), key, stream.Holder{Name: "dead", Incarnation: "1"}, time.Second)
	require.NoError(t, err)
	b.start("r1", function.Registry{"KubeTask": returns(nil, nil).factory}, nil)
	b.publish(event.Job{Key: key})
	assert.Equal(t, event.ReportSucceeded, b.report().Kind)
}

func TestRestartedRunnerTakesUpItsOwnClaimAtOnce(t *testing.T) {
	b := newBench(t, nil)
	key := b.key(event.KindCore, 0)
	_, err := b.leases.Claim(t.Context(), key, stream.Holder{Name: "r1", Incarnation: "before"}, time.Hour)
	require.NoError(t, err)
	b.start("r1", function.Registry{"KubeTask": returns(nil, nil).factory}, nil)
	b.publish(event.Job{Key: key})
	assert.Equal(t, event.ReportSucceeded, b.report().Kind)
}

func TestShutdownLetsAFunctionThatMayRunOnceFinish(t *testing.T) {
	b := newBench(t, nil)
	resume := make(chan struct{})
	exec := newCall(func(context.Context, *function.Call) (map[string]any, error) {
		<-resume
		return map[string]any{"k": "v"}, nil
	})
	r := b.start("r1", function.Registry{"KubeExec": exec.factory}, nil)
	b.publish(event.Job{Key: b.key(event.KindCore, 1)})
	within(t, exec.began, "the call")
	r.cancel()
	require.Eventually(t, func() bool { return !r.taking.Load() }, patience, 10*time.Millisecond)
	close(resume)
	require.NoError(t, <-r.done)
	assert.Equal(t, map[string]any{"k": "v"}, outputOf(t, b.report()))
	b.settled()
}

func TestShutdownTellsWhatItInterrupted(t *testing.T) {
	b := newBench(t, nil)
	exec := blocks()
	fake := clocktesting.NewFakeClock(time.Unix(1000, 0))
	r := b.start("r1", function.Registry{"KubeExec": exec.factory}, func(d *Deps, _ *Options) { d.Clock = fake })
	b.publish(event.Job{Key: b.key(event.KindCore, 1)})
	within(t, exec.began, "the call")
	r.cancel()
	require.Eventually(t, func() bool {
		fake.Step(100 * time.Millisecond)
		return len(exec.ended) == 1
	}, patience, time.Millisecond)
	require.NoError(t, <-r.done)
	assert.GreaterOrEqual(t, fake.Since(time.Unix(1000, 0)), shutdownGrace)
	report := b.report()
	assert.Equal(t, event.ReasonInterrupted, report.Failure.Reason)
	assert.Contains(t, report.Failure.Message, "the runner was shut down")
	b.settled()
}

// pod waits for the pod of the first phase.
func (b *bench) pod() *corev1.Pod {
	b.t.Helper()
	var pod *corev1.Pod
	require.Eventually(b.t, func() bool {
		list, err := b.kube.CoreV1().Pods("shop").List(b.t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) == 0 {
			return false
		}
		pod = &list.Items[0]
		return true
	}, patience, 10*time.Millisecond, "no pod; log:\n%s", b.log.String())
	return pod
}

func (b *bench) exit(pod *corev1.Pod, code int32) {
	b.t.Helper()
	pod = pod.DeepCopy()
	end := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "container", State: end}}
	for _, c := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: c.Name, State: end})
	}
	_, err := b.kube.CoreV1().Pods(pod.Namespace).UpdateStatus(b.t.Context(), pod, metav1.UpdateOptions{})
	require.NoError(b.t, err)
}

// created counts the requests to make a pod.
func (b *bench) created() int {
	n := 0
	for _, a := range b.kube.Actions() {
		if a.Matches("create", "pods") {
			n++
		}
	}
	return n
}

// A process that was frozen longer than its claim lives does not begin anything,
// though nobody has told it yet that the claim is lost.
func TestClaimIsLostByTheClock(t *testing.T) {
	c := clocktesting.NewFakeClock(time.Unix(1000, 0))
	ctx, lose := context.WithCancelCause(t.Context())
	held := &claim{clock: c, ttl: 15 * time.Second, stop: lose}
	asked := c.Now()
	held.asked.Store(&asked)
	c.Step(14 * time.Second)
	require.NoError(t, held.held())
	c.Step(time.Second)
	require.ErrorIs(t, held.held(), errLost)
	assert.True(t, held.lost.Load())
	require.ErrorIs(t, context.Cause(ctx), errLost)
}
