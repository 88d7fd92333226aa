package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

func TestGet(t *testing.T) {
	s := newShell(t)
	got := s.run("get")
	assert.Equal(t, result{0, "", "No ActionSets in namespace " + s.namespace + ".\n"}, got)
	s.actionSet("one")
	bad := status(failed, complete, failed, complete)
	bad.Error.Message = "phase dump: " + strings.Repeat("x", 80) + "\nsecond \x1b[31mline"
	s.setStatus("one", bad)

	for _, args := range [][]string{{"get"}, {"get", "actionsets"}, {"get", "runs", "one"}, {"get", "one"}, {"get", "as"}} {
		got = s.run(args...)
		require.Zero(t, got.code, got.err)
		lines := strings.Split(strings.TrimSpace(got.out), "\n")
		require.Len(t, lines, 2, args)
		assert.Equal(t, []string{"NAME", "STATE", "PROGRESS", "PHASE", "ACTION", "OBJECT", "AGE", "ERROR"}, strings.Fields(lines[0]))
		fields := strings.Fields(lines[1])
		assert.Equal(t, []string{"one", "failed", "-", "-", "backup", "statefulset/db/pg"}, fields[:6])
		assert.Equal(t, "phase dump: "+strings.Repeat("x", 47)+"…", strings.Join(fields[7:], " "))
	}
	got = s.run("get", "-A", "-o", "wide")
	require.Zero(t, got.code, got.err)
	assert.True(t, strings.HasPrefix(got.out, "NAMESPACE "), got.out)
	assert.Contains(t, got.out, "second [31mline", "in full, without what moves the cursor")
	assert.Contains(t, got.out, "postgres")

	got = s.run("get", "one", "-o", "yaml")
	var as kanister.ActionSet
	require.NoError(t, yaml.UnmarshalStrict([]byte(got.out), &as))
	assert.Equal(t, "ActionSet", as.Kind)
	assert.Equal(t, bad.Error.Message, as.Status.Error.Message)
	assert.Empty(t, as.ManagedFields)
	got = s.run("get", "-o", "json")
	var list metav1.List
	require.NoError(t, json.Unmarshal([]byte(got.out), &list))
	assert.Equal(t, "List", list.Kind)
	assert.Len(t, list.Items, 1)

	got = s.run("get", "two")
	assert.Equal(t, result{3, "", "Error: there is no ActionSet two in namespace " + s.namespace + "\n"}, got)
	got = s.run("get", "pods", "two")
	assert.Equal(t, result{1, "", "Error: \"pods\" is not something to get; get knows actionsets (also: as, runs)\n"}, got)
	got = s.run("get", "-o", "xml")
	assert.Equal(t, result{1, "", "Error: --output: \"xml\" is not one of table, wide, json, yaml\n"}, got)
	got = s.run("get", "one", "-A")
	assert.Equal(t, 1, got.code)
}

func TestValidateBlueprint(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	const head = "apiVersion: cr.kanister.io/v1alpha1\nkind: Blueprint\nmetadata: {name: pg}\n"
	typo := write("typo.yaml", head+"actions:\n  backup:\n    phazes: []\n")
	got := offline(t, "validate", "blueprint", "-f", typo)
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.err, `unknown field "actions.backup.phazes"`)
	none := write("none.yaml", head)
	assert.Equal(t, result{1, "", "Error: blueprint pg has no actions\n"}, offline(t, "validate", "blueprint", "-f", none))
	other := write("other.yaml", "kind: ConfigMap\napiVersion: v1\n")
	assert.Contains(t, offline(t, "validate", "blueprint", "-f", other).err, `holds apiVersion "v1", kind "ConfigMap"; want cr.kanister.io/v1alpha1, Blueprint`)
	assert.Equal(t, result{1, "", "Error: give either --filename or --name\n"}, offline(t, "validate", "blueprint"))
	assert.Contains(t, offline(t, "validate", "repository-server-secrets", "--name", "x").err, "cannot be validated; blueprint, profile and trigger can")
	assert.Contains(t, offline(t, "validate", "blueprint", "--name", "x", "-v", "v1.0.0").err, "functions have one version")
	// What the functions and templates are checked for is tested with them, in
	// package blueprint.
	good := write("good.yaml", head+`actions:
  backup:
    phases:
    - name: stop
      func: ScaleWorkload
      args: {replicas: 0}
`)
	assert.Equal(t, result{0, "blueprint pg: no problem found\n", ""}, offline(t, "validate", "blueprint", "-f", good))
	bad := write("bad.yaml", head+"actions:\n  backup:\n    phases:\n    - {name: x, func: NoSuchFunction}\n")
	got = offline(t, "validate", "blueprint", "-f", bad)
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.out, "NoSuchFunction")
	assert.Equal(t, "Error: blueprint pg has 1 problem\n", got.err)
}

func TestValidateProfileFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.yaml")
	require.NoError(t, os.WriteFile(path, []byte(`apiVersion: cr.kanister.io/v1alpha1
kind: Profile
metadata: {name: p}
location: {type: s3Compliant}
credential: {type: keyPair}
`), 0o600))
	got := offline(t, "validate", "profile", "-f", path, "--schema-validation-only")
	assert.Equal(t, result{1, "profile p: location.bucket is required for this type\nprofile p: credential.keyPair needs idField, secretField and secret.name\n", "Error: profile p has 2 problems\n"}, got)
}

func TestValidateTriggerFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte("apiVersion: salvor.io/v1alpha1\nkind: ActionTrigger\nmetadata: {name: nightly}\nspec:\n"+text), 0o600))
		return path
	}
	const template = "  template: {spec: {actions: [{name: backup, blueprint: pg, object: {kind: StatefulSet, name: db}}]}}\n"
	good := write("good.yaml", "  when: {event: {filters: [{any: [{exact: {type: a}}]}]}}\n"+template)
	assert.Equal(t, result{0, "trigger nightly: no problem found\n", ""}, offline(t, "validate", "trigger", "-f", good))
	typo := write("typo.yaml", "  when: {event: {filters: [{any: [{exat: {type: a}}]}]}}\n  coalesce: 3d\n"+template)
	assert.Equal(t, result{1, `trigger nightly: spec.when.event.filters[0].any[0]: there is no filter "exat"; did you mean exact?
trigger nightly: spec.coalesce: "3d" is no length of time; write days as hours: 72h
`, "Error: trigger nightly has 2 problems\n"}, offline(t, "validate", "trigger", "-f", typo))
	unknown := write("unknown.yaml", "  when: {schedule: {cron: '@daily', timezone: UTC}}\n"+template)
	assert.Contains(t, offline(t, "validate", "actiontrigger", "-f", unknown).err, `unknown field "spec.when.schedule.timezone"`)

	// When it fires is shown, so that a mistake in the expression is seen.
	yearly := write("yearly.yaml", "  when: {schedule: {cron: '30 2 1 1 *', timeZone: Asia/Kathmandu}}\n"+template)
	got := offline(t, "validate", "trigger", "-f", yearly)
	assert.Equal(t, 0, got.code, got.err)
	assert.Equal(t, 3, strings.Count(got.out, " 02:30:00 +0545\n"), got.out)
	jittered := write("jittered.yaml", "  when: {schedule: {cron: '@daily', jitter: 12h}}\n"+template)
	assert.Contains(t, offline(t, "validate", "trigger", "-f", jittered).out, "after the tick: its share of the jitter in namespace default")
}
