package restic_test

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/output"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/restic"
	"github.com/salvor-io/salvor/runner/functiontest"
	"github.com/salvor-io/salvor/runner/functiontest/exectest"
)

// The functions that run in a container of somebody else's pass the suite; here the
// container only says what restic would. (Those with pods: package pods.)
func TestSuite(t *testing.T) {
	t.Parallel()
	bad := []functiontest.Bad{
		{Name: "no prefix", Set: map[string]any{"backupArtifactPrefix": nil}, Want: `argument "backupArtifactPrefix" is missing`},
		{Name: "no container", Set: map[string]any{"container": nil}, Want: `argument "container" is missing`},
		{Name: "an empty path", Set: map[string]any{"includePath": ""}, Want: `argument "includePath" is empty`},
		{Name: "an empty key", Set: map[string]any{"encryptionKey": " \n"}, Want: "argument encryptionKey is empty"},
		{Name: "a wrong bool", Set: map[string]any{"insecureTLS": "perhaps"}, Want: `argument "insecureTLS" must be true or false`},
		{Name: "an unknown container", Set: map[string]any{"container": "nope"}, Want: `has no container "nope"`, Reason: event.ReasonNotFound},
	}
	t.Run(restic.NameBackupData, func(t *testing.T) {
		t.Parallel()
		functiontest.Run(t, functiontest.Harness{
			Name: restic.NameBackupData,
			New:  restic.NewBackupData,
			Bad:  append(bad, functiontest.Bad{Name: "an unknown pod", Set: map[string]any{"pod": "nope"}, Want: "find pod db/nope", Reason: event.ReasonNotFound}),
			World: func(t *testing.T) functiontest.World {
				t.Helper()
				return execWorld(t, restic.NameBackupData, map[string]any{"pod": "db-0"}, func(t *testing.T, out map[string]any) {
					t.Helper()
					assert.Equal(t, "d0000000", out["backupID"])
					assert.Equal(t, "1.000 KiB", out["size"])
					assert.Equal(t, "7 B", out["phySize"], "what was stored, compressed")
				})
			},
		})
	})
	t.Run(restic.NameBackupDataAll, func(t *testing.T) {
		t.Parallel()
		functiontest.Run(t, functiontest.Harness{
			Name: restic.NameBackupDataAll,
			New:  restic.NewBackupDataAll,
			Bad:  append(bad, functiontest.Bad{Name: "no pods", Set: map[string]any{"pods": " "}, Want: "there are no pods to back up"}),
			World: func(t *testing.T) functiontest.World {
				t.Helper()
				return execWorld(t, restic.NameBackupDataAll, map[string]any{"pods": "db-1 db-0 db-1"}, func(t *testing.T, out map[string]any) {
					t.Helper()
					assert.Regexp(t, `^\{"db-0":\{"PodName":"db-0","BackupID":"d0000000","BackupTag":"[b-z2-9]{10}"\},"db-1":\{"PodName":"db-1","BackupID":"d1000000","BackupTag":"[b-z2-9]{10}"\}\}$`,
						out["BackupAllInfo"])
					assert.Equal(t, "v0.0.0", out["version"])
				})
			},
		})
	})
}

// execWorld is a call whose containers say that they made a backup, once they are
// released.
func execWorld(t *testing.T, name string, args map[string]any, check func(*testing.T, map[string]any)) functiontest.World {
	t.Helper()
	l := newAPI(t)
	busy, released := make(chan struct{}, 8), make(chan struct{})
	l.server.Behave = func(query url.Values, p exectest.Process) int {
		assert.NotContains(t, query.Encode(), "canary")
		busy <- struct{}{}
		select {
		case <-released:
		case <-p.Gone:
			return 0
		}
		id := "d" + p.Pod[len("db-"):] + "000000"
		summary := fmt.Sprintf(`{"total_files_processed":3,"total_bytes_processed":1024,"data_added":100,"data_added_packed":7,"snapshot_id":"%s99999999"}`, id)
		if line, err := output.Format("summary", summary); assert.NoError(t, err) {
			p.Out(line)
		}
		return 0
	}
	all := map[string]any{"namespace": "db", "container": "main", "includePath": "/data", "backupArtifactPrefix": "p"}
	maps.Copy(all, args)
	return functiontest.World{
		Call: l.call(t, name, all), Busy: busy, Release: sync.OnceFunc(func() { close(released) }), Check: check,
	}
}

// Without the argument the pods are those of the workload.
func TestPodsOfTheWorkload(t *testing.T) {
	t.Parallel()
	w := execWorld(t, restic.NameBackupDataAll, nil, nil)
	w.Release()
	l := newAPI(t)
	call := l.call(t, restic.NameBackupDataAll, w.Call.Args, func(p *blueprint.Params) {
		p.StatefulSet = &blueprint.Workload{Pods: []string{"db-0", "db-1"}}
	})
	call.Kube = w.Call.Kube
	out, err := restic.NewBackupDataAll().Execute(t.Context(), call)
	require.NoError(t, err)
	assert.Contains(t, out["BackupAllInfo"], `"db-1":{`)
}

// inTurn are pods that end one after the other, the last of their names first.
type inTurn struct {
	ended map[string]chan struct{}
	after map[string]string
}

func (p *inTurn) Run(_ context.Context, _ *function.Call, spec function.PodSpec) (map[string]any, error) {
	if other, waits := p.after[spec.Part]; waits {
		<-p.ended[other]
	}
	defer close(p.ended[spec.Part])
	return map[string]any{"last": spec.Part, spec.Part: "restored"}, nil
}

// What the pods of a RestoreDataAll publish is merged in the order of their names, not
// in that of their ends.
func TestOutputsOfRestoreDataAll(t *testing.T) {
	t.Parallel()
	const info = `{"db-0":{"PodName":"db-0","BackupID":"00000000"},"db-1":{"PodName":"db-1","BackupID":"00000001"}}`
	l := newAPI(t)
	call := l.call(t, restic.NameRestoreDataAll, map[string]any{"namespace": "db", "image": "x", "backupArtifactPrefix": "p", "backupInfo": info},
		func(p *blueprint.Params) {
			p.StatefulSet = &blueprint.Workload{Pods: []string{"db-1", "db-0"}, PersistentVolumeClaims: map[string]map[string]string{
				"db-0": {"data-db-0": "/data"}, "db-1": {"data-db-1": "/data"},
			}}
		})
	call.Pods = &inTurn{
		ended: map[string]chan struct{}{"db-0": make(chan struct{}), "db-1": make(chan struct{})}, after: map[string]string{"db-0": "db-1"},
	}
	out, err := restic.NewRestoreDataAll().Execute(t.Context(), call)
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"db-0": "restored", "db-1": "restored", "last": "db-1"}, out)
}
