//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

const sleeper = `
apiVersion: cr.kanister.io/v1alpha1
kind: Blueprint
metadata: {name: sleeper, namespace: "{ns}"}
actions:
  backup:
    outputArtifacts: {result: {keyValue: {word: '{{ .Phases.sleep.Output.word }}'}}}
    phases:
      - func: KubeTask
        name: sleep
        args:
          namespace: "{ns}"
          image: busybox
          command: [sh, -c, 'echo "###Phase-output###: {\"key\":\"word\",\"value\":\"woken\"}"; sleep {{ index .Options "seconds" }}; echo end']
`

// TestKilledWhileAPhaseSleeps is the promise in one test: the process is killed
// without warning in the middle of a phase, and the run ends well, with one pod.
func TestKilledWhileAPhaseSleeps(t *testing.T) {
	const ns = "e2e-survive"
	apply(t, ns, sleeper)
	spy := spyOnPods(t, ns)
	start(t, ns, "killed", `{name: backup, blueprint: sleeper, object: {kind: Namespace, name: "{ns}", namespace: "{ns}"}, options: {seconds: "20"}}`)
	runningPod(t, ns)
	before, err := suite.clients.Kube.CoreV1().Pods("salvor").Get(t.Context(), "salvor-0", metav1.GetOptions{})
	require.NoError(t, err)
	_, err = suite.tools.Kubectl(t.Context(), "delete", "pod", "-n", "salvor", "salvor-0", "--grace-period=0", "--force")
	require.NoError(t, err)

	got := complete(t, ns, "killed")
	after, err := suite.clients.Kube.CoreV1().Pods("salvor").Get(t.Context(), "salvor-0", metav1.GetOptions{})
	require.NoError(t, err)
	assert.NotEqual(t, before.UID, after.UID, "another process finished it")
	assert.Equal(t, "woken", got.Status.Actions[0].Artifacts["result"].KeyValue["word"], "what was said before the kill counts")
	noPods(t, ns)
	assert.Len(t, spy.pods(), 1, "pods that ever ran for the phase")
	_, err = suite.tools.Kubectl(t.Context(), "wait", "-n", "salvor", "--for=condition=Ready", "pod/salvor-0", "--timeout=2m")
	require.NoError(t, err)
	forwardAgain(t)
}

func TestDeletedWhileRunning(t *testing.T) {
	t.Parallel()
	const ns = "e2e-cancel"
	apply(t, ns, sleeper)
	start(t, ns, "deleted", `{name: backup, blueprint: sleeper, object: {kind: Namespace, name: "{ns}", namespace: "{ns}"}, options: {seconds: "600"}}`)
	runningPod(t, ns)
	asked := time.Now()
	require.NoError(t, suite.clients.ActionSets(ns).Delete(t.Context(), "deleted", metav1.DeleteOptions{}))
	t.Logf("stopped %s after the ActionSet was deleted", noPods(t, ns).Sub(asked).Round(10*time.Millisecond))
	// The run has ended for good: a new ActionSet of the same name is a new run.
	start(t, ns, "deleted", `{name: backup, blueprint: sleeper, object: {kind: Namespace, name: "{ns}", namespace: "{ns}"}, options: {seconds: "0"}}`)
	got := complete(t, ns, "deleted")
	assert.Equal(t, kanister.StateComplete, got.Status.Actions[0].Phases[0].State)
	noPods(t, ns)
}

// forwardAgain replaces the port-forward, which died with the pod.
func forwardAgain(t *testing.T) {
	t.Helper()
	address, stop, err := suite.tools.Forward(suiteContext(), "salvor", "salvor", 8080)
	require.NoError(t, err)
	t.Cleanup(func() { restops = append(restops, stop) })
	suite.events = "http://" + address + "/events/"
}
