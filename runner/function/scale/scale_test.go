package scale_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/runner/function/scale"
	"github.com/salvor-io/salvor/runner/functiontest"
)

func TestScaleDown(t *testing.T) {
	functiontest.Run(t, functiontest.Harness{
		Name: scale.Name,
		New:  scale.New,
		World: func(t *testing.T) functiontest.World {
			c := newCluster(t)
			c.deployment(3)
			clients, watching := functiontest.WatchingClients(t, server.Config())
			call := functiontest.NewCall(t, clients, functiontest.Phase{
				Func: scale.Name,
				Args: map[string]any{"replicas": int64(0), "name": "{{ .Options.name }}", "namespace": c.namespace, "kind": "DEPLOYMENT"},
				// What the arguments say wins over the action's object.
				Object:  kanister.ObjectReference{Kind: "StatefulSet", Name: "other", Namespace: "other"},
				Options: map[string]string{"name": "db"},
			})
			return functiontest.World{
				Call: call, Busy: watching,
				Release: func() { c.play("Deployment") },
				Check: func(t *testing.T, output map[string]any) {
					assert.Equal(t, map[string]any{scale.OutputOriginal: int64(3)}, output)
					d, err := c.client.AppsV1().Deployments(c.namespace).Get(t.Context(), "db", metav1.GetOptions{})
					require.NoError(t, err)
					assert.Zero(t, *d.Spec.Replicas)
					assert.Equal(t, "me", d.Annotations["keep"])
					pods, err := c.client.CoreV1().Pods(c.namespace).List(t.Context(), metav1.ListOptions{})
					require.NoError(t, err)
					assert.Empty(t, pods.Items, "the pods must be gone when the phase ends")
				},
			}
		},
		Bad: []functiontest.Bad{
			{Name: "no replicas", Set: map[string]any{"replicas": nil}, Want: `argument "replicas" is missing`},
			{Name: "a fraction", Set: map[string]any{"replicas": 1.5}, Want: `argument "replicas" must be a whole number`},
			{Name: "a word", Set: map[string]any{"replicas": "many"}, Want: `argument "replicas" must be a whole number`},
			{Name: "an unknown kind", Set: map[string]any{"kind": "DaemonSet"}, Want: `argument "kind" must be deployment, statefulset or deploymentconfig, not "DaemonSet"`},
			{Name: "a word for waitForReady", Set: map[string]any{"waitForReady": "maybe"}, Want: `argument "waitForReady" must be true or false`},
			{Name: "a workload that is not there", Set: map[string]any{"name": "nope"}, Want: `deployments.apps "nope" not found`, Reason: event.ReasonNotFound},
			{Name: "a kind that the cluster lacks", Set: map[string]any{"kind": "deploymentconfig"}, Want: "DeploymentConfig", Reason: event.ReasonNotFound},
		},
	})
}

func TestScaleUpTheObjectOfTheAction(t *testing.T) {
	functiontest.Run(t, functiontest.Harness{
		Name: scale.Name,
		New:  scale.New,
		World: func(t *testing.T) functiontest.World {
			c := newCluster(t)
			c.statefulSet(1)
			clients, watching := functiontest.WatchingClients(t, server.Config())
			return functiontest.World{
				Call: functiontest.NewCall(t, clients, functiontest.Phase{
					Func: scale.Name, Args: map[string]any{"replicas": "{{ len \"four\" }}"},
					Object: kanister.ObjectReference{Kind: "statefulset", Name: "db", Namespace: c.namespace},
				}),
				Busy:    watching,
				Release: func() { c.play("StatefulSet") },
				Check: func(t *testing.T, output map[string]any) {
					assert.Equal(t, map[string]any{scale.OutputOriginal: int64(1)}, output)
					s, err := c.client.AppsV1().StatefulSets(c.namespace).Get(t.Context(), "db", metav1.GetOptions{})
					require.NoError(t, err)
					assert.Equal(t, int32(4), *s.Spec.Replicas)
					assert.Equal(t, int32(4), s.Status.ReadyReplicas, "it must be ready when the phase ends")
				},
			}
		},
	})
}

func call(t *testing.T, c *cluster, args map[string]any) (map[string]any, error) {
	args["name"], args["namespace"] = "db", c.namespace
	p := functiontest.Phase{Func: scale.Name, Args: args}
	return scale.New().Execute(t.Context(), functiontest.NewCall(t, functiontest.Clients(t, server.Config()), p))
}

// start runs the function and returns where its error goes.
func start(t *testing.T, clients *kube.Clients, args map[string]any) <-chan error {
	call := functiontest.NewCall(t, clients, functiontest.Phase{Func: scale.Name, Args: args})
	ended := make(chan error, 1)
	go func() {
		_, err := scale.New().Execute(t.Context(), call)
		ended <- err
	}()
	return ended
}

