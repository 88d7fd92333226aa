package pods

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/runner/function"
)

func withSecret(spec *function.PodSpec) {
	spec.SecretEnv = map[string]string{"PASSWORD": "canary-7f3a", "KEY": "k"}
}

// secret waits for the call's Secret.
func (b *bench) secret(name string) *corev1.Secret {
	b.t.Helper()
	var secret *corev1.Secret
	require.Eventually(b.t, func() (ok bool) {
		var err error
		secret, err = b.client.CoreV1().Secrets(b.namespace).Get(b.t.Context(), name, metav1.GetOptions{})
		return err == nil
	}, 3*time.Minute, 10*time.Millisecond, "no Secret appeared")
	return secret
}

func (b *bench) secrets() int {
	b.t.Helper()
	list, err := b.client.CoreV1().Secrets(b.namespace).List(b.t.Context(), metav1.ListOptions{LabelSelector: LabelRun})
	require.NoError(b.t, err)
	return len(list.Items)
}

func TestSecretValuesAreInASecretOfThePod(t *testing.T) {
	t.Parallel()
	b := newBench(t, clock.RealClock{})
	call := b.call()
	done := b.run(t.Context(), call, withSecret)
	secret, pod := b.secret(call.Key.PodName()), b.pod(call)
	assert.Equal(t, map[string][]byte{"PASSWORD": []byte("canary-7f3a"), "KEY": []byte("k")}, secret.Data)
	assert.True(t, metav1.IsControlledBy(secret, pod), "it goes with the pod, whatever becomes of the runner")
	text, err := pod.Marshal()
	require.NoError(t, err)
	assert.NotContains(t, string(text), "canary-7f3a")
	var names []string
	for _, e := range pod.Spec.Containers[0].Env {
		names = append(names, e.Name)
		assert.Equal(t, pod.Name, e.ValueFrom.SecretKeyRef.Name)
		assert.Equal(t, e.Name, e.ValueFrom.SecretKeyRef.Key)
	}
	assert.Equal(t, []string{"KEY", "PASSWORD"}, names)
	b.exit(call, 0, "")
	require.NoError(t, (<-done).err)
	assert.Equal(t, 1, b.secrets())
	require.NoError(t, b.runner.Cleanup(t.Context(), call.Key))
	assert.Zero(t, b.secrets(), "it does not wait for the garbage collector")
	assert.NotContains(t, b.log.String(), "canary-7f3a")
}

// The runner was lost between the pod and its Secret.
func TestAnAdoptedPodGetsItsSecret(t *testing.T) {
	t.Parallel()
	b := newBench(t, clock.RealClock{})
	call := b.call()
	done := b.run(t.Context(), call, withSecret)
	b.secret(call.Key.PodName())
	require.NoError(t, b.client.CoreV1().Secrets(b.namespace).Delete(t.Context(), call.Key.PodName(), metav1.DeleteOptions{}))
	next := newBenchIn(t, clock.RealClock{}, b.namespace)
	again := next.run(t.Context(), call, withSecret)
	assert.True(t, metav1.IsControlledBy(next.secret(call.Key.PodName()), b.pod(call)))
	third := newBenchIn(t, clock.RealClock{}, b.namespace) // finds all there
	once := third.run(t.Context(), call, withSecret)
	b.exit(call, 0, "")
	for _, ended := range []<-chan result{done, again, once} {
		require.NoError(t, (<-ended).err)
	}
	assert.Equal(t, 1, b.secrets())
}

// A Secret of that name that belongs to a pod which is gone gives way.
func TestTheSecretOfAnEarlierPodIsReplaced(t *testing.T) {
	t.Parallel()
	b := newBench(t, clock.RealClock{})
	call := b.call()
	_, err := b.client.CoreV1().Secrets(b.namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: call.Key.PodName()}, Data: map[string][]byte{"PASSWORD": []byte("old")},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	done := b.run(t.Context(), call, withSecret)
	require.Eventually(t, func() bool { return string(b.secret(call.Key.PodName()).Data["PASSWORD"]) == "canary-7f3a" }, 3*time.Minute, 10*time.Millisecond)
	b.exit(call, 0, "")
	require.NoError(t, (<-done).err)
}

// Several pods of one call: each has its name, its mark and its output, and all go.
func TestPartsArePodsOfTheirOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t, clock.RealClock{})
	call := b.call()
	call.Marks = &partMarks{of: map[string]*marks{}}
	parts := []string{"db-0", strings.Repeat("a long name of a pod ", 20)}
	ended := make([]<-chan result, len(parts))
	for i, part := range parts {
		ended[i] = b.run(t.Context(), call, func(spec *function.PodSpec) { withSecret(spec); spec.Part = part })
		b.secret(call.Key.PartName(part))
	}
	for _, part := range parts {
		pod, err := b.client.CoreV1().Pods(b.namespace).Get(t.Context(), call.Key.PartName(part), metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, part, pod.Annotations[AnnotationPart])
		require.Eventually(t, func() bool { uid, _ := call.Marks.Marked(t.Context(), part); return uid == pod.UID }, 3*time.Minute, 10*time.Millisecond)
	}
	_, err := b.client.CoreV1().Pods(b.namespace).Get(t.Context(), call.Key.PodName(), metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err))
	b.end(marker(t, "k", "v"))
	for _, done := range ended {
		r := <-done
		require.NoError(t, r.err)
		assert.Equal(t, map[string]any{"k": "v"}, r.output)
	}
	require.NoError(t, b.runner.Cleanup(t.Context(), call.Key))
	assert.Zero(t, b.count())
	assert.Zero(t, b.secrets())
}
