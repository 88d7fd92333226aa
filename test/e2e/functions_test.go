//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

const functionManifests = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: "{ns}", labels: {tier: front}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {name: main, image: busybox, imagePullPolicy: IfNotPresent, command: [sh, -c, "exec sleep 3600"]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: claim, namespace: "{ns}"}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: cr.kanister.io/v1alpha1
kind: Blueprint
metadata: {name: everything, namespace: "{ns}"}
actions:
  run:
    outputArtifacts:
      said:
        keyValue:
          exec: '{{ .Phases.exec.Output.host }}'
          original: '{{ .Phases.down.Output.originalReplicaCount }}'
          both: '{{ .Phases.both.Output.sum }}'
          prepared: '{{ .Phases.readback.Output.content }}'
          created: '{{ .Phases.create.Output.kind }} {{ .Phases.create.Output.name }}'
          deferred: '{{ .DeferPhase.Output.last }}'
          pods: '{{ len .Deployment.Pods }}'
    phases:
      - func: KubeExec
        name: exec
        args:
          namespace: "{ns}"
          pod: '{{ index .Deployment.Pods 0 }}'
          command: [sh, -c, 'echo "###Phase-output###: {\"key\":\"host\",\"value\":\"$(hostname)\"}"']
      - func: KubeExecAll
        name: execall
        args:
          namespace: "{ns}"
          pods: '{{ index .Deployment.Pods 0 }} {{ index .Deployment.Pods 1 }}'
          containers: main
          command: [touch, /tmp/seen]
      - func: ScaleWorkload
        name: down
        args: {replicas: 0}
      - func: ScaleWorkload
        name: up
        args: {replicas: '{{ .Phases.down.Output.originalReplicaCount }}'}
      - func: PrepareData
        name: prepare
        args:
          namespace: "{ns}"
          image: busybox
          volumes: {claim: /mnt/data}
          command: [sh, -c, 'echo prepared > /mnt/data/file']
      - func: PrepareData
        name: readback
        args:
          namespace: "{ns}"
          image: busybox
          volumes: {claim: /mnt/data}
          failOnError: true
          command: [sh, -c, 'echo "###Phase-output###: {\"key\":\"content\",\"value\":\"$(cat /mnt/data/file)\"}"']
      - func: MultiContainerRun
        name: both
        args:
          namespace: "{ns}"
          sharedVolumeMedium: Memory
          initImage: busybox:1.36
          initCommand: [sh, -ec, "mkfifo /tmp/data; chmod 666 /tmp/data"]
          backgroundImage: ghcr.io/kanisterio/kanister-tools:0.116.0
          backgroundCommand: [bash, -ec, 'seq 1 100000 >/tmp/data']
          outputImage: busybox:1.36
          outputCommand: [sh, -ec, 'sum=$(sha256sum </tmp/data | cut -c 1-64); echo "###Phase-output###: {\"key\":\"sum\",\"value\":\"$sum\"}"']
      - func: KubeOps
        name: create
        args:
          operation: create
          namespace: "{ns}"
          spec: |
            apiVersion: v1
            kind: Pod
            metadata: {generateName: made-}
            spec:
              restartPolicy: Never
              containers: [{name: c, image: busybox, imagePullPolicy: IfNotPresent, command: ["true"]}]
      - func: WaitV2
        name: ended
        args:
          timeout: 2m
          conditions:
            allOf:
              - condition: '{{ if eq $.status.phase "Succeeded" }}true{{ end }}'
                objectReference: {apiVersion: v1, resource: pods, name: '{{ .Phases.create.Output.name }}', namespace: "{ns}"}
      - func: Wait
        name: endedtoo
        args:
          timeout: 2m
          conditions:
            anyOf:
              - condition: '{{ if eq "{ $.status.phase }" "Succeeded" }}true{{ end }}'
                objectReference: {apiVersion: v1, resource: pods, name: '{{ .Phases.create.Output.name }}', namespace: "{ns}"}
      - func: KubeOps
        name: delete
        args:
          operation: delete
          objectReference: {apiVersion: v1, resource: pods, name: '{{ .Phases.create.Output.name }}', namespace: "{ns}"}
    deferPhase:
      func: KubeTask
      args:
        namespace: "{ns}"
        image: busybox
        podOverride: {containers: [{name: container, env: [{name: WORD, value: blueprint}, {name: KEPT, value: kept}]}]}
        podLabels: {from: blueprint}
        command: [sh, -c, 'echo "###Phase-output###: {\"key\":\"last\",\"value\":\"$WORD $KEPT\"}"']
  fails:
    phases:
      - {func: KubeTask, name: breaks, args: {namespace: "{ns}", image: busybox, command: ["false"]}}
      - {func: KubeTask, name: never, args: {namespace: "{ns}", image: busybox, command: ["true"]}}
    deferPhase:
      {func: KubeTask, name: tidy, args: {namespace: "{ns}", image: busybox, command: ["true"]}}
