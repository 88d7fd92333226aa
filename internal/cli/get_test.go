package cli_test

import (
	"encoding/json"
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
