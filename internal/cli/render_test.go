package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kyaml "sigs.k8s.io/yaml"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// documents are the YAML documents of what render printed.
func documents(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for document := range strings.SplitSeq(text, "---\n") {
		var fields map[string]any
		require.NoError(t, kyaml.Unmarshal([]byte(document), &fields), document)
		if fields != nil {
			all = append(all, fields)
		}
	}
	return all
}

// A blueprint alone is enough: every action of those that Kanister's users have.
func TestKanistersBlueprintsRenderFromTheirFilesAlone(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../blueprint/testdata/kanister/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 12)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), "-blueprint.yaml"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var bp kanister.Blueprint
			require.NoError(t, kyaml.Unmarshal(text, &bp))
			for name, action := range bp.Actions {
				got := (&shell{t: t, name: "salvor"}).run("render", "--offline", "-f", file, "-a", name)
				checkRendered(t, got, action)
			}
		})
	}
}

func checkRendered(t *testing.T, got result, action *kanister.BlueprintAction) {
	t.Helper()
	phases := 0
	for _, document := range documents(t, got.out) {
		require.NotContains(t, document, "error")
		if document["phase"] == nil {
			continue
		}
		phases++
		args, _ := document["args"].(map[string]any)
		assert.NotNil(t, args)
		conditions, _ := args["conditions"].(map[string]any)
		for _, list := range conditions {
			items, ok := list.([]any)
			require.True(t, ok)
			for _, item := range items {
				condition, ok := item.(map[string]any)
				require.True(t, ok)
				delete(condition, "condition") // a template of another kind
			}
		}
		text, err := kyaml.Marshal(document)
		require.NoError(t, err)
		assert.NotContains(t, string(text), "{{", "all of it is rendered")
		if document["func"] == "KubeTask" || document["func"] == "PrepareData" || document["func"] == "CopyVolumeData" {
			assert.NotNil(t, document["pod"], "%v of %s", document["phase"], got.out)
		}
	}
	want := len(action.Phases)
	if action.DeferPhase != nil {
		want++
	}
	assert.Equal(t, want, phases)
	assert.Zero(t, got.code, got.err)
}

const renderBlueprint = `
apiVersion: cr.kanister.io/v1alpha1
kind: Blueprint
metadata: {name: bp}
actions:
  backup:
    outputArtifacts:
      dump: {keyValue: {path: '{{ .Phases.dump.Output.path }}'}}
    phases:
    - func: KubeTask
      name: dump
      objects: {pg: {kind: Secret, name: '{{ .StatefulSet.Name }}-secret', namespace: '{{ .StatefulSet.Namespace }}'}}
      args:
        namespace: '{{ .StatefulSet.Namespace }}'
        image: 'tools:{{ .Options.version }}'
        podOverride: {containers: [{name: container, env: [{name: PASSWORD, value: '{{ index .Phases.dump.Secrets.pg.Data "password" | toString }}'}]}]}
        command:
        - sh
        - -c
        - pg_dump -h {{ index .StatefulSet.Pods 0 }} {{ .Phases.dump.Secrets.pg.Data.password | toString | upper }} {{ .Phases.dump.Secrets.pg.Data.password | toString | b64enc }}
          {{ .Phases.dump.Secrets.pg.Data.password | toString | trunc 5 }} '{{ toJson .Profile }}'
    - func: KubeExec
      name: mark
      args: {namespace: db, pod: '{{ index .StatefulSet.Pods 0 }}', command: [echo, '{{ .Phases.dump.Output.path }}', '{{ index .Phases.dump.Output "size" }}']}
    deferPhase:
      func: ScaleWorkload
      name: up
      args: {replicas: 1}
`