func TestWithoutWaiting(t *testing.T) {
	c := newCluster(t)
	c.deployment(3) // and nobody plays its controller
	output, err := call(t, c, map[string]any{"kind": "deployment", "replicas": int64(1), "waitForReady": "false"})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{scale.OutputOriginal: int64(3)}, output)

	// The next phase is another one: it finds 1.
	output, err = call(t, c, map[string]any{"kind": "deployment", "replicas": int64(3), "waitForReady": false})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{scale.OutputOriginal: int64(1)}, output)
}

func TestPodsOfOthersAreNotWaitedFor(t *testing.T) {
	c := newCluster(t)
	c.statefulSet(1)
	c.pod("foreign", "StatefulSet", "other", "other-uid") // matches the selector
	// A pod that has ended holds nothing.
	c.pod("evicted", "StatefulSet", "db", "x")
	s, err := c.client.AppsV1().StatefulSets(c.namespace).Get(t.Context(), "db", metav1.GetOptions{})
	require.NoError(t, err)
	evicted, err := c.client.CoreV1().Pods(c.namespace).Get(t.Context(), "evicted", metav1.GetOptions{})
	require.NoError(t, err)
	evicted.OwnerReferences[0].UID = s.UID
	evicted, err = c.client.CoreV1().Pods(c.namespace).Update(t.Context(), evicted, metav1.UpdateOptions{})
	require.NoError(t, err)
	evicted.Status.Phase = corev1.PodFailed
	_, err = c.client.CoreV1().Pods(c.namespace).UpdateStatus(t.Context(), evicted, metav1.UpdateOptions{})
	require.NoError(t, err)

	ended := start(t, functiontest.Clients(t, server.Config()),
		map[string]any{"replicas": int64(0), "kind": "statefulset", "name": "db", "namespace": c.namespace})
	setStatus(t, c, 0)
	require.NoError(t, c.client.CoreV1().Pods(c.namespace).Delete(t.Context(), "db-0", metav1.DeleteOptions{}))
	require.NoError(t, <-ended)
}

func TestSomebodyElseScales(t *testing.T) {
	c := newCluster(t)
	c.statefulSet(2)
	clients, watching := functiontest.WatchingClients(t, server.Config())
	ended := start(t, clients, map[string]any{"replicas": int64(0), "kind": "statefulset", "name": "db", "namespace": c.namespace})
	<-watching
	patch := []byte(`{"spec":{"replicas":2}}`)
	_, err := c.client.AppsV1().StatefulSets(c.namespace).Patch(t.Context(), "db", types.MergePatchType, patch, metav1.PatchOptions{})
	require.NoError(t, err)
	require.ErrorContains(t, <-ended, "somebody else set its replicas to 2")
}

func TestDeletedWhileWaiting(t *testing.T) {
	c := newCluster(t)
	c.statefulSet(2)
	clients, watching := functiontest.WatchingClients(t, server.Config())
	ended := start(t, clients, map[string]any{"replicas": int64(3), "kind": "statefulset", "name": "db", "namespace": c.namespace})
	<-watching
	require.NoError(t, c.client.AppsV1().StatefulSets(c.namespace).Delete(t.Context(), "db", metav1.DeleteOptions{}))
	err := <-ended
	require.ErrorContains(t, err, "is deleted")
	assert.Equal(t, event.ReasonNotFound, functiontest.ReasonOf(err))
}

// The verbs that docs/functions.md names are enough.
func TestVerbs(t *testing.T) {
	c := newCluster(t)
	c.deployment(2)
	c.play("Deployment")
	user := functiontest.User(t, server, c.namespace,
		rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get", "list", "watch", "update"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list", "watch"}})
	ended := start(t, functiontest.Clients(t, user), map[string]any{"replicas": int64(0), "kind": "deployment", "name": "db", "namespace": c.namespace})
	require.NoError(t, <-ended)

	nobody := functiontest.User(t, server, c.namespace)
	err := <-start(t, functiontest.Clients(t, nobody), map[string]any{"replicas": int64(1), "kind": "deployment", "name": "db", "namespace": c.namespace})
	assert.Equal(t, event.ReasonForbidden, functiontest.ReasonOf(err), "%v", err)
}

// setStatus says that the controller has done what the spec asks, once it does.
func setStatus(t *testing.T, c *cluster, replicas int32) {
	t.Helper()
	w, err := c.client.AppsV1().StatefulSets(c.namespace).Watch(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	defer w.Stop()
	for range w.ResultChan() {
		s, err := c.client.AppsV1().StatefulSets(c.namespace).Get(t.Context(), "db", metav1.GetOptions{})
		require.NoError(t, err)
		if *s.Spec.Replicas != replicas {
			continue
		}
		s.Status.ObservedGeneration, s.Status.Replicas, s.Status.ReadyReplicas = s.Generation, replicas, replicas
		_, err = c.client.AppsV1().StatefulSets(c.namespace).UpdateStatus(t.Context(), s, metav1.UpdateOptions{})
		require.NoError(t, err)
		return
	}
}
