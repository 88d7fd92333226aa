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

// volumeCopy is one of Kanister's examples in little, with data of its own. The restore
// has little of the processor, so that it takes its time.
const volumeCopy = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: volume, namespace: "{ns}"}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: cr.kanister.io/v1alpha1
kind: Blueprint
metadata: {name: volume-copy, namespace: "{ns}"}
actions:
  backup:
    outputArtifacts:
      copy:
        keyValue:
          location: '{{ .Phases.copy.Output.backupArtifactLocation }}'
          tag: '{{ .Phases.copy.Output.backupTag }}'
          root: '{{ .Phases.copy.Output.backupRoot }}'
          sum: '{{ .Phases.fill.Output.sum }}'
    phases:
    - func: PrepareData
      name: fill
      args: &look
        namespace: '{{ .PVC.Namespace }}'
        image: busybox
        volumes: {'{{ .PVC.Name }}': /data}
        failOnError: true
        command:
        - sh
        - -ec
        - |
          cd /data
          [ -e 9 ] || for i in 0 1 2 3 4 5 6 7 8 9; do head -c 8000000 /dev/urandom >$i; done
          echo "###Phase-output###: {\"key\":\"sum\",\"value\":\"$(cat ? | sha256sum | cut -c 1-64)\"}"
    - func: CopyVolumeData
      name: copy
      args: {namespace: '{{ .PVC.Namespace }}', volume: '{{ .PVC.Name }}', dataArtifactPrefix: '{{ .PVC.Namespace }}/{{ .PVC.Name }}'}
  restore:
    inputArtifactNames: [copy]
    outputArtifacts: {found: {keyValue: {sum: '{{ .Phases.look.Output.sum }}'}}}
    phases:
    - func: PrepareData
      name: wipe
      args:
        namespace: '{{ .PVC.Namespace }}'
        image: busybox
        volumes: {'{{ .PVC.Name }}': /data}
        failOnError: true
        command: [sh, -ec, 'rm /data/?']
    - func: RestoreData
      name: restore
      args:
        namespace: '{{ .PVC.Namespace }}'
        image: ghcr.io/kanisterio/kanister-tools:0.116.0
        backupArtifactPrefix: '{{ .ArtifactsIn.copy.KeyValue.location }}'
        backupTag: '{{ .ArtifactsIn.copy.KeyValue.tag }}'
        volumes: {'{{ .PVC.Name }}': '{{ .ArtifactsIn.copy.KeyValue.root }}'}
        podOverride: {containers: [{name: container, resources: {limits: {cpu: 200m}}}]}
    - {func: PrepareData, name: look, args: *look}
`

// TestKilled is the promise in one test: the process is killed without warning in the
// middle of phases, one that sleeps and one that restores a volume, and both runs end
// well, with one pod a phase.
func TestKilled(t *testing.T) {
	const ns = "e2e-survive"
	apply(t, ns, sleeper+"---"+volumeCopy)
	bucket := emptyBucket(t, "survive")
	kanistersProfile(t, ns, bucket)
	const claim = `blueprint: volume-copy, object: {kind: PVC, name: volume, namespace: "{ns}"}, profile: {name: s3-profile, namespace: "{ns}"}`
	start(t, ns, "volume", `{name: backup, `+claim+`}`)
	sum := complete(t, ns, "volume").Status.Actions[0].Artifacts["copy"].KeyValue["sum"]
	require.Len(t, sum, 64)

	spy := spyOnPods(t, ns)
	start(t, ns, "killed", `{name: backup, blueprint: sleeper, object: {kind: Namespace, name: "{ns}", namespace: "{ns}"}, options: {seconds: "45"}}`)
	_, err := suite.tools.Salvor(t.Context(), "create", "actionset", "-n", ns, "--action", "restore", "--from", "volume", "--name", "restored")
	require.NoError(t, err)
	await(t, ns, "restored", "restic is at work", func(a *kanister.ActionSet) bool { return a.Status.Progress.RunningPhase == "restore" })
	require.Eventually(t, func() bool { return len(runningPods(t, ns)) == 2 }, patience, tick, "both pods run")
	before, err := suite.clients.Kube.CoreV1().Pods("salvor").Get(t.Context(), "salvor-0", metav1.GetOptions{})
	require.NoError(t, err)
	_, err = suite.tools.Kubectl(t.Context(), "delete", "pod", "-n", "salvor", "salvor-0", "--grace-period=0", "--force")
	require.NoError(t, err)

	got := complete(t, ns, "killed")
	after, err := suite.clients.Kube.CoreV1().Pods("salvor").Get(t.Context(), "salvor-0", metav1.GetOptions{})
	require.NoError(t, err)
	assert.NotEqual(t, before.UID, after.UID, "another process finished it")
	assert.Equal(t, "woken", got.Status.Actions[0].Artifacts["result"].KeyValue["word"], "what was said before the kill counts")
	assert.Equal(t, sum, complete(t, ns, "restored").Status.Actions[0].Artifacts["found"].KeyValue["sum"], "what is restored is what was backed up")
	noPods(t, ns)
	assert.Len(t, spy.pods(), 4, "pods that ever ran for the four phases")
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