const renderObjects = `
apiVersion: v1
kind: Secret
metadata:
  name: pg-secret
  namespace: db
  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"stringData":{"password":"canary-hunter2"}}'}
stringData: {password: canary-hunter2}
---
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: db}
data: {id: Y2FuYXJ5LWlk, key: Y2FuYXJ5LWtleQ==}
---
apiVersion: cr.kanister.io/v1alpha1
kind: Profile
metadata: {name: s3, namespace: db}
location: {type: s3Compliant, bucket: backups}
credential: {type: keyPair, keyPair: {idField: id, secretField: key, secret: {name: keys, namespace: db}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: pg, namespace: db}
spec:
  replicas: 2
  selector: {matchLabels: {app: pg}}
  template: {metadata: {labels: {app: pg}}, spec: {containers: [{name: main, volumeMounts: [{name: data, mountPath: /data}]}]}}
  volumeClaimTemplates: [{metadata: {name: data}}]
---
apiVersion: cr.kanister.io/v1alpha1
kind: ActionSet
metadata: {name: backup-1, namespace: db}
spec:
  actions:
  - name: backup
    blueprint: bp
    object: {kind: StatefulSet, name: pg, namespace: db}
    profile: {name: s3, namespace: db}
    options: {version: "3"}
    podOverride: {priorityClassName: low}
`

// write puts a text into a file of the test.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestRenderFromFiles(t *testing.T) {
	t.Parallel()
	s := &shell{t: t, name: "salvor", stdin: renderObjects}
	got := s.run("render", "--offline", "-f", write(t, renderBlueprint), "-f", "-", "--output", "dump.size=12")
	require.Zero(t, got.code, got.out+got.err)
	checkDump(t, got.out)
	assert.NotContains(t, got.out, "# made up, since no file has it: Secret", "the files have them")

	s.stdin = ""
	got = s.run("render", "--offline", "-f", write(t, renderBlueprint), "-t", "db/pg", "-o", "version=4")
	require.Zero(t, got.code, got.out+got.err)
	assert.Contains(t, got.out, "image: tools:4")
	assert.Contains(t, got.out, "Secret db/pg-secret", "what was made up is listed")

	got = s.run("render", "--offline", "-f", write(t, strings.ReplaceAll(renderBlueprint, ".Options.version", ".Options")+"\n---\nkind: x\n"))
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.err, "document 2: it has no apiVersion")
	assert.Contains(t, s.run("render", "--offline", "-a", "backup", "-b", "none", "-t", "db/pg").out, `Blueprint "none" does not exist`)
	assert.Contains(t, s.run("render", "--offline", "x", "-a", "backup").err, "not both")
	assert.Contains(t, s.run("render", "--offline", "-f", write(t, renderBlueprint), "--output", "dump").err, `--output: "dump" is not phase.key=value`)
}

// checkDump looks at what became of renderBlueprint with renderObjects.
func checkDump(t *testing.T, out string) {
	t.Helper()
	for _, secret := range []string{"canary", "CANARY", "Y2FuYXJ5", "SALVORMASKED"} {
		assert.NotContains(t, out, secret)
	}
	all := documents(t, out)
	require.Len(t, all, 4)
	dump, mark, up, artifacts := all[0], all[1], all[2], all[3]
	args, _ := dump["args"].(map[string]any)
	assert.Equal(t, "tools:3", args["image"])
	command, _ := args["command"].([]any)
	require.Len(t, command, 3)
	assert.Regexp(t, `^pg_dump -h pg-0 \*\*\* \*\*\* \S+ '\{"Location":\{"type":"s3Compliant","bucket":"backups"`, command[2])
	assert.Contains(t, command[2], `"KeyPair":{"ID":"***","Secret":"***"}`)
	pod, _ := dump["pod"].(map[string]any)
	spec, _ := pod["spec"].(map[string]any)
	assert.Equal(t, "low", spec["priorityClassName"], "the ActionSet's podOverride")
	containers, _ := spec["containers"].([]any)
	require.Len(t, containers, 1)
	container, _ := containers[0].(map[string]any)
	assert.Equal(t, []any{map[string]any{"name": "PASSWORD", "value": "***"}}, container["env"])
	assert.Equal(t, map[string]any{"namespace": "db", "pod": "pg-0", "command": []any{"echo", "<output dump.path>", "12"}}, mark["args"])
	assert.Nil(t, mark["pod"])
	assert.Equal(t, "ScaleWorkload", up["func"])
	assert.Equal(t, map[string]any{"dump": map[string]any{"keyValue": map[string]any{"path": "<output dump.path>"}}}, artifacts["artifacts"])
}

