package restic_test

import (
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/runner/function/restic"
)

// What Kanister backed up is restored, and what we back up Kanister restores.
func TestBackupDataBothWays(t *testing.T) {
	t.Parallel()
	l, data := newLab(t), files(t)
	for name, prefix := range map[string]string{"the bucket before the prefix": bucket + "/time-log", "the prefix alone": "logs/app"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repository := prefix
			if prefix == "logs/app" {
				repository = bucket + "/" + prefix
			}
			out := l.execute(t, restic.NewBackupData(), l.call(t, restic.NameBackupData, map[string]any{
				"namespace": "db", "pod": "db-0", "container": "main", "includePath": data, "backupArtifactPrefix": prefix,
			}))
			assert.Regexp(t, `^[0-9a-f]{8}$`, out["backupID"])
			assert.Regexp(t, `^[b-z2-9]{10}$`, out["backupTag"])
			assert.Equal(t, "3", out["fileCount"])
			assert.Equal(t, "68.367 KiB", out["size"])
			assert.Regexp(t, regexp.MustCompile(`^[0-9.]+ (B|KiB|MiB)$`), out["phySize"])
			assert.Equal(t, "v0.0.0", out["version"])
			list := l.snapshots(t, repository)
			require.Len(t, list, 1)
			assert.Equal(t, snapshot{ID: out["backupID"].(string), Tags: []string{out["backupTag"].(string)}, Paths: []string{data}}, list[0])

			for _, args := range [][]string{
				{"restore", out["backupID"].(string), "--target"},
				{"restore", "--tag", out["backupTag"].(string), "latest", "--target"},
			} {
				target := t.TempDir()
				l.kanister(t, repository, kanisterPassword, append(args, target)...)
				same(t, data, filepath.Join(target, data))
			}
		})
	}
}

func TestRestoreDataOfKanister(t *testing.T) {
	t.Parallel()
	l, data := newLab(t), files(t)
	const repository = bucket + "/made/by-kanister"
	l.kanister(t, repository, kanisterPassword, "init")
	id := snapshotID(t, l.kanister(t, repository, kanisterPassword, "backup", "--tag", "x7bkz2wq5p", data))
	for name, by := range map[string]map[string]any{"id": {"backupIdentifier": id}, "tag": {"backupTag": "x7bkz2wq5p"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := t.TempDir()
			args := map[string]any{
				"namespace": "db", "image": "tools:2", "backupArtifactPrefix": repository, "restorePath": target,
				"volumes": map[string]any{"claim": target},
			}
			for k, v := range by {
				args[k] = v
			}
			assert.Empty(t, l.execute(t, restic.NewRestoreData(), l.call(t, restic.NameRestoreData, args)))
			same(t, data, filepath.Join(target, data))
		})
	}
}
