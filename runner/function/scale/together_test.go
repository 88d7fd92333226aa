package scale_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/runner/function/scale"
	"github.com/salvor-io/salvor/runner/functiontest"
)

// Twenty calls at once, each for a workload of its own: each is scaled to its own
// count before its call says so, and each call gives the count that was. In Kanister
// they write to the fields of one value, and some workloads are left as they were
// while their ActionSets say complete.
func TestTwentyAtOnce(t *testing.T) {
	const calls = 20
	c := newCluster(t)
	clients := functiontest.Clients(t, server.Config())
	for i := range calls {
		before := int32(i + 1)
		_, err := c.client.AppsV1().Deployments(c.namespace).Create(t.Context(), &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("db-%d", i)},
			Spec:       appsv1.DeploymentSpec{Replicas: &before, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template()},
		}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	c.play("Deployment")
	ended := make(chan error, calls)
	for i := range calls {
		name, after := fmt.Sprintf("db-%d", i), int32(2*calls-i)
		call := functiontest.NewCall(t, clients, functiontest.Phase{Func: scale.Name, Args: map[string]any{
			"replicas": fmt.Sprintf("{{ sub %d %d }}", 2*calls, i), "kind": "Deployment", "name": name, "namespace": c.namespace,
		}})
		go func() {
			output, err := scale.New().Execute(t.Context(), call)
			if err == nil {
				var d *appsv1.Deployment
				d, err = c.client.AppsV1().Deployments(c.namespace).Get(t.Context(), name, metav1.GetOptions{})
				if err == nil && (*d.Spec.Replicas != after || d.Status.ReadyReplicas != after || output[scale.OutputOriginal] != int64(i+1)) {
					err = fmt.Errorf("%s: asked for %d; wanted %d, ready %d, output %v", name, after, *d.Spec.Replicas, d.Status.ReadyReplicas, output)
				}
			}
			ended <- err
		}()
	}
	for range calls {
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-time.After(3 * time.Minute):
			t.Fatal("a call does not end")
		}
	}
}
