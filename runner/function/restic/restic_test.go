package restic_test

import (
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/blueprint"
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
			assert.Regexp(t, `^[0-9.]+ (B|KiB|MiB)$`, out["phySize"])
			assert.Equal(t, "v0.0.0", out["version"])
			list := l.snapshots(t, repository)
			require.Len(t, list, 1)
			assert.Equal(t, snapshot{ID: text(t, out, "backupID"), Tags: []string{text(t, out, "backupTag")}, Paths: []string{data}}, list[0])

			for _, args := range [][]string{
				{"restore", text(t, out, "backupID"), "--target"},
				{"restore", "--tag", text(t, out, "backupTag"), "latest", "--target"},
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
			maps.Copy(args, by)
			assert.Empty(t, l.execute(t, restic.NewRestoreData(), l.call(t, restic.NameRestoreData, args)))
			same(t, data, filepath.Join(target, data))
		})
	}
}

// Everything that a run of all functions asks of pods and containers, with real
// contents.
func TestCopyVolumeDataAndWhatFollows(t *testing.T) {
	t.Parallel()
	l, data := newLab(t), files(t)
	out := l.execute(t, restic.NewCopyVolumeData(), l.call(t, restic.NameCopyVolumeData, map[string]any{
		"namespace": "db", "volume": "claim", "dataArtifactPrefix": "vol", "mountPath": data,
	}))
	id, tag := text(t, out, "backupID"), text(t, out, "backupTag")
	assert.Equal(t, data, out["backupRoot"])
	assert.Equal(t, bucket+"/vol", out["backupArtifactLocation"])
	assert.Equal(t, "3", out["fileCount"])
	spec := l.specs[0]
	assert.Equal(t, "tools:1", spec.Image, "the runner's, if the blueprint names none")
	assert.Equal(t, "db", spec.Namespace)
	assert.Equal(t, map[string]string{"claim": data}, spec.Volumes)
	target := t.TempDir()
	l.kanister(t, bucket+"/vol", kanisterPassword, "restore", "--tag", tag, "latest", "--target", target)
	same(t, data, filepath.Join(target, data))

	stats := l.execute(t, restic.NewBackupDataStats(), l.call(t, restic.NameBackupDataStats, map[string]any{
		"namespace": "db", "backupArtifactPrefix": "vol", "backupID": id, "image": "mine:1",
	}))
	assert.Equal(t, "68.367 KiB", stats["size"])
	assert.Equal(t, "restore-size", stats["mode"])
	assert.Equal(t, "mine:1", l.specs[1].Image)
	raw := l.execute(t, restic.NewBackupDataStats(), l.call(t, restic.NameBackupDataStats, map[string]any{
		"namespace": "db", "backupArtifactPrefix": "vol", "backupID": id, "statsMode": "raw-data",
	}))
	assert.Equal(t, "raw-data", raw["mode"])
	assert.NotEqual(t, "0", raw["fileCount"], "of blobs")

	for name, tc := range map[string]struct {
		args map[string]any
		want map[string]any
	}{
		"opens":           {nil, map[string]any{"passwordIncorrect": "false", "repoUnavailable": "false"}},
		"another key":     {map[string]any{"encryptionKey": "other"}, map[string]any{"passwordIncorrect": "true", "repoUnavailable": "false"}},
		"no repository":   {map[string]any{"backupArtifactPrefix": "nowhere"}, map[string]any{"passwordIncorrect": "false", "repoUnavailable": "true"}},
		"whatever is TLS": {map[string]any{"insecureTLS": "true"}, map[string]any{"passwordIncorrect": "false", "repoUnavailable": "false"}},
	} {
		args := map[string]any{"backupArtifactPrefix": "vol"}
		maps.Copy(args, tc.args)
		tc.want["version"] = "v0.0.0"
		assert.Equal(t, tc.want, l.execute(t, restic.NewCheckRepository(), l.call(t, restic.NameCheckRepository, args)), name)
		assert.Empty(t, l.specs[len(l.specs)-1].Namespace, "Salvor's own, always")
	}
	gone := func(p *blueprint.Params) { p.Profile.Location.Endpoint = "http://127.0.0.1:1" }
	unavailable := l.execute(t, restic.NewCheckRepository(), l.call(t, restic.NameCheckRepository, map[string]any{"backupArtifactPrefix": "vol"}, gone))
	assert.Equal(t, "true", unavailable["repoUnavailable"], "restic says so of a store that does not answer, as to Kanister")

	// Deleting is by tag or id, once or more often.
	for range 2 {
		freed := l.execute(t, restic.NewDeleteData(), l.call(t, restic.NameDeleteData, map[string]any{
			"namespace": "db", "backupArtifactPrefix": "vol", "backupTag": tag, "reclaimSpace": true,
		}))
		if id != "" {
			assert.Regexp(t, `^[1-9]\d* B$`, freed["spaceFreed"])
			id = ""
			continue
		}
		assert.Equal(t, "0 B", freed["spaceFreed"], "gone already")
	}
	assert.Empty(t, l.snapshots(t, bucket+"/vol"))
	assert.Equal(t, map[string]any{"spaceFreed": "0 B"}, l.execute(t, restic.NewDeleteData(), l.call(t, restic.NameDeleteData, map[string]any{
		"namespace": "db", "backupArtifactPrefix": "vol", "backupID": "0badf00d",
	})))
	for _, spec := range l.specs {
		assert.NotContains(t, strings.Join(spec.Command, " "), l.s3.SecretKey)
		assert.NotContains(t, strings.Join(spec.Command, " "), kanisterPassword)
		assert.Equal(t, l.s3.SecretKey, spec.SecretEnv["AWS_SECRET_ACCESS_KEY"])
	}
}

