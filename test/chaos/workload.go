package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/salvor-io/salvor/test/chaos/tally"
)

// manifests are what all runs share: the pod that is exec'd into, and the
// blueprint. Each effect appends one line, "run step who", to a file on the node;
// a write that short is whole on any file system.
const manifests = `
apiVersion: v1
kind: Pod
metadata: {name: target, namespace: "{ns}"}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: busybox
      imagePullPolicy: IfNotPresent
      command: [sh, -c, "exec sleep 1000000"]
      volumeMounts: [{name: effects, mountPath: /effects}]
  volumes: [{name: effects, hostPath: {path: "{effects}", type: Directory}}]
---
apiVersion: cr.kanister.io/v1alpha1
kind: Blueprint
metadata: {name: chaos, namespace: "{ns}"}
actions:
  task:
    outputArtifacts: {made: {keyValue: {by: '{{ .Phases.work.Output.by }}'}}}
    phases:
      - {task}
        name: work
        {pod}
          command: [sh, -c, 'sleep {{ .Options.seconds }}; {line} work $POD_UID >> /effects/lines; {output}']
  exec:
    outputArtifacts: {made: {keyValue: {by: '{{ .Phases.bump.Output.by }}'}}}
    phases:
      - {exec}
        name: bump
        {target}
          command: [sh, -c, '{draw}; {line} bump $POD_UID >> /effects/lines; {output}; sleep {{ .Options.seconds }}']
    deferPhase:
      {exec}
      name: tidy
      {target}
          command: [sh, -c, '{draw}; {line} tidy $POD_UID >> /effects/lines']
  mixed:
    outputArtifacts: {made: {keyValue: {by: '{{ .Phases.work.Output.by }}', original: '{{ .Phases.scale.Output.originalReplicaCount }}'}}}
    phases:
      - func: ScaleWorkload
        name: scale
        args: {replicas: '{{ .Options.replicas }}', waitForReady: false}
      - {task}
        name: work
        {pod}
          command: [sh, -c, '{line} work $POD_UID >> /effects/lines; sleep {{ .Options.seconds }}; {output}']
      - {exec}
        name: bump
        {target}
          command: [sh, -c, '{draw}; {line} bump $POD_UID >> /effects/lines']
    deferPhase:
      {task}
      name: tidy
      {pod}
          command: [sh, -c, '{line} tidy $POD_UID >> /effects/lines']
  fails:
    phases:
      - {task}
        name: work
        {pod}
          command: [sh, -c, '{line} work $POD_UID >> /effects/lines; exit 3']
      - {task}
        name: never
        {pod}
          command: [sh, -c, '{line} never $POD_UID >> /effects/lines']
    deferPhase:
      {task}
      name: tidy
      {pod}
          command: [sh, -c, '{line} tidy $POD_UID >> /effects/lines']
  cancel:
    phases:
      - {task}
        name: work
        {pod}
          command: [sh, -c, '{line} work $POD_UID >> /effects/lines; sleep 600']
    deferPhase:
      {task}
      name: tidy
      {pod}
          command: [sh, -c, '{line} tidy $POD_UID >> /effects/lines']
  again:
    outputArtifacts: {made: {keyValue: {by: '{{ .Phases.bump.Output.by }}'}}}
    phases:
      - {exec}
        name: bump
        {target}
          command: [sh, -c, 'grep -q "^{{ .Options.id }} bump " /effects/lines; first=$?; {draw}; {line} bump $POD_UID >> /effects/lines; [ $first = 0 ] || exit 3; {output}']
  retry:
    outputArtifacts: {made: {keyValue: {by: '{{ .Phases.work.Output.by }}'}}}
    phases:
      - {task}
        name: work
        {pod}
          command: [sh, -c, 'grep -q "^{{ .Options.id }} work " /effects/lines; first=$?; {line} work $POD_UID >> /effects/lines; [ $first = 0 ] || exit 3; {output}']
`

