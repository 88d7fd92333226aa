package pods

import (
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
)

// A phase that names no namespace runs in Salvor's own, and there not with Salvor's
// account: with the one that is lent to tasks, or with none.
func TestNamespaceAndServiceAccount(t *testing.T) {
	own, other := server.Namespace(t), server.Namespace(t)
	client, err := kubernetes.NewForConfig(server.Config())
	require.NoError(t, err)
	for name, tt := range map[string]struct{ task, namespace, account, wantNamespace, wantAccount string }{
		"neither is named":         {"", "", "", own, ""},
		"an account is lent":       {"worker", "", "", own, "worker"},
		"Salvor's own by its name": {"worker", own, "", own, "worker"},
		"another's namespace":      {"worker", other, "", other, ""},
		"the blueprint's account":  {"worker", own, "mine", own, "mine"},
		"the same elsewhere":       {"", other, "mine", other, "mine"},
	} {
		t.Run(name, func(t *testing.T) {
			o := DefaultOptions()
			o.OwnNamespace, o.TaskServiceAccount = own, tt.task
			pod, _, err := Preview(t.Context(), Deps{Client: client, Clock: clock.RealClock{}, Log: zerolog.Nop()}, o, testCall(),
				function.PodSpec{Image: "x", Command: []string{"true"}, Namespace: tt.namespace, ServiceAccount: tt.account})
			require.NoError(t, err)
			assert.Equal(t, tt.wantNamespace, pod.Namespace)
			assert.Equal(t, tt.wantAccount, pod.Spec.ServiceAccountName)
		})
	}
}

// A pod that finds no node because of its claim fails at once, and does not wait for the
// time that a pod has to start, as in Kanister.
func TestClaimThatCanNeverBeMounted(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(b *bench, claim *corev1.PersistentVolumeClaim) error
		want  string
	}{
		"its volume is lost": {func(b *bench, claim *corev1.PersistentVolumeClaim) error {
			claim.Status.Phase = corev1.ClaimLost
			_, err := b.client.CoreV1().PersistentVolumeClaims(b.namespace).UpdateStatus(b.t.Context(), claim, metav1.UpdateOptions{})
			return err
		}, "claim data has lost its volume"},
		"it is being deleted": {func(b *bench, claim *corev1.PersistentVolumeClaim) error {
			return b.client.CoreV1().PersistentVolumeClaims(b.namespace).Delete(b.t.Context(), claim.Name, metav1.DeleteOptions{})
		}, "claim data is being deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, clock.RealClock{})
			claim, err := b.client.CoreV1().PersistentVolumeClaims(b.namespace).Create(t.Context(), &corev1.PersistentVolumeClaim{
				ObjectMeta: metav1.ObjectMeta{Name: "data", Finalizers: []string{"example.com/hold"}},
				Spec: corev1.PersistentVolumeClaimSpec{
					AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
					Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
				},
			}, metav1.CreateOptions{})
			require.NoError(t, err)
			call := b.call()
			done := b.run(t.Context(), call, func(s *function.PodSpec) { s.Volumes = map[string]string{"data": "/data"} })
			pod := b.pod(call)
			require.NoError(t, tt.spoil(b, claim))
			pod.Status.Conditions = []corev1.PodCondition{{
				Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/1 nodes are available",
			}}
			_, err = b.client.CoreV1().Pods(b.namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
			require.NoError(t, err)
			r := <-done
			assert.Equal(t, event.ReasonPodFailed, reasonOf(t, r.err))
			require.ErrorContains(t, r.err, tt.want)
		})
	}
}
