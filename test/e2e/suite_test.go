//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/test/harness"
)

// restops end the port-forwards that tests made anew.
var restops []func()

// suiteContext outlives a test.
func suiteContext() context.Context { return context.Background() }

// kanistersNamespace is where Kanister's users keep ActionSets, Blueprints and Profiles.
const kanistersNamespace = "kanister"

// tick is how often a condition is looked at again.
const tick = 100 * time.Millisecond

// patience bounds every wait. Nothing is expected to take it.
const patience = 3 * time.Minute

// suite is what all tests share.
var suite struct {
	tools   *harness.Tools
	clients *kube.Clients
	// events is the address of the bridge.
	events string
}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx := context.Background()
	tools, err := harness.Find(os.Getenv("KUBECONFIG"))
	if err != nil {
		return 1, err
	}
	suite.tools = tools
	config, err := clientcmd.BuildConfigFromFlags("", tools.Kubeconfig)
	if err != nil {
		return 1, err
	}
	if suite.clients, err = kube.New(config); err != nil {
		return 1, err
	}
	if err := install(ctx); err != nil {
		return 1, err
	}
	address, stop, err := tools.Forward(ctx, "salvor", "salvor", 8080)
	if err != nil {
		return 1, err
	}
	defer func() {
		stop()
		for _, again := range restops {
			again()
		}
	}()
	suite.events = "http://" + address + "/events/"
	return m.Run(), nil
}

// namespaces of the tests; Salvor is allowed to work in each.
var namespaces = []string{
	"e2e-survive", "e2e-cancel", "e2e-input", "e2e-secret", "e2e-event", "e2e-functions", upgradeNamespace, retentionNamespace,
	"e2e-kanister", "e2e-mysql", "e2e-startstop", "e2e-replicas", "e2e-timelog", "e2e-csi", kanistersNamespace,
}

func install(ctx context.Context) error {
	if _, err := suite.tools.Kubectl(ctx, append([]string{"delete", "namespace", "--ignore-not-found", "--wait"}, namespaces...)...); err != nil {
		return err
	}
	var manifests strings.Builder
	for _, namespace := range namespaces {
		fmt.Fprintf(&manifests, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n---\n", namespace)
	}
	if err := suite.tools.Apply(ctx, manifests.String()); err != nil {
		return err
	}
	if err := suite.tools.Install(ctx, "dev", namespaces...); err != nil {
		return err
	}
	if _, err := suite.tools.Kubectl(ctx, "apply", "-f", filepath.Join("deploy", "local", "manifests", "s3.yaml")); err != nil {
		return err
	}
	_, err := suite.tools.Kubectl(ctx, "rollout", "status", "-n", "s3", "deployment/s3", "--timeout=2m")
	return err
}

// apply gives manifests to the API server; {ns} in them is the namespace.
func apply(t *testing.T, namespace, manifests string) {
	t.Helper()
	require.NoError(t, suite.tools.Apply(t.Context(), strings.ReplaceAll(manifests, "{ns}", namespace)))
}

// start creates an ActionSet with one action and returns its name.
func start(t *testing.T, namespace, name, action string) *kanister.ActionSet {
	t.Helper()
	object := &kanister.ActionSet{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Spec: &kanister.ActionSetSpec{}}
	var spec kanister.ActionSpec
	require.NoError(t, yaml.UnmarshalStrict([]byte(strings.ReplaceAll(action, "{ns}", namespace)), &spec))
	object.Spec.Actions = []kanister.ActionSpec{spec}
	created, err := suite.clients.ActionSets(namespace).Create(t.Context(), object, metav1.CreateOptions{})
	require.NoError(t, err)
	return created
}

// await watches an ActionSet until it fits.
func await(t *testing.T, namespace, name, what string, fits func(*kanister.ActionSet) bool) *kanister.ActionSet {
	t.Helper()
	var last *kanister.ActionSet
	defer func() {
		if t.Failed() {
			text, _ := yaml.Marshal(last)
			t.Logf("the last that was seen of %s/%s:\n%s", namespace, name, text)
		}
	}()
	require.Eventually(t, func() bool {
		got, err := suite.clients.ActionSets(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return false
		}
		last = got
		return got.Status != nil && fits(got)
	}, patience, 100*time.Millisecond, "%s/%s: %s", namespace, name, what)
	return last
}

// ended waits for the end of an ActionSet.
func ended(t *testing.T, namespace, name string) *kanister.ActionSet {
	t.Helper()
	return await(t, namespace, name, "has ended", func(a *kanister.ActionSet) bool {
		return a.Status.State == kanister.StateComplete || a.Status.State == kanister.StateFailed
	})
}

// complete waits for a good end.
func complete(t *testing.T, namespace, name string) *kanister.ActionSet {
	t.Helper()
	got := ended(t, namespace, name)
	require.Equal(t, kanister.StateComplete, got.Status.State, got.Status.Error.Message)
	return got
}

// podSpy records the UID of every task pod of a namespace from now on.
type podSpy struct {
	seen map[string]corev1.Pod
	stop func()
	done chan struct{}
}

func spyOnPods(t *testing.T, namespace string) *podSpy {
	t.Helper()
	watcher, err := suite.clients.Kube.CoreV1().Pods(namespace).Watch(t.Context(), metav1.ListOptions{LabelSelector: "salvor.io/run"})
	require.NoError(t, err)
	spy := &podSpy{seen: map[string]corev1.Pod{}, stop: watcher.Stop, done: make(chan struct{})}
	go func() {
		defer close(spy.done)
		for e := range watcher.ResultChan() {
			if pod, ok := e.Object.(*corev1.Pod); ok {
				spy.seen[string(pod.UID)] = *pod
			}
		}
	}()
	return spy
}

// pods stops the spy and returns every pod that ever was.
func (s *podSpy) pods() []corev1.Pod {
	s.stop()
	<-s.done
	pods := make([]corev1.Pod, 0, len(s.seen))
	for _, pod := range s.seen {
		pods = append(pods, pod)
	}
	return pods
}

// runningPods are the task pods of the namespace that run, as far as they can be
// listed: it is called from where a test must not end.
func runningPods(t *testing.T, namespace string) []corev1.Pod {
	t.Helper()
	list, err := suite.clients.Kube.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "salvor.io/run"})
	if err != nil {
		t.Log(err)
		return nil
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.Status.Phase != corev1.PodRunning })
}

// runningPod waits for a task pod of the namespace that runs.
func runningPod(t *testing.T, namespace string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(runningPods(t, namespace)) > 0 }, patience, tick, "a task pod runs in %s", namespace)
}

// noPods waits until the namespace has no task pod and returns when that was.
func noPods(t *testing.T, namespace string) time.Time {
	t.Helper()
	require.Eventually(t, func() bool {
		list, err := suite.clients.Kube.CoreV1().Pods(namespace).List(suiteContext(), metav1.ListOptions{LabelSelector: "salvor.io/run"})
		return err == nil && len(list.Items) == 0
	}, patience, 50*time.Millisecond, "no task pod is left in %s", namespace)
	return time.Now()
}