// render fills in what is written the same way everywhere.
func render(namespace, effects string) string {
	return strings.NewReplacer(
		"{ns}", namespace,
		"{effects}", effects,
		"{task}", "func: KubeTask",
		"{exec}", "func: KubeExec",
		"{target}", `args:
          namespace: `+namespace+`
          pod: target
          container: main`,
		"{pod}", `args:
          namespace: `+namespace+`
          image: busybox
          podOverride:
            containers:
              - name: container
                env: [{name: POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}]
                volumeMounts: [{name: effects, mountPath: /effects}]
            volumes: [{name: effects, hostPath: {path: "`+effects+`", type: Directory}}]`,
		"{line}", `echo {{ .Options.id }}`,
		"{draw}", `POD_UID=$(cat /proc/sys/kernel/random/uuid)`,
		"{output}", `echo "###Phase-output###: {\"key\":\"by\",\"value\":\"$POD_UID\"}"`,
	).Replace(manifests)
}

// kind is a kind of run.
type kind struct {
	plan   tally.Plan
	weight int
	// scales says that a workload of its own is scaled.
	scales bool
	// annotations of the ActionSet.
	annotations map[string]string
}

// kinds of runs, by how often they come. What needs more than the program under
// test has is left out.
func (l *lab) kinds() []kind {
	once := func(name string) tally.Step { return tally.Step{Name: name, Lines: 1, Once: true} }
	step := func(name string) tally.Step { return tally.Step{Name: name, Lines: 1} }
	ref := func(s tally.Step) *tally.Step { return &s }
	kinds := []kind{
		{weight: 6, plan: tally.Plan{Kind: "task", Steps: []tally.Step{step("work")}, Artifact: "work"}},
		{weight: 5, plan: tally.Plan{Kind: "exec", Steps: []tally.Step{once("bump")}, Defer: ref(once("tidy")), Artifact: "bump"}},
		{weight: 3, scales: true, plan: tally.Plan{
			Kind: "mixed", Steps: []tally.Step{{Name: "scale"}, step("work"), once("bump")}, Defer: ref(step("tidy")), Artifact: "work",
		}},
		{weight: 1, plan: tally.Plan{Kind: "fails", Steps: []tally.Step{step("work"), step("never")}, Defer: ref(step("tidy")), Fails: "work"}},
		{weight: 2, plan: tally.Plan{Kind: "cancel", Steps: []tally.Step{step("work")}, Defer: ref(step("tidy")), Cancelled: true}},
	}
	if l.can("retry") { // the command came with the policy
		policy := map[string]string{"salvor.io/attempts": "3", "salvor.io/backoff": "1s"}
		kinds = append(kinds, kind{
			weight: 3, annotations: policy,
			plan: tally.Plan{Kind: "again", Steps: []tally.Step{{Name: "bump", Lines: 2, Once: true}}, Artifact: "bump"},
		}, kind{
			weight: 1, annotations: policy,
			plan: tally.Plan{Kind: "retry", Steps: []tally.Step{{Name: "work", Lines: 2}}, Artifact: "work"},
		})
	}
	return kinds
}

// wantReplicas is what a run that scales sets.
func wantReplicas(n int) int32 { return int32(n%7 + 1) }

// deployment is the workload of one run that scales. It is paused from the start,
// so its controller makes no pods, whatever the count of replicas.
func deployment(namespace, name string) string {
	return fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":%q,"namespace":%q,"labels":{"chaos":"scaled"}},
"spec":{"paused":true,"replicas":0,"selector":{"matchLabels":{"run":%q}},"template":{"metadata":{"labels":{"run":%q}},
"spec":{"containers":[{"name":"c","image":"busybox"}]}}}}`, name, namespace, name, name)
}

func optionsOf(id string, n int, seconds float64) map[string]string {
	return map[string]string{
		"id": id, "seconds": strconv.FormatFloat(seconds, 'f', 1, 64), "replicas": strconv.Itoa(int(wantReplicas(n))),
	}
}
