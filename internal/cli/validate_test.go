package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

const blueprintHead = "apiVersion: cr.kanister.io/v1alpha1\nkind: Blueprint\nmetadata: {name: pg}\n"

// files writes files into a folder and returns it.
func files(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return dir
}

// alone runs a command line that finds no cluster, also beside others.
func alone(t *testing.T, args ...string) result {
	t.Helper()
	return (&shell{t: t, name: "salvor"}).run(append(args, "--kubeconfig", filepath.Join(t.TempDir(), "none"))...)
}

func file(t *testing.T, text string) string {
	t.Helper()
	return filepath.Join(files(t, map[string]string{"f.yaml": text}), "f.yaml")
}

// found takes the name of the file from what was found in it.
func found(path string, got result) []string {
	return strings.Split(strings.TrimSuffix(strings.ReplaceAll(got.out, path+":", ""), "\n"), "\n")
}

func TestValidateIsLikeACompiler(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"functions and arguments": {blueprintHead + `actions:
  backup:
    phases:
    - name: dump
      func: KubTask
    - name: upload
      func: KubeTask
      args:
        imag: x
        command: [sh, null]
`, []string{
			`8:13: error: actions.backup.phases[0].func: function "KubTask" is unknown (did you mean KubeTask?)`,
			`11:7: error: actions.backup.phases[1].args.image: required argument of KubeTask is missing (add it)`,
			`12:9: error: actions.backup.phases[1].args.imag: argument imag is not supported by KubeTask (did you mean image?)`,
			`13:23: error: actions.backup.phases[1].args.command[1]: is null (give it a value, or leave it out)`,
		}},
		"templates in a block": {blueprintHead + `actions:
  backup:
    phases:
    - name: dump
      func: KubeTask
      args:
        image: "{{ .Optoins.image }}"
        command:
        - sh
        - |
          set -e
            echo {{ .Time }} {{ $.Phases.dupm.Output.x }}
        - |
          one

          {{ upper .Time
`, []string{
			`10:20: error: actions.backup.phases[0].args.image: template names .Optoins.image, which does not exist (did you mean .Options?)`,
			`15:33: error: actions.backup.phases[0].args.command[1]: template names .Phases.dupm.Output.x, which is not a phase of this action (its phases are: dump)`,
			`19:11: error: actions.backup.phases[0].args.command[2]: template does not parse: 4: unclosed action started at line:3 (correct the template)`,
		}},
		"fields": {blueprintHead + `actions:
  backup:
    type: Deployment
    phaces: []
    phases:
    - name: 5
      func: ScaleWorkload
      args: {replicas: 1}
`, []string{
			`6:5: warning: unknown field "actions.backup.type" (the API server drops it; the fields here are: configMapNames, deferPhase, inputArtifactNames, kind, name, outputArtifacts, phases, secretNames)`,
			`7:5: error: unknown field "actions.backup.phaces" (did you mean phases?)`,
			`9:13: error: actions.backup.phases[0].name: must be text, not a number (put it in quotes)`,
		}},
		"keys and names": {`apiVersion: cr.kanister.io/v1alpha1
kind: Blueprint
metadata: {name: Not_A_Name}
actions:
  backup: {phases: [{name: a, func: ScaleWorkload, args: {replicas: 1}}]}
  backup: {phases: []}
`, []string{
			`3:18: error: metadata.name: "Not_A_Name" is no name: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*') (use lower-case letters, digits, - and .)`,
			`5:3: warning: actions.backup: has no phases, so it does nothing (give it phases)`,
			`6:3: error: the key "backup" stands in line 5 already (remove one of them)`,
		}},
		"a tab": {blueprintHead + "actions:\n  backup:\n\t  phases: []\n", []string{
			"6:1: error: a tab indents this line, and YAML takes spaces only (replace it by spaces)",
		}},
		"a template without quotes": {blueprintHead + "actions:\n  backup:\n    phases:\n    - name: {{ .Time }}\n      func: x\n", []string{
			"7:13: error: a value that begins with {{ is a map to YAML (put quotes around the template, or write it as a block (|))",
		}},
		"each document by itself": {"a: [\n---\n" + blueprintHead + "actions: {}\n--- # third\nkind: Blueprint\napiVersion: cr.kanister.io/v1\n---\nkind: BluePrint\napiVersion: cr.kanister.io/v1alpha1\n---\na: b\n", []string{
			"1:1: error: cannot be read as YAML: did not find expected node content (correct the YAML here or just before)",
			"6:1: error: actions: is empty, so there is nothing to run (give the blueprint an action, such as backup)",
			"9:13: error: apiVersion cr.kanister.io/v1 of kind Blueprint is not known (write cr.kanister.io/v1alpha1)",
			"11:7: error: kind BluePrint of cr.kanister.io/v1alpha1 is not known (did you mean Blueprint?)",
			"14:1: error: this document has no kind (begin it with apiVersion and kind)",
		}},
		"all is well": {blueprintHead + "actions: {backup: {phases: [{name: a, func: ScaleWorkload, args: {replicas: 1}}]}}\n", []string{
			"blueprint pg: no problem found",
		}},
		"a list": {`apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
- apiVersion: cr.kanister.io/v1alpha1
  kind: Profile
  metadata: {name: s3}
  location:
    type: s3
`, []string{`10:11: error: location.type: "s3" is not one of s3Compliant, gcs, azure, filestore, kopia (use one of them)`}},
		"JSON with tabs": {"{\"apiVersion\": \"cr.kanister.io/v1alpha1\", \"kind\": \"Blueprint\",\n\t\"metadata\": {\"name\": \"pg\"},\n\t\"actions\": {\"backup\": {\"phases\": [{\"name\": \"a\", \"func\": \"Wat\"}]}}}\n", []string{
			`3:58: error: actions.backup.phases[0].func: function "Wat" is unknown (did you mean Wait?)`,
		}},
		"aliases": {blueprintHead + `actions:
  backup: &b
    phases:
    - &p {name: a, func: Wat, args: &a {x: 1}}
  restore: *b
`, []string{
			`7:17: warning: actions.restore.phases[0].name: "a" is the name of a phase of action backup too (it runs; Kanister's webhook, where there is one, wants names that differ in all of a blueprint)`,
			`7:26: error: actions.backup.phases[0].func: function "Wat" is unknown (did you mean Wait?)`,
			`7:26: error: actions.restore.phases[0].func: function "Wat" is unknown (did you mean Wait?)`,
		}},
		"types in an ActionSet": {`apiVersion: cr.kanister.io/v1alpha1
kind: ActionSet
metadata: {generateName: x-}
spec:
  actions:
  - name: backup
    options: {a: 1, b: on}
    podOverride: []
`, []string{
			`7:18: error: spec.actions[0].options.a: must be text, not a number (put it in quotes)`,
			`7:24: error: spec.actions[0].options.b: must be text, not true or false (put it in quotes)`,
			`8:5: error: spec.actions[0].podOverride: must be a map, not a list (correct the value)`,
		}},
		"an ActionSet that cannot run": {`apiVersion: cr.kanister.io/v1alpha1
kind: ActionSet
metadata:
  generateName: x-
  annotations: {salvor.io/timeuot: 5m}
spec:
  actions:
  - name: ""
    object: {name: db}
    preferredVersion: newest
    profile: {namespace: x}
    secrets: {aws: {namespace: x}}
  - name: backup
    blueprint: pg
    object: {kind: StatefulSet}
    podOverride: null
`, []string{
			`5:36: error: metadata.annotations[salvor.io/timeuot]: "5m": Salvor knows no such annotation; did you mean salvor.io/timeout?`,
			`8:5: error: spec.actions[0].blueprint: is empty (name the Blueprint to run)`,
			`8:11: error: spec.actions[0].name: is empty (name an action of the blueprint, such as backup)`,
			`9:5: error: spec.actions[0].object: neither kind nor resource is given (say what the action works on, for example kind: StatefulSet with name and namespace)`,
			`10:23: error: spec.actions[0].preferredVersion: "newest" is not a semantic version (leave it out, or write v0.0.0)`,
			`11:5: error: spec.actions[0].profile.name: is empty (name the Profile, or leave profile out)`,
			`12:15: error: spec.actions[0].secrets.aws.name: is empty (name the object)`,
			`15:5: error: spec.actions[1].object.name: is empty (name the object)`,
		}},
		"an ActionSet without actions": {`apiVersion: cr.kanister.io/v1alpha1
kind: ActionSet
spec: {}
`, []string{
			"1:1: error: metadata.name: is missing (name it)",
			"3:1: error: spec.actions: is empty, so there is nothing to run (name an action)",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := file(t, tc.text)
			got := alone(t, "validate", "-f", path)
			lines := found(path, got)
			assert.Equal(t, tc.want, lines, got.out)
			assert.Equal(t, strings.Contains(got.out, ": error: "), got.code == 1, got.err)
		})
	}
}

