package blueprint

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// twoPhases has a phase with outputs of its own (scale), one that publishes what its
// command likes (task), and a template in the place of T.
const twoPhases = `
metadata: {name: bp}
actions:
  backup:
    inputArtifactNames: [cloudObject]
    phases:
    - {name: scale, func: ScaleWorkload, args: {replicas: 0}}
    - {name: wait, func: Wait, args: {timeout: 1m, conditions: {}}}
    - {name: task, func: KubeTask, objects: {db: {kind: Secret, name: s}, cm: {kind: configMap, name: s}}, args: {image: i, command: [x]}}
    - {name: here, func: KubeTask, objects: {own: {kind: Secret, name: s}}, args: {image: i, command: ['T']}}
    - {name: later, func: KubeTask, args: {image: i, command: [x]}}
    deferPhase: {name: last, func: KubeTask, args: {image: i, command: ['D']}}
    outputArtifacts: {a: {keyValue: {k: 'A'}}}
`

func TestCheckFollowsReferences(t *testing.T) {
	t.Parallel()
	const here, last, artifact = "T", "D", "A"
	for text, tc := range map[string]struct {
		at, want string
		warning  bool
	}{
		`{{ .Phases.scale.Output.originalReplicaCount }}`:      {at: here},
		`{{ .Phases.task.Output.anything }}`:                   {at: here},
		`{{ .Phases.task.Secrets.db.Data.x | toString }}`:      {at: here},
		`{{ .Phases.task.ConfigMaps.cm.Data.x }}`:              {at: here},
		`{{ .Phases.here.Secrets.own.Name }}`:                  {at: here},
		`{{ .CurrentPhase.Secrets.own.ObjectMeta.Labels.a }}`:  {at: here},
		`{{ index .Phases.task.Secrets "x" }}`:                 {at: here},
		`{{ .Object.metadata.labels.anything.at.all }}`:        {at: here},
		`{{ .StatefulSet.PersistentVolumeClaims.pod.claim }}`:  {at: here},
		`{{ toJson .Profile }}`:                                {at: here},
		`{{ .Profile.Credential.Secret.Data.x }}`:              {at: here},
		`{{ .ArtifactsIn.cloudObject.KeyValue.path }}`:         {at: here},
		`{{ range .StatefulSet.Pods }}{{ .Nope }}{{ end }}`:    {at: here},
		`{{ with .Options }}{{ .pitr }}{{ end }}`:              {at: here},
		`{{ $ := dict "Nope" 1 }}{{ $.Nope }}`:                 {at: here},
		`{{ define "x" }}{{ .Nope }}{{ end }}`:                 {at: here},
		`{{ .DeferPhase.Output.x }}`:                           {at: artifact},
		`{{ .Phases.later.Output.x }}`:                         {at: artifact},
		`{{ .Phases.later.Output.y }}`:                         {at: last},
		`{{ .DeferPhase.Secrets.x.Name }}`:                     {at: last},
		`{{ .Phases.scale.Output.originalReplicacount }}`:      {at: here, want: "which its function does not publish; did you mean originalReplicaCount?"},
		`{{ .Phases.wait.Output.x }}`:                          {at: here, want: "which its function does not publish; it publishes: none"},
		`{{ .Phases.here.Output.x }}`:                          {at: here, want: "which is its own output, and is not there yet"},
		`{{ .CurrentPhase.Output.x }}`:                         {at: here, want: "which is its own output, and is not there yet"},
		`{{ .Phases.tasks.Output.x }}`:                         {at: here, want: "which is not a phase of this action; did you mean .Phases.task?"},
		`{{ .Phases.last.Output.x }}`:                          {at: here, want: "which is the deferPhase; it is at .DeferPhase"},
		`{{ .Phases.later.Output.z }}`:                         {at: here, want: "which has not run by then"},
		`{{ .DeferPhase.Output.y }}`:                           {at: here, want: "but the deferPhase has not run by then"},
		`{{ .DeferPhase.Output.z }}`:                           {at: last, want: "which is its own output"},
		`{{ .CurrentPhase.Secrets.x }}`:                        {at: last, want: "which is not set in the deferPhase; use .DeferPhase"},
		`{{ .Phases.task.Secrets.dc.Data.x }}`:                 {at: here, want: "which is not among the Secrets in the objects of that phase; they are: db"},
		`{{ .Phases.task.ConfigMaps.db.Data.x }}`:              {at: here, want: "which is not among the ConfigMaps in the objects of that phase; they are: cm"},
		`{{ .Phases.task.Outputs.x }}`:                         {at: here, want: "but .Phases.task has no Outputs; did you mean Output?"},
		`{{ .Profile.Location.bucket }}`:                       {at: here, want: "but .Profile.Location has no bucket; did you mean Bucket?"},
		`{{ .Time.Year }}`:                                     {at: here, want: "but .Time has no fields; it is text"},
		`{{ .StatefulSet.Pods.first }}`:                        {at: here, want: "but .StatefulSet.Pods has no fields; it is a list; use index"},
		`{{ .Options.a.b }}`:                                   {at: here, want: "but .Options.a has no fields; it is text"},
		`{{ .Secrets.a.data }}`:                                {at: here, want: "but .Secrets.a has no data; did you mean Data?"},
		`{{ .Namespaces.Name }}`:                               {at: here, want: "which does not exist; did you mean .Namespace?"},
		`{{ default "x" .Phases.later.Output.a }}`:             {at: here, want: "which has not run by then"},
		`{{ if .Phases.later.Output.b }}x{{ end }}`:            {at: here, want: "which has not run by then"},
		`{{ if and .Phases.later.Output.c .Time }}x{{ end }}`:  {at: here, want: "which has not run by then"},
		`{{ if and .Time .Phases.later.Output.d }}x{{ end }}`:  {at: here, want: "which has not run by then; it fails if this part of the template is reached", warning: true},
		`{{ if .Options.x }}{{ .Phases.q.Output.x }}{{ end }}`: {at: here, want: "which is not a phase of this action; it fails if", warning: true},
		`{{ if 0 }}{{ else }}{{ .Nope.x }}{{ end }}`:           {at: here, want: "which does not exist; it fails if", warning: true},
		`{{ with .Profile }}{{ $.Nope.x }}{{ end }}`:           {at: here, want: "which does not exist; it fails if", warning: true},
		`{{ range .Options }}{{ $.Phases.q }}{{ end }}`:        {at: here, want: "which is not a phase of this action; it fails if", warning: true},
		`{{ .ArtifactsIn.cloudObjects.KeyValue.path }}`:        {at: here, want: "which is not among the action's inputArtifactNames; did you mean .ArtifactsIn.cloudObject?", warning: true},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			problems := Check(parseBlueprint(t, strings.Replace(twoPhases, "'"+tc.at+"'", "'"+text+"'", 1)), "backup")
			if tc.want == "" {
				assert.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1, "%v", problems)
			assert.Contains(t, problems[0].Error(), tc.want)
			assert.Equal(t, tc.warning, problems[0].Severity == SeverityWarning, problems[0].Severity)
			assert.Equal(t, 1, problems[0].Line)
			assert.Greater(t, problems[0].Column, 3)
		})
	}
}

