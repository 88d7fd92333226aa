package rds_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/fixture/rdstest"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/rds"
	"github.com/salvor-io/salvor/runner/functiontest"
)

// glance is a pod that looks at the region while the temporary instance is there.
type glance struct {
	server    *rdstest.Server
	spec      function.PodSpec
	temporary *rdstest.Thing
}

func (g *glance) Run(_ context.Context, _ *function.Call, spec function.PodSpec) (map[string]any, error) {
	g.spec = spec
	for _, id := range g.server.IDs(rdstest.Instance) {
		if id != "db" && id != "writer" {
			g.temporary = g.server.Get(rdstest.Instance, id)
		}
	}
	return map[string]any{"backupID": "b"}, nil
}

// What ExportRDSSnapshotToLocation does with what it is told, and when it is told
// nothing: KANISTER.md, 2.1.
func TestDefaultsOfAnExport(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args                     map[string]any
		prefix, subnets, written string
		groups, databases        []string
	}{
		"nothing is told": {
			prefix: "db", subnets: "default", groups: []string{"sg-1", "sg-2"}, written: groups,
		},
		"all is told": {
			args: map[string]any{
				"backupArtifactPrefix": "my/path", "dbSubnetGroup": "private", "securityGroupID": []any{"sg-9"}, "databases": []any{"a", "b"},
			},
			prefix: "my/path", subnets: "private", groups: []string{"sg-9"}, databases: []string{"a", "b"}, written: "- sg-9\n",
		},
		"lists as YAML text": {
			args:   map[string]any{"securityGroupID": "- sg-8\n- sg-9\n", "databases": "- a\n"},
			prefix: "db", subnets: "default", groups: []string{"sg-8", "sg-9"}, databases: []string{"a"}, written: "- sg-8\n- sg-9\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := region(t, &functiontest.Gate{})
			s.Looks(0)
			args := map[string]any{"namespace": "shop", "instanceID": "db", "snapshotID": "old", "dbEngine": "PostgreSQL", "username": "u", "password": "p"}
			maps.Copy(args, tt.args)
			call, pod := newCall(t, s, "ExportRDSSnapshotToLocation", args), &glance{server: s}
			call.Pods = pod
			output, err := rds.NewExport().Execute(t.Context(), call)
			require.NoError(t, err)
			assert.Equal(t, map[string]any{"snapshotID": "old", "instanceID": "db", "securityGroupID": tt.written, "backupID": "b"}, output)
			assert.Equal(t, "shop", pod.spec.Namespace)
			require.NotNil(t, pod.temporary)
			assert.Equal(t, tt.subnets, pod.temporary.Subnets)
			assert.Equal(t, tt.groups, pod.temporary.Groups)
			at := slices.Index(pod.spec.Command, "salvor") // then: host, prefix, name, databases
			require.Positive(t, at)
			words := pod.spec.Command[at+1:]
			assert.Equal(t, tt.prefix, words[1])
			assert.Equal(t, tt.databases, append([]string(nil), words[3:]...))
		})
	}
}