func TestValidateFoldersAndTheStandardInput(t *testing.T) {
	t.Parallel()
	good := blueprintHead + "actions: {backup: {phases: [{name: a, func: ScaleWorkload, args: {replicas: 1}}]}}\n"
	dir := files(t, map[string]string{
		"a/bp.yaml": good, "b/as.yml": actionSetOf("pg", "backup"), "values.json": `{"some": "thing"}`, "notes.txt": "a: [", ".git/x.yaml": "a: [",
	})
	got := alone(t, "validate", "-f", dir)
	assert.Equal(t, result{0, dir + "/a/bp.yaml: blueprint pg: no problem found\n" + dir + "/b/as.yml: actionset run: no problem found\n", ""}, got)
	assert.Equal(t, got, alone(t, "validate", dir), "a folder without -f")

	s := &shell{t: t, stdin: good, name: "salvor"}
	assert.Equal(t, result{0, "blueprint pg: no problem found\n", ""}, s.run("validate", "-f", "-"))
	s.stdin = "a: ["
	got = s.run("validate", "-f", "-")
	assert.True(t, strings.HasPrefix(got.out, "<stdin>:1:1: error: cannot be read as YAML: "), got.out)
	assert.Equal(t, "Error: 1 error found\n", got.err)

	assert.Contains(t, alone(t, "validate", "-f", filepath.Join(dir, "values.json")).out, "values.json:1:1: error: this document has no kind")
	other := files(t, map[string]string{"cm.yaml": "apiVersion: v1\nkind: ConfigMap\n"})
	assert.Equal(t, result{1, "", "Error: there is no ActionSet, ActionTrigger, Blueprint or Profile in " + other + "\n"}, alone(t, "validate", other))
	s.stdin = "---\n"
	assert.Equal(t, result{1, "", "Error: there is no Blueprint in <stdin>\n"}, s.run("validate", "blueprint", "-f", "-"))
	assert.Contains(t, alone(t, "validate", "-f", filepath.Join(dir, "nothing")).err, "no such file")
	assert.Contains(t, alone(t, "validate", "-f", t.TempDir()).err, "there is no .yaml, .yml or .json file in")
	assert.Contains(t, alone(t, "validate", "-f", dir, "-o", "xml").err, `--output: "xml" is not one of text, json`)
}

