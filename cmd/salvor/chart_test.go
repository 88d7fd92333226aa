package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/salvor-io/salvor/internal/fixture/proctest"
)

const chart = "../../deploy/chart"

// helmRefuses renders the chart with arguments that it must not take, and returns what
// helm says.
func helmRefuses(t *testing.T, args ...string) string {
	t.Helper()
	path, found := proctest.LocalBin(t, "helm")
	require.True(t, found, "helm is not there; run `make test-tools`")
	out, err := exec.CommandContext(t.Context(), path, append([]string{"template", "release", "--kube-version", "1.37.0"}, args...)...).CombinedOutput()
	require.Error(t, err, "%v", args)
	return string(out)
}

func TestAChartThatCannotWorkSaysWhy(t *testing.T) {
	t.Parallel()
	for says, args := range map[string][]string{
		"bridge.ingress.tls.clientCASecret needs bridge.ingress.tls.secret": {chart, "--set", "bridge.ingress.tls.clientCASecret=x"},
		"bridge.natsEventsStreams need nats.url":                            {chart, "--set", "bridge.natsEvents={a.*}"},
		"set postgresql.password":                                           {"../../deploy/samples/helm-pre-upgrade", "--set", "backup.profile.name=x"},
		"set backup.profile.name":                                           {"../../deploy/samples/helm-pre-upgrade", "--set", "postgresql.password=x"},
	} {
		assert.Contains(t, helmRefuses(t, args...), says)
	}
}

// A value under a wrong name, or of a wrong kind, is not ignored.
func TestTheChartNamesAWrongValue(t *testing.T) {
	t.Parallel()
	for says, values := range map[string]string{
		"at '': additional properties 'runer' not allowed":                            `runer: {slots: 3}`,
		"at '/runner': additional properties 'slot' not allowed":                      `runner: {slot: 3}`,
		"at '/runner/slots': got string, want integer":                                `runner: {slots: many}`,
		"at '/runner/slots': minimum: got 0, want 1":                                  `runner: {slots: 0}`,
		"at '/runner/rdsEndpoint': 'rds.local' does not match":                        `runner: {rdsEndpoint: rds.local}`,
		"at '/image/tag': got number, want string":                                    `image: {tag: 1.10}`,
		"at '/admission/action': value must be one of 'Deny', 'Warn', 'Audit'":        `admission: {action: deny}`,
		"at '/admission/tenancy': value must be one of":                               `admission: {tenancy: true}`,
		"at '/bridge/ingress': additional properties 'tokenSecrt' not allowed":        `bridge: {ingress: {tokenSecrt: x}}`,
		"at '/bridge/sinks/0': 'sink.example.com' does not match":                     `bridge: {sinks: [sink.example.com]}`,
		"at '/bridge/kubernetesSources/0': additional properties 'verbs' not allowed": `bridge: {kubernetesSources: [{apiGroups: [apps], resources: [daemonsets], verbs: ["*"]}]}`,
		"at '/rbac/workloadNamespaces': got string, want array":                       `rbac: {workloadNamespaces: shop}`,
		"at '/rbac/extraRules/0': missing property 'verbs'":                           `rbac: {extraRules: [{apiGroups: [""], resources: [configmaps]}]}`,
		"at '/storage/size': '4 GiB' does not match":                                  `storage: {size: 4 GiB}`,
		"at '/podAnnotations/a': got boolean, want string":                            `podAnnotations: {a: true}`,
		"at '/log/level': value must be one of":                                       `log: {level: verbose}`,
	} {
		file := filepath.Join(t.TempDir(), "values.yaml")
		require.NoError(t, os.WriteFile(file, []byte(values), 0o600))
		assert.Contains(t, helmRefuses(t, chart, "--values", file), says)
	}
}

// Off is false where it is written without quotes, as people do.
func TestTenancyIsOffWithoutQuotes(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"Off", `"Off"`} {
		file := filepath.Join(t.TempDir(), "values.yaml")
		require.NoError(t, os.WriteFile(file, []byte("admission: {tenancy: "+word+"}"), 0o600))
		out := string(tool(t, nil, "helm", "template", "release", chart, "--kube-version", "1.37.0", "--values", file))
		assert.Contains(t, out, "name: release-actionsets")
		assert.NotContains(t, out, "name: release-tenancy", word)
	}
}

// values.yaml, the schema and the templates know the same values: nothing is set for
// nothing, and nothing can be set of which nobody is told.
func TestTheChartsValuesAreTheSameEverywhere(t *testing.T) {
	t.Parallel()
	var values map[string]any
	content, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	require.NoError(t, err)
	require.NoError(t, yaml.UnmarshalStrict(content, &values))
	var schema map[string]any
	content, err = os.ReadFile(filepath.Join(chart, "values.schema.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &schema))

	known := map[string]bool{}
	schemaPaths(t, schema, "", known)
	delete(known, "global") // every chart has it
	written := map[string]bool{}
	valuePaths(values, "", known, written)
	assert.ElementsMatch(t, slices.Collect(maps.Keys(known)), slices.Collect(maps.Keys(written)))

	var templates strings.Builder
	files, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	require.NoError(t, err)
	for _, file := range files {
		content, err := os.ReadFile(filepath.Clean(file))
		require.NoError(t, err)
		templates.Write(content)
	}
	for path := range known {
		name := path[strings.LastIndex(path, ".")+1:]
		assert.Regexp(t, `\.`+name+`\b`, templates.String(), "no template uses %s", path)
	}
}

// schemaPaths collects the paths that the schema ends at. One that is of a known form
// but has members of its own, such as a pod's resources, is an end.
func schemaPaths(t *testing.T, schema map[string]any, at string, into map[string]bool) {
	t.Helper()
	properties, ok := schema["properties"].(map[string]any)
	if !ok || at == "resources" {
		into[at] = true
		return
	}
	assert.Equal(t, false, schema["additionalProperties"], "the schema takes any name at %q", at)
	for name, member := range properties {
		inner, ok := member.(map[string]any)
		require.True(t, ok, name)
		schemaPaths(t, inner, strings.TrimPrefix(at+"."+name, "."), into)
	}
}

// valuePaths collects the paths of values down to those that are in ends.
func valuePaths(value any, at string, ends, into map[string]bool) {
	members, ok := value.(map[string]any)
	if !ok || ends[at] {
		into[at] = true
		return
	}
	for name, member := range members {
		valuePaths(member, strings.TrimPrefix(at+"."+name, "."), ends, into)
	}
}