// Against a cluster everything is read, nothing is written, and no secret is shown.
func TestRenderAgainstACluster(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	ctx, ns := t.Context(), s.namespace
	text := func(manifest string) []byte {
		return []byte(strings.ReplaceAll(strings.ReplaceAll(manifest, "namespace: db", "namespace: "+ns), "{name: bp}", "{name: bp, namespace: "+ns+"}"))
	}
	var bp kanister.Blueprint
	require.NoError(t, kyaml.Unmarshal(text(renderBlueprint), &bp))
	_, err := s.clients.Blueprints(ns).Create(ctx, &bp, metav1.CreateOptions{})
	require.NoError(t, err)
	for i, document := range strings.Split(string(text(renderObjects)), "---\n") {
		switch i {
		case 0, 1:
			var secret corev1.Secret
			require.NoError(t, kyaml.Unmarshal([]byte(document), &secret))
			_, err = s.clients.Kube.CoreV1().Secrets(ns).Create(ctx, &secret, metav1.CreateOptions{})
		case 2:
			var p kanister.Profile
			require.NoError(t, kyaml.Unmarshal([]byte(document), &p))
			_, err = s.clients.Profiles(ns).Create(ctx, &p, metav1.CreateOptions{})
		case 3:
			var set appsv1.StatefulSet
			require.NoError(t, kyaml.Unmarshal([]byte(document), &set))
			set.Spec.Template.Spec.Containers[0].Image = "postgres"
			set.Spec.VolumeClaimTemplates = nil
			set.Spec.Template.Spec.Containers[0].VolumeMounts = nil
			made, createErr := s.clients.Kube.AppsV1().StatefulSets(ns).Create(ctx, &set, metav1.CreateOptions{})
			require.NoError(t, createErr)
			s.pod(made)
		case 4:
			var as kanister.ActionSet
			require.NoError(t, kyaml.Unmarshal([]byte(document), &as))
			_, err = s.clients.ActionSets(ns).Create(ctx, &as, metav1.CreateOptions{})
		}
		require.NoError(t, err)
	}
	got := s.run("render", "backup-1", "--output", "dump.size=12")
	require.Zero(t, got.code, got.out+got.err)
	checkDump(t, strings.ReplaceAll(got.out, "namespace: "+ns, "namespace: db"))
	assert.Contains(t, got.out, "name: salvor-", "the pod's real name")
	list, err := s.clients.Kube.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	assert.Len(t, list.Items, 1, "only the stateful set's: nothing was made")

	// What a phase has published already is not made up.
	s.setStatus("backup-1", kanister.ActionSetStatus{State: kanister.StateRunning, Actions: []kanister.ActionStatus{{
		Name: "backup", Blueprint: "bp", Phases: []kanister.Phase{{Name: "dump", State: kanister.StateComplete, Output: kanister.JSONMap{"path": "real/path"}}},
	}}})
	assert.Contains(t, s.run("render", "backup-1").out, "real/path")

	got = s.run("render", "-a", "backup", "-b", "bp", "-t", ns+"/pg", "-p", "s3")
	assert.Equal(t, 1, got.code, "an option is missing, and in a cluster nothing is made up")
	assert.Contains(t, documents(t, got.out)[0]["error"], `"version" not found`)
	assert.Equal(t, 3, s.run("render", "nobody").code)
}