// The shape of the mongodb-restic blueprint: each pod into a repository of its own, the
// restore into the volumes that the pods had when the action began.
func TestAllPods(t *testing.T) {
	t.Parallel()
	l, data := newLab(t), files(t)
	prefix := bucket + "/mongodb-backups/db/rs_backup"
	out := l.execute(t, restic.NewBackupDataAll(), l.call(t, restic.NameBackupDataAll, map[string]any{
		"namespace": "db", "container": "main", "includePath": data, "backupArtifactPrefix": prefix,
	}, workload(data)))
	var info map[string]struct {
		PodName   string `json:"PodName"`
		BackupID  string `json:"BackupID"`
		BackupTag string `json:"BackupTag"`
	}
	require.NoError(t, json.Unmarshal([]byte(text(t, out, "BackupAllInfo")), &info))
	require.Len(t, info, 2)
	for pod, backup := range info {
		assert.Equal(t, pod, backup.PodName)
		assert.Equal(t, backup.BackupID, l.snapshots(t, prefix+"/"+pod)[0].ID)
	}
	assert.NotEqual(t, info["db-0"].BackupTag, info["db-1"].BackupTag)

	target := t.TempDir()
	assert.Empty(t, l.execute(t, restic.NewRestoreDataAll(), l.call(t, restic.NameRestoreDataAll, map[string]any{
		"namespace": "db", "image": "tools:2", "backupArtifactPrefix": prefix, "backupInfo": out["BackupAllInfo"], "restorePath": target,
	}, workload(data))))
	same(t, data, filepath.Join(target, data))
	var parts []string
	for _, spec := range l.specs {
		parts = append(parts, spec.Part)
		assert.Equal(t, map[string]string{"claim-" + spec.Part: data}, spec.Volumes)
	}
	assert.ElementsMatch(t, []string{"db-0", "db-1"}, parts, "a pod for each")

	l.execute(t, restic.NewDeleteDataAll(), l.call(t, restic.NameDeleteDataAll, map[string]any{
		"namespace": "db", "backupArtifactPrefix": prefix, "backupInfo": out["BackupAllInfo"], "reclaimSpace": true,
	}))
	for pod := range info {
		assert.Empty(t, l.snapshots(t, prefix+"/"+pod))
	}
	for _, query := range l.execs {
		assert.NotContains(t, query.Encode(), l.s3.SecretKey, "keys come over standard input")
		assert.NotContains(t, query.Encode(), kanisterPassword)
	}
}

func workload(data string) func(*blueprint.Params) {
	return func(p *blueprint.Params) {
		p.StatefulSet = &blueprint.Workload{Pods: []string{"db-0", "db-1"}, PersistentVolumeClaims: map[string]map[string]string{
			"db-0": {"claim-db-0": data}, "db-1": {"claim-db-1": data},
		}}
	}
}

// Of what Kanister made with a key of its own, too: its shell takes the newline of the
// Secret away.
func TestEncryptionKeyOfKanister(t *testing.T) {
	t.Parallel()
	l, data := newLab(t), files(t)
	const key = "s3cr3t-key\n"
	l.kanister(t, bucket+"/own", key, "init")
	id := snapshotID(t, l.kanister(t, bucket+"/own", key, "backup", "--tag", "abcdefghij", data))
	target := t.TempDir()
	args := map[string]any{
		"namespace": "db", "image": "tools:2", "backupArtifactPrefix": "own", "restorePath": target,
		"pod": "db-0", "backupIdentifier": id, "encryptionKey": key,
	}
	l.execute(t, restic.NewRestoreData(), l.call(t, restic.NameRestoreData, args, workload(data)))
	same(t, data, filepath.Join(target, data))
	args["encryptionKey"] = "wrong"
	_, err := restic.NewRestoreData().Execute(t.Context(), l.call(t, restic.NameRestoreData, args, workload(data)))
	require.ErrorContains(t, err, "does not open with this password; check encryptionKey")
	args["backupArtifactPrefix"] = "nowhere"
	_, err = restic.NewRestoreData().Execute(t.Context(), l.call(t, restic.NameRestoreData, args, workload(data)))
	require.ErrorContains(t, err, "there is no repository at s3:"+l.s3.Endpoint+"/"+bucket+"/nowhere; check backupArtifactPrefix")
	args["backupArtifactPrefix"], args["encryptionKey"], args["backupIdentifier"] = "own", key, "0badf00d"
	_, err = restic.NewRestoreData().Execute(t.Context(), l.call(t, restic.NameRestoreData, args, workload(data)))
	require.ErrorContains(t, err, "0badf00d", "a snapshot that is not there")
}

