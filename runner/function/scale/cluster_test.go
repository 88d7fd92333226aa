package scale_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

const hash = "5d4f8"

// cluster plays the controllers of one namespace.
type cluster struct {
	t         *testing.T
	client    kubernetes.Interface
	namespace string
	release   sync.Once
}

func newCluster(t *testing.T) *cluster {
	client, err := kubernetes.NewForConfig(server.Config())
	require.NoError(t, err)
	return &cluster{t: t, client: client, namespace: server.Namespace(t)}
}

var labels = map[string]string{"app": "db"}

func template() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "busybox"}}},
	}
}

func (c *cluster) deployment(replicas int32) {
	d, err := c.client.AppsV1().Deployments(c.namespace).Create(c.t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "db", Annotations: map[string]string{"keep": "me"}},
		Spec:       appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template()},
	}, metav1.CreateOptions{})
	require.NoError(c.t, err)
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: replicas, ReadyReplicas: replicas}
	_, err = c.client.AppsV1().Deployments(c.namespace).UpdateStatus(c.t.Context(), d, metav1.UpdateOptions{})
	require.NoError(c.t, err)
	for i := range replicas {
		c.pod(fmt.Sprintf("db-%s-%d", hash, i), "ReplicaSet", "db-"+hash, "rs-uid")
	}
}

func (c *cluster) statefulSet(replicas int32) {
	s, err := c.client.AppsV1().StatefulSets(c.namespace).Create(c.t.Context(), &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "db"},
		Spec:       appsv1.StatefulSetSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template()},
	}, metav1.CreateOptions{})
	require.NoError(c.t, err)
	s.Status = appsv1.StatefulSetStatus{ObservedGeneration: s.Generation, Replicas: replicas, ReadyReplicas: replicas}
	_, err = c.client.AppsV1().StatefulSets(c.namespace).UpdateStatus(c.t.Context(), s, metav1.UpdateOptions{})
	require.NoError(c.t, err)
	for i := range replicas {
		c.pod(fmt.Sprintf("db-%d", i), "StatefulSet", "db", s.UID)
	}
}

func (c *cluster) pod(name, kind, owner string, uid types.UID) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{"app": "db", "pod-template-hash": hash},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: owner, UID: uid, Controller: ptr.To(true)}},
		},
		Spec: template().Spec,
	}
	_, err := c.client.CoreV1().Pods(c.namespace).Create(c.t.Context(), pod, metav1.CreateOptions{})
	require.NoError(c.t, err)
}

// play starts the controller of one kind; it stops with the test.
func (c *cluster) play(kind string) {
	c.release.Do(func() {
		ctx, cancel := context.WithCancel(c.t.Context())
		var done sync.WaitGroup
		c.t.Cleanup(func() { cancel(); done.Wait() })
		if kind == "Deployment" {
			done.Go(func() { c.playDeployment(ctx) })
		} else {
			done.Go(func() { c.playStatefulSet(ctx) })
		}
	})
}

func (c *cluster) playDeployment(ctx context.Context) {
	w, err := c.client.AppsV1().Deployments(c.namespace).Watch(ctx, metav1.ListOptions{})
	if !assert.NoError(c.t, err) {
		return
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		d, ok := e.Object.(*appsv1.Deployment)
		if !ok || d.Status.ObservedGeneration == d.Generation {
			continue
		}
		n := *d.Spec.Replicas
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, ReadyReplicas: n}
		if _, err := c.client.AppsV1().Deployments(c.namespace).UpdateStatus(ctx, d, metav1.UpdateOptions{}); err == nil {
			c.deletePods(ctx, n)
		}
	}
}

func (c *cluster) playStatefulSet(ctx context.Context) {
	w, err := c.client.AppsV1().StatefulSets(c.namespace).Watch(ctx, metav1.ListOptions{})
	if !assert.NoError(c.t, err) {
		return
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		s, ok := e.Object.(*appsv1.StatefulSet)
		if !ok || s.Status.ObservedGeneration == s.Generation {
			continue
		}
		n := *s.Spec.Replicas
		s.Status = appsv1.StatefulSetStatus{ObservedGeneration: s.Generation, Replicas: n, ReadyReplicas: n}
		if _, err := c.client.AppsV1().StatefulSets(c.namespace).UpdateStatus(ctx, s, metav1.UpdateOptions{}); err == nil {
			c.deletePods(ctx, n)
		}
	}
}

// deletePods leaves n of the workload's pods.
func (c *cluster) deletePods(ctx context.Context, n int32) {
	pods, err := c.client.CoreV1().Pods(c.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=db"})
	if err != nil {
		return
	}
	for i := int(n); i < len(pods.Items); i++ {
		_ = c.client.CoreV1().Pods(c.namespace).Delete(ctx, pods.Items[i].Name, metav1.DeleteOptions{})
	}
}