func TestCheckSaysWhereInAText(t *testing.T) {
	t.Parallel()
	bp := parseBlueprint(t, `
actions:
  backup:
    phases:
    - name: p
      func: KubeTask
      args:
        image: i
        command:
        - sh
        - |
          set -e
            echo {{ .Nope }} {{ .Nope.x }} {{ $.Nope.y.z }}
        - |
          one
          two {{ upper }
`)
	problems := Check(bp, "backup")
	require.Len(t, problems, 4)
	assert.Equal(t, []any{"actions", "backup", "phases", 0, "args", "command", 1}, problems[0].Path)
	assert.Equal(t, [2]int{2, 11}, [2]int{problems[0].Line, problems[0].Column})
	assert.Equal(t, 23, problems[1].Column)
	assert.Equal(t, 37, problems[2].Column)
	assert.Equal(t, 2, problems[3].Line)
}

func TestCheckOfTypes(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		`func: KubeTask, args: {image: 3, command: ls, namespace: true}`:                                                              "",
		`func: KubeTask, args: {image: i, command: [ls, 1, true, 2.5]}`:                                                               "",
		`func: ScaleWorkload, args: {replicas: "3", waitForReady: "false"}`:                                                           "",
		`func: ScaleWorkload, args: {replicas: "{{ len .StatefulSet.Pods }}", waitForReady: "{{ .Options.w }}"}`:                      "",
		`func: ScaleWorkload, args: {replicas: 3.0, waitForReady: 1}`:                                                                 "",
		`func: PrepareData, args: {namespace: n, image: i, command: [x], volumes: {"{{ .Options.a }}": /x}}`:                          "",
		`func: PrepareData, args: {namespace: n, image: i, command: [x], volumes: [{a: /x}]}`:                                         "",
		`func: KubeOps, args: {operation: create, spec: "a: {{ .Time }}", objectReference: {name: x}}`:                                "",
		`func: ExportRDSSnapshotToLocation, args: {namespace: n, instanceID: i, snapshotID: s, dbEngine: PostgreSQL, databases: [a]}`: "",
		`func: KubeTask, args: {image: [i], command: [x]}`:                                                                            "args.image: must be text, not a list; correct the value",
		`func: KubeTask, args: {image: i, command: {a: b}}`:                                                                           "args.command: must be a list of texts, not a map",
		`func: KubeTask, args: {image: i, command: [sh, {a: b}]}`:                                                                     "args.command[1]: must be text, not a map",
		`func: ScaleWorkload, args: {replicas: three}`:                                                                                `args.replicas: must be a whole number that is not negative, not "three"`,
		`func: ScaleWorkload, args: {replicas: 2.5}`:                                                                                  `args.replicas: must be a whole number that is not negative, not a number`,
		`func: ScaleWorkload, args: {replicas: -1}`:                                                                                   `args.replicas: must be a whole number that is not negative`,
		`func: ScaleWorkload, args: {replicas: 1, waitForReady: perhaps}`:                                                             `args.waitForReady: must be true or false, not "perhaps"`,
		`func: PrepareData, args: {namespace: n, image: i, command: [x], volumes: data}`:                                              `args.volumes: must be a map of texts, not "data"`,
		`func: PrepareData, args: {namespace: n, image: i, command: [x], volumes: {a: [b]}}`:                                          `args.volumes.a: must be text, not a list`,
		`func: KubeOps, args: {operation: create, spec: {a: b}}`:                                                                      `args.spec: must be text, not a map`,
		`func: KubeOps, args: {operation: delete, objectReference: name}`:                                                             `args.objectReference: must be a map, not "name"`,
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			problems := Check(parseBlueprint(t, "actions: {backup: {phases: [{name: p, "+args+"}]}}"), "backup")
			if want == "" {
				assert.Empty(t, problems)
				return
			}
			if strings.HasSuffix(want, "yet") {
				problems = slicesWithout(problems, want)
				assert.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1, "%v", problems)
			assert.Contains(t, problems[0].Error(), want)
		})
	}
}