func actionSetOf(blueprint, action string) string {
	return `apiVersion: cr.kanister.io/v1alpha1
kind: ActionSet
metadata: {name: run}
spec:
  actions:
  - name: ` + action + `
    blueprint: ` + blueprint + `
    object: {kind: StatefulSet, name: db, namespace: shop}
`
}

func TestValidateActionSetWithItsBlueprint(t *testing.T) {
	t.Parallel()
	bp := blueprintHead + "actions: {backup: {phases: [{name: a, func: KubeTask, args: {image: '{{ .Options.image }}', command: ['{{ .Profile.Location.Bucket }} {{ .StatefulSet.Name }}']}}]}}\n---\n"
	path := file(t, bp+actionSetOf("pg", "backup"))
	got := alone(t, "validate", "-f", path)
	assert.Equal(t, []string{
		"11:5: error: spec.actions[0].options.image: is not given, and the blueprint needs it: actions.backup.phases[0].args.image names .Options.image (add it to options)",
		"11:5: error: spec.actions[0].profile: is not given, and the blueprint needs it: actions.backup.phases[0].args.command[0] names .Profile.Location.Bucket (name a Profile)",
		"blueprint pg: no problem found",
	}, found(path, got))
	path = file(t, bp+actionSetOf("pg", "bakup"))
	assert.Equal(t, `11:11: error: spec.actions[0].name: blueprint "pg" has no action "bakup" (did you mean backup? It has: backup)`, found(path, alone(t, "validate", "-f", path))[0])
	path = file(t, bp+actionSetOf("other", "bakup"))
	assert.Zero(t, alone(t, "validate", "-f", path).code, "of another blueprint nothing is known")
}