`

// sequenceSum is the checksum of what seq 1 100000 prints.
func sequenceSum() string {
	hash := sha256.New()
	for i := 1; i <= 100000; i++ {
		fmt.Fprintln(hash, i)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// TestFunctions calls every function once, on real pods.
func TestFunctions(t *testing.T) {
	t.Parallel()
	const ns = "e2e-functions"
	apply(t, ns, functionManifests)
	_, err := suite.tools.Kubectl(t.Context(), "rollout", "status", "-n", ns, "deployment/web", "--timeout=2m")
	require.NoError(t, err)
	spy := spyOnPods(t, ns)
	start(t, ns, "run", `{name: run, blueprint: everything, object: {kind: Deployment, name: web, namespace: "{ns}"},
		podOverride: {containers: [{name: container, env: [{name: WORD, value: actionset}]}]}, podLabels: {from: actionset, also: actionset}}`)
	got := complete(t, ns, "run")
	said := got.Status.Actions[0].Artifacts["said"].KeyValue
	assert.Regexp(t, "^web-", said["exec"])
	assert.Equal(t, "2", said["original"])
	assert.Equal(t, "prepared", said["prepared"])
	assert.Equal(t, sequenceSum(), said["both"], "one container read what the other wrote, through the pipe between them")
	assert.Regexp(t, "^Pod made-", said["created"])
	assert.Equal(t, "actionset kept", said["deferred"], "podOverride: the ActionSet wins, env merges by name")
	assert.Equal(t, "2", said["pods"])
	for _, phase := range got.Status.Actions[0].Phases {
		assert.Equal(t, kanister.StateComplete, phase.State, phase.Name)
	}
	assert.Equal(t, kanister.StateComplete, got.Status.Actions[0].DeferPhase.State)
	noPods(t, ns)
	pods := spy.pods()
	assert.Len(t, pods, 4, "one pod for each phase that has one")
	for _, pod := range pods {
		assert.Equal(t, "kanister", pod.Labels["createdBy"])
		assert.Equal(t, "actionset", pod.Labels["also"])
	}
	web, err := suite.clients.Kube.AppsV1().Deployments(ns).Get(t.Context(), "web", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, int32(2), *web.Spec.Replicas)

	start(t, ns, "fails", `{name: fails, blueprint: everything, object: {kind: Deployment, name: web, namespace: "{ns}"}}`)
	failed := ended(t, ns, "fails")
	assert.Equal(t, kanister.StateFailed, failed.Status.State)
	assert.Contains(t, failed.Status.Error.Message, `"breaks"`)
	assert.Equal(t, kanister.StateFailed, failed.Status.Actions[0].Phases[0].State)
	assert.Equal(t, kanister.StatePending, failed.Status.Actions[0].Phases[1].State)
	assert.Equal(t, kanister.StateComplete, failed.Status.Actions[0].DeferPhase.State, "the deferPhase ran all the same")
}