// What Kanister's shell makes of includePath, ours makes too.
func TestIncludePathIsWords(t *testing.T) {
	t.Parallel()
	l, data := newLab(t), files(t)
	l.more = []string{"PGDATA=" + data}
	made := map[string][]string{}
	for include, want := range map[string][]string{
		"$PGDATA":                          {data},
		data + "/log " + data + "/empty":   {data + "/empty", data + "/log"},
		data + "/e*":                       {data + "/empty"},
		data + "/sub folder":               {data + "/sub folder"},
		"'" + data + "/sub folder'":        {data + "/sub folder"},
		data + " --exclude " + data + "/l": {data},
	} {
		out := l.execute(t, restic.NewBackupData(), l.call(t, restic.NameBackupData, map[string]any{
			"namespace": "db", "pod": "db-0", "container": "main", "includePath": include, "backupArtifactPrefix": "words",
		}))
		made[text(t, out, "backupID")] = want
	}
	list := l.snapshots(t, bucket+"/words")
	assert.Len(t, list, len(made))
	for _, s := range list {
		slices.Sort(s.Paths)
		assert.Equal(t, made[s.ID], s.Paths)
	}
}

// A snapshot that lacks what could not be read is not left behind: no phase names it.
func TestABackupThatIsNotWholeFails(t *testing.T) {
	t.Parallel()
	l, data := newLab(t), files(t)
	_, err := restic.NewBackupData().Execute(t.Context(), l.call(t, restic.NameBackupData, map[string]any{
		"namespace": "db", "pod": "db-0", "container": "main", "includePath": data + " /proc/1/mem", "backupArtifactPrefix": "part",
	}))
	require.ErrorContains(t, err, "ended with exit code 3")
	require.ErrorContains(t, err, "/proc/1/mem")
	assert.Empty(t, l.snapshots(t, bucket+"/part"))

	_, err = restic.NewBackupData().Execute(t.Context(), l.call(t, restic.NameBackupData, map[string]any{
		"namespace": "db", "pod": "db-0", "container": "main", "includePath": "/not/there", "backupArtifactPrefix": "part",
	}))
	require.ErrorContains(t, err, "/not/there does not exist")
}

// A tag is the phase's, whatever attempt made it: deleting by it leaves nothing.
func TestDeleteByTagTakesWhatAllAttemptsMade(t *testing.T) {
	t.Parallel()
	l, data := newLab(t), files(t)
	call := l.call(t, restic.NameBackupData, map[string]any{
		"namespace": "db", "pod": "db-0", "container": "main", "includePath": data, "backupArtifactPrefix": "p",
	})
	first := l.execute(t, restic.NewBackupData(), call)
	call.Key.Attempt++
	second := l.execute(t, restic.NewBackupData(), call)
	assert.Equal(t, first["backupTag"], second["backupTag"])
	assert.NotEqual(t, first["backupID"], second["backupID"])
	l.execute(t, restic.NewDeleteData(), l.call(t, restic.NameDeleteData, map[string]any{
		"namespace": "db", "backupArtifactPrefix": bucket + "/p", "backupTag": first["backupTag"],
	}))
	assert.Empty(t, l.snapshots(t, bucket+"/p"))
}

// text is an output, which is text.
func text(t *testing.T, out map[string]any, name string) string {
	t.Helper()
	value, ok := out[name].(string)
	require.True(t, ok, "output %s is %v", name, out[name])
	return value
}

// Pruning needs the repository for itself; a backup that is under way is waited for.
func TestALockedRepositoryIsWaitedFor(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.kanister(t, bucket+"/locked", kanisterPassword, "init")
	backup := exec.CommandContext(t.Context(), "restic", "backup", "--stdin")
	backup.Env = append(l.environ(),
		"AWS_ACCESS_KEY_ID="+l.s3.AccessKey, "AWS_SECRET_ACCESS_KEY="+l.s3.SecretKey,
		"RESTIC_REPOSITORY=s3:"+l.s3.Endpoint+"/"+bucket+"/locked", "RESTIC_PASSWORD="+kanisterPassword)
	in, err := backup.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, backup.Start())
	t.Cleanup(func() { _ = in.Close(); _ = backup.Wait() })
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(l.s3.Objects(t, bucket), func(key string) bool { return strings.HasPrefix(key, "locked/locks/") })
	}, patience, 50*time.Millisecond)
	ended := make(chan error, 1)
	go func() {
		_, err := restic.NewDeleteData().Execute(t.Context(), l.call(t, restic.NameDeleteData, map[string]any{
			"namespace": "db", "backupArtifactPrefix": "locked", "backupID": "0badf00d", "reclaimSpace": true,
		}))
		ended <- err
	}()
	require.Eventually(t, func() bool { return strings.Contains(l.said.String(), "already locked") }, patience, 50*time.Millisecond, "it does not say what it waits for: %s", &l.said)
	require.NoError(t, in.Close())
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(patience):
		t.Fatal("it waits for ever")
	}
}