// pod makes the running pod of a stateful set, which has no controller here.
func (s *shell) pod(set *appsv1.StatefulSet) {
	s.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: set.Name + "-0", Labels: set.Spec.Template.Labels, OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))}},
		Spec:       set.Spec.Template.Spec,
	}
	pods := s.clients.Kube.CoreV1().Pods(s.namespace)
	made, err := pods.Create(s.t.Context(), pod, metav1.CreateOptions{})
	require.NoError(s.t, err)
	made.Status.Phase = corev1.PodRunning
	_, err = pods.UpdateStatus(s.t.Context(), made, metav1.UpdateOptions{})
	require.NoError(s.t, err)
}

// An image that an option may replace is in the collection's blueprints: without the
// option the default is what would run.
const optionalBlueprint = `apiVersion: cr.kanister.io/v1alpha1
kind: Blueprint
metadata: {name: dump}
actions:
  backup:
    phases:
    - name: dump
      func: KubeTask
      args:
        image: '{{if index .Options "tools" }} {{- .Options.tools -}} {{else -}} tools:1 {{- end}}'
        command: ['{{ index .Options "level" | default "9" }}', '{{ with index .Options "to" }}--to={{ . }}{{ end }}', '{{ .Options.table }}', '{{ index .Options "row" }}']
---
apiVersion: cr.kanister.io/v1alpha1
kind: ActionSet
metadata: {generateName: backup-, creationTimestamp: null}
spec:
  actions:
  - name: backup
    blueprint: dump
    object: {apiVersion: v1, group: "", kind: "", name: etcd-backup, namespace: "", resource: namespaces}
    configMaps: {}
    secrets: {}
    preferredVersion: ""
`

func TestRenderDoesWithoutOptionsThatTemplatesAskFor(t *testing.T) {
	t.Parallel()
	path := write(t, optionalBlueprint)
	got := alone(t, "render", "--offline", "-f", path)
	require.Zero(t, got.code, got.out+got.err)
	args, _ := documents(t, got.out)[0]["args"].(map[string]any)
	assert.Equal(t, "tools:1", args["image"])
	assert.Equal(t, []any{"9", "", "<option table>", "<option row>"}, args["command"])
	assert.Contains(t, got.out, "made up, since no file has it: option row, option table", got.out)
	assert.Contains(t, got.out, "salvor.io/actionset: backup-1")

	got = alone(t, "render", "--offline", "-f", path, "-a", "backup", "-b", "dump", "-T", "db", "-o", "tools=mine:2,table=t,row=r")
	require.Zero(t, got.code, got.out+got.err)
	args, _ = documents(t, got.out)[0]["args"].(map[string]any)
	assert.Equal(t, "mine:2", args["image"])

	got = alone(t, "validate", "-f", path)
	assert.Contains(t, got.out, "spec.actions[0].options.table: is not given")
	assert.NotContains(t, got.out, "options.tools")
	got = alone(t, "validate", "-f", write(t, strings.ReplaceAll(optionalBlueprint, ", '{{ .Options.table }}'", "")))
	assert.Equal(t, result{0, "blueprint dump: no problem found\nactionset backup-*: no problem found\n", ""}, got)
}

// The collection's blueprints for etcd take their settings from a Secret that is the
// object itself, and decode them by hand.
func TestRenderMakesUpASecretWhereTheObjectIsDecoded(t *testing.T) {
	t.Parallel()
	path := write(t, `apiVersion: cr.kanister.io/v1alpha1
kind: Blueprint
metadata: {name: etcd}
actions:
  backup:
    phases:
    - name: snapshot
      func: KubeTask
      args:
        image: kubectl
        command: ['{{ index .Object.data "labels" | toString | b64dec }}', '{{ b64dec (.Object.data.endpoints) }}', '{{ .Object.metadata.name }}']
`)
	got := alone(t, "render", "--offline", "-f", path)
	require.Zero(t, got.code, got.out+got.err)
	args, _ := documents(t, got.out)[0]["args"].(map[string]any)
	assert.Equal(t, []any{"***", "***", "example"}, args["command"])
	assert.Contains(t, got.out, "the object, a Secret")
}