func TestValidateOutputJSON(t *testing.T) {
	t.Parallel()
	path := file(t, blueprintHead+"actions:\n  backup: {phases: [{name: a, func: Wat}, {name: a, func: ScaleWorkload, args: {replicas: 1}}]}\n")
	got := alone(t, "validate", "-f", path, "--output", "json")
	assert.Equal(t, 1, got.code)
	var out map[string]any
	require.NoError(t, json.Unmarshal([]byte(got.out), &out))
	assert.Equal(t, map[string]any{
		"objects": []any{map[string]any{"file": path, "line": 1.0, "kind": "Blueprint", "name": "pg"}},
		"findings": []any{
			map[string]any{
				"file": path, "line": 5.0, "column": 37.0, "severity": "error", "kind": "Blueprint", "name": "pg",
				"field": "actions.backup.phases[0].func", "message": `function "Wat" is unknown`, "hint": "did you mean Wait?",
			},
			map[string]any{
				"file": path, "line": 5.0, "column": 50.0, "severity": "warning", "kind": "Blueprint", "name": "pg",
				"field": "actions.backup.phases[1].name", "message": `"a" is the name of phases[0] too, and .Phases holds one of them only`, "hint": "give each phase of an action a name of its own",
			},
		},
		"errors": 1.0, "warnings": 1.0,
	}, out)
	assert.Equal(t, "Error: 1 error and 1 warning found\n", got.err)
}

// All that Kanister's users have is good: warnings at most.
func TestValidateKanistersBlueprints(t *testing.T) {
	t.Parallel()
	got := alone(t, "validate", "-f", "../blueprint/testdata/kanister")
	assert.Zero(t, got.code, got.err)
	assert.NotContains(t, got.out, ": error: ")
	assert.Equal(t, 2, strings.Count(got.out, `"setupNodeKeyStore" is the name of a phase of action backup too`))
}

func TestValidateAsKanctlDoes(t *testing.T) {
	t.Parallel()
	assert.Equal(t, result{1, "", "Error: give either --filename or --name\n"}, alone(t, "validate", "blueprint"))
	assert.Contains(t, alone(t, "validate", "repository-server-secrets", "--name", "x").err, "cannot be validated; blueprint, actionset, profile and trigger can")
	assert.Contains(t, alone(t, "validate", "blueprint", "--name", "x", "-v", "v1.0.0").err, "functions have one version")
	assert.Contains(t, alone(t, "validate", "--name", "x").err, "--name needs the kind")
	other := file(t, "kind: ConfigMap\napiVersion: v1\n")
	assert.Contains(t, alone(t, "validate", "blueprint", "-f", other).out, `:1:7: error: holds apiVersion "v1", kind "ConfigMap"; want cr.kanister.io/v1alpha1, Blueprint`)
	none := file(t, blueprintHead)
	assert.Equal(t, []string{"1:1: error: actions: is empty, so there is nothing to run (give the blueprint an action, such as backup)"}, found(none, alone(t, "validate", "blueprint", "-f", none)))
	good := file(t, blueprintHead+"actions: {backup: {phases: [{name: stop, func: ScaleWorkload, args: {replicas: 0}}]}}\n")
	assert.Equal(t, result{0, "blueprint pg: no problem found\n", ""}, alone(t, "validate", "blueprint", "--functionVersion", "v0.0.0", "-f", good))

	profile := file(t, `apiVersion: cr.kanister.io/v1alpha1
kind: Profile
metadata: {name: p}
location: {type: s3Compliant}
credential: {type: keyPair}
`)
	got := alone(t, "validate", "profile", "-f", profile, "--schema-validation-only")
	assert.Equal(t, "Error: 2 errors found\n", got.err)
	assert.Equal(t, []string{
		"4:1: error: location.bucket: is required for this type (name the bucket)",
		"5:1: error: credential.keyPair: lacks idField, secretField, secret.name (idField and secretField name the keys of the Secret secret.name that hold the two halves)",
	}, found(profile, got))
	rds := file(t, "apiVersion: cr.kanister.io/v1alpha1\nkind: Profile\nmetadata: {name: p}\nlocation: {type: s3Compliant, region: eu-west-1}\n")
	got = alone(t, "validate", "profile", "-f", rds, "--schema-validation-only")
	assert.Zero(t, got.code, got.err)
	assert.Equal(t, []string{"4:1: warning: location.bucket: is empty, so the Profile is for the functions of RDS alone (name the bucket, if there shall be one)"}, found(rds, got))
	for text, want := range map[string]string{
		"{type: s3Compliant, bucket: s3://b/c}":              `location.bucket: "s3://b/c" is not the name of a bucket (a path belongs into prefix, a server into endpoint)`,
		"{type: gcs, bucket: b, prefix: ../x}":               `location.prefix: path "../x" has an element that ends in ".."; write the path without it`,
		"{type: azure, bucket: b, endpoint: 'ftp://x'}":      "location.endpoint: is not the address of a store: the Location.endpoint must be an http or https URL",
		"{type: s3Compliant, bucket: b, endpoint: 'u:p@h?'}": "location.endpoint: is not the address of a store: ",
		"{type: filestore, bucket: b}":                       `location.bucket: "b" is not an absolute path`,
		"{type: s3compliant, bucket: b}":                     `location.type: "s3compliant" is not one of s3Compliant, gcs, azure, filestore, kopia`,
	} {
		path := file(t, "apiVersion: cr.kanister.io/v1alpha1\nkind: Profile\nmetadata: {name: p}\nlocation: "+text+"\n")
		assert.Contains(t, alone(t, "validate", path).out, want)
	}
	// What is wrong with the file is said also where no cluster can be asked.
	got = alone(t, "validate", "profile", "-f", profile)
	assert.Len(t, found(profile, got), 2)
	assert.Contains(t, got.err, "Warning: the cluster was not asked: look for the Secret (--schema-validation-only does not)")
	keyless := file(t, "apiVersion: cr.kanister.io/v1alpha1\nkind: Profile\nmetadata: {name: p}\nlocation: {type: gcs, bucket: b}\n")
	assert.Equal(t, result{0, "profile p: no problem found\n", ""}, alone(t, "validate", "profile", "-f", keyless, "--schema-validation-only"))
}

