package restic_test

import (
	"context"
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/restic"
	"github.com/salvor-io/salvor/runner/functiontest"
)

// podsMade counts the pods that a function asks for.
type podsMade struct{ n int }

func (p *podsMade) Run(context.Context, *function.Call, function.PodSpec) (map[string]any, error) {
	p.n++
	return nil, nil //nolint:nilnil // nothing is published
}

// An id comes from an artifact, so from whoever makes ActionSets. As an option restic
// would delete, or restore, something else.
func TestIDsAreNoOptions(t *testing.T) {
	t.Parallel()
	l := newAPI(t)
	all := map[string]any{"namespace": "db", "backupArtifactPrefix": "p"}
	info := `{"db-0":{"PodName":"db-0","BackupID":"--keep-last=1"}}`
	for name, tc := range map[string]struct {
		new  function.Factory
		args map[string]any
	}{
		restic.NameDeleteData:      {restic.NewDeleteData, map[string]any{"backupID": "1234abcd --keep-last=1"}},
		restic.NameDeleteDataAll:   {restic.NewDeleteDataAll, map[string]any{"backupInfo": info}},
		restic.NameBackupDataStats: {restic.NewBackupDataStats, map[string]any{"backupID": "--cache-dir=/x"}},
		restic.NameRestoreData:     {restic.NewRestoreData, map[string]any{"image": "i", "backupIdentifier": "-t/", "volumes": map[string]any{"data": "/data"}}},
		restic.NameRestoreDataAll:  {restic.NewRestoreDataAll, map[string]any{"image": "i", "backupInfo": info, "pods": "db-0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := maps.Clone(all)
			maps.Copy(args, tc.args)
			call, pods := l.call(t, name, args), &podsMade{}
			call.Pods = pods
			_, err := tc.new().Execute(t.Context(), call)
			require.ErrorContains(t, err, "is not the id of a backup")
			assert.Equal(t, event.ReasonInvalid, functiontest.ReasonOf(err))
			assert.Zero(t, pods.n)
		})
	}
}