func slicesWithout(problems []Problem, text string) []Problem {
	var rest []Problem
	for _, p := range problems {
		if !strings.Contains(p.Message, text) {
			rest = append(rest, p)
		}
	}
	return rest
}

func TestCheckGiven(t *testing.T) {
	t.Parallel()
	bp := parseBlueprint(t, `
metadata: {name: bp}
actions:
  backup:
    kind: StatefulSet
    phases:
    - name: p
      func: KubeTask
      args:
        image: '{{ .Options.image }}'
        namespace: '{{ .StatefulSet.Namespace }}'
        command:
        - '{{ .Profile.Location.Bucket }} {{ toJson .Profile }} {{ .Profile.Location.Type }}'
        - '{{ if .Options.pitr }}{{ .Options.other }}{{ end }}'
        - '{{ .ArtifactsIn.cloud.KeyValue.path }} {{ .Secrets.aws.Data.x }} {{ .ConfigMaps.location.Data.x }}'
`)
	spec := func(text string) *kanister.ActionSpec {
		return &parseActionSet(t, "spec: {actions: ["+text+"]}").Spec.Actions[0]
	}
	texts := func(problems []Problem) (all []string) {
		for _, p := range problems {
			all = append(all, p.Severity.String()+": "+p.Error())
		}
		return all
	}
	assert.Empty(t, CheckGiven(bp, spec(`{name: backup, object: {kind: statefulset, name: a, namespace: b}, profile: {name: s3},
		options: {image: i, pitr: ""}, artifacts: {cloud: {keyValue: {path: p}}}, secrets: {aws: {name: a}}, configMaps: {location: {name: l}}}`)))
	const needed = " is not given, and the blueprint needs it: actions.backup.phases[0].args."
	assert.Equal(t, []string{
		"error: artifacts.cloud:" + needed + "command[2] names .ArtifactsIn.cloud.KeyValue.path; add it to artifacts",
		"error: configMaps.location:" + needed + "command[2] names .ConfigMaps.location.Data.x; add it to configMaps",
		`error: object.kind: does not fit: actions.backup.phases[0].args.namespace of the blueprint names .StatefulSet.Namespace; name an object of kind StatefulSet, not "Deployment"`,
		"error: options.image:" + needed + "image names .Options.image; imag is given; is that meant?",
		"error: options.pitr:" + needed + "command[1] names .Options.pitr; add it to options",
		"error: profile:" + needed + "command[0] names .Profile.Location.Bucket; name a Profile",
		"error: secrets.aws:" + needed + "command[2] names .Secrets.aws.Data.x; add it to secrets",
		"warning: object.kind: is Deployment, and action backup is made for a StatefulSet; name an object of that kind",
	}, texts(CheckGiven(bp, spec(`{name: backup, object: {kind: Deployment, name: a}, options: {imag: x}}`))))
	assert.Equal(t, []string{`error: name: blueprint "bp" has no action "bakup"; did you mean backup? It has: backup`},
		texts(CheckGiven(bp, spec(`{name: bakup, object: {}}`))))
}

func TestErrorsLeavesWarningsOut(t *testing.T) {
	t.Parallel()
	all := []Problem{{Message: "a", Severity: SeverityWarning}, {Message: "b"}}
	assert.Equal(t, all[1:], Errors(all))
	assert.Len(t, all, 2)
}