func TestValidateTriggerFile(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: salvor.io/v1alpha1\nkind: ActionTrigger\nmetadata: {name: nightly}\nspec:\n"
	const template = "  template: {spec: {actions: [{name: backup, blueprint: pg, object: {kind: StatefulSet, name: db}}]}}\n"
	good := file(t, head+"  when: {event: {filters: [{any: [{exact: {type: a}}]}]}}\n"+template)
	assert.Equal(t, result{0, "trigger nightly: no problem found\n", ""}, alone(t, "validate", "trigger", "-f", good))
	typo := file(t, head+"  when: {event: {filters: [{any: [{exat: {type: a}}]}]}}\n  coalesce: 3d\n"+template)
	got := alone(t, "validate", "trigger", "-f", typo)
	assert.Equal(t, []string{
		`5:35: error: spec.when.event.filters[0].any[0]: there is no filter "exat" (did you mean exact?)`,
		`6:13: error: spec.coalesce: "3d" is no length of time (write days as hours: 72h)`,
	}, found(typo, got))
	unknown := file(t, head+"  when: {schedule: {cron: '@daily', timezone: UTC}}\n"+template)
	assert.Contains(t, alone(t, "validate", "actiontrigger", "-f", unknown).out, `:5:37: error: unknown field "spec.when.schedule.timezone" (did you mean timeZone?)`)

	// When it fires is shown, so that a mistake in the expression is seen.
	yearly := file(t, head+"  when: {schedule: {cron: '30 2 1 1 *', timeZone: Asia/Kathmandu}}\n"+template)
	got = alone(t, "validate", "trigger", "-f", yearly)
	assert.Equal(t, 0, got.code, got.err)
	assert.Equal(t, 3, strings.Count(got.out, " 02:30:00 +0545\n"), got.out)
	jittered := file(t, head+"  when: {schedule: {cron: '@daily', jitter: 12h}}\n"+template)
	assert.Contains(t, alone(t, "validate", "trigger", "-f", jittered).out, "after the tick: its share of the jitter in namespace default")

	bp := blueprintHead + "actions: {backup: {phases: [{name: a, func: KubeTask, args: {image: '{{ .Profile.Location.Bucket }}', command: [x]}}]}}\n---\n"
	given := file(t, bp+head+"  when: {schedule: {cron: '@daily'}}\n"+template)
	assert.Contains(t, alone(t, "validate", "-f", given).out, "error: spec.template.spec.actions[0].profile: is not given, and the blueprint needs it")
}

func TestValidateAgainstACluster(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	path := file(t, strings.ReplaceAll(actionSetOf("pg", "backup"), "shop", s.namespace)+
		"    profile: {name: s3}\n    secrets: {aws: {name: aws}}\n    configMaps: {cm: {name: cm}}\n")
	got := s.run("validate", "-f", path, "--cluster")
	assert.Equal(t, 1, got.code)
	require.Len(t, found(path, got), 5, got.out)
	for _, part := range []string{
		`error: spec.actions[0].blueprint: Blueprint "pg" does not exist in namespace "` + s.namespace + `"; create it, or correct spec.actions[].blueprint`,
		`8:5: error: spec.actions[0].object: StatefulSet "` + s.namespace + `/db" does not exist`,
		`error: spec.actions[0].profile: Profile "` + s.namespace + `/s3" does not exist`,
		`error: spec.actions[0].secrets.aws: Secret "` + s.namespace + `/aws" does not exist`,
		`error: spec.actions[0].configMaps.cm: ConfigMap "` + s.namespace + `/cm" does not exist`,
	} {
		assert.Contains(t, got.out, part)
	}

	in := metav1.ObjectMeta{Namespace: s.namespace}
	bp := &kanister.Blueprint{ObjectMeta: in, Actions: map[string]*kanister.BlueprintAction{"backup": {Phases: []kanister.BlueprintPhase{
		{
			Name: "p", Func: "KubeTask", Args: kanister.JSONMap{"image": "{{ .Options.image }}", "command": []any{"x"}},
			ObjectRefs: map[string]kanister.ObjectReference{"db": {Kind: "Secret", Namespace: s.namespace, Name: "db"}},
		},
		{Name: "q", Func: "Wat"},
	}}}}
	bp.Name = "pg"
	_, err := s.clients.Blueprints(s.namespace).Create(t.Context(), bp, metav1.CreateOptions{})
	require.NoError(t, err)
	set := &appsv1.StatefulSet{ObjectMeta: in, Spec: appsv1.StatefulSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}},
	}}
	set.Name = "db"
	_, err = s.clients.Kube.AppsV1().StatefulSets(s.namespace).Create(t.Context(), set, metav1.CreateOptions{})
	require.NoError(t, err)
	for _, name := range []string{"aws", "cm"} {
		meta := *in.DeepCopy()
		meta.Name = name
		_, err = s.clients.Kube.CoreV1().Secrets(s.namespace).Create(t.Context(), &corev1.Secret{ObjectMeta: meta}, metav1.CreateOptions{})
		require.NoError(t, err)
		_, err = s.clients.Kube.CoreV1().ConfigMaps(s.namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: meta}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	path = file(t, strings.ReplaceAll(actionSetOf("pg", "backup"), "shop", s.namespace)+"    secrets: {aws: {name: aws}}\n    configMaps: {cm: {name: cm}}\n")
	got = s.run("validate", "-f", path, "--cluster")
	assert.Equal(t, []string{
		"6:5: error: spec.actions[0].options.image: is not given, and the blueprint needs it: actions.backup.phases[0].args.image names .Options.image (add it to options)",
		`7:16: error: spec.actions[0].blueprint: Blueprint ` + s.namespace + `/pg: actions.backup.phases[1].func: function "Wat" is unknown; did you mean Wait?`,
	}, found(path, got))

	got = s.run("validate", "blueprint", "--name", "pg")
	assert.Equal(t, 1, got.code)
	assert.Equal(t, "Blueprint "+s.namespace+`/pg: error: actions.backup.phases[1].func: function "Wat" is unknown (did you mean Wait?)
Blueprint `+s.namespace+`/pg: warning: actions.backup.phases[0].objects.db: Secret `+s.namespace+`/db does not exist (make it before the action runs)
`, got.out)
	assert.Equal(t, "Error: there is no ActionSet nobody in namespace "+s.namespace+"\n", s.run("validate", "actionset", "--name", "nobody").err)
}

func TestSchemaIsPrinted(t *testing.T) {
	t.Parallel()
	for arg, title := range map[string]string{"": "Salvor's resources", "blueprint": "Blueprint", "trigger": "ActionTrigger", "actionset": "ActionSet", "profile": "Profile"} {
		got := alone(t, strings.Fields("schema "+arg)...)
		require.Zero(t, got.code, got.err)
		var schema map[string]any
		require.NoError(t, json.Unmarshal([]byte(got.out), &schema))
		assert.Equal(t, title, schema["title"])
	}
	assert.Equal(t, result{1, "", "Error: \"pod\" is not one of ActionSet, ActionTrigger, Blueprint, Profile\n"}, alone(t, "schema", "pod"))
}
