package rds_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/rds"
	"github.com/salvor-io/salvor/runner/functiontest"
)

// programs stand in for the database and the store: what matters is what the scripts
// do with them, in a real shell with a real tar.
var programs = map[string]string{
	"psql": `case "$*" in *pg_database*) printf 'postgres\nshop\n'; exit "${FAIL:-0}";; *) cat > "$STORE/restored";; esac`,
	"pg_dump": `echo "CREATE DATABASE x WITH TEMPLATE = template0 LOCALE = 'C';"
echo "-- $* at $PGHOST by $PGUSER:$PGPASSWORD"
case "$*" in *broken*) exit 3;; esac`,
	"kando": `case "$1 $2" in
"location push") [ "$4" = "$PROFILE" ] && cat > "$STORE/$(echo "$6" | tr / _)";;
"location pull") cp "$STORE/$(echo "$6" | tr / _)" "$7";;
"output "*) echo "output $2 $3";;
esac`,
}

// shell runs a pod's command here.
type shell struct {
	t     *testing.T
	store string
	env   []string
	out   string
}

func (s *shell) Run(ctx context.Context, _ *function.Call, spec function.PodSpec) (map[string]any, error) {
	s.t.Helper()
	bin := s.t.TempDir()
	for name, text := range programs {
		require.NoError(s.t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/bash\nset -e\n"+text+"\n"), 0o700))
	}
	cmd := exec.CommandContext(ctx, spec.Command[0], spec.Command[1:]...)
	cmd.Env = append([]string{"PATH=" + bin + ":" + os.Getenv("PATH"), "STORE=" + s.store, "TMPDIR=" + s.t.TempDir()}, s.env...)
	for name, value := range spec.SecretEnv {
		if name != "PGUSER" { // which is a part of rdsadmin
			assert.NotContains(s.t, strings.Join(spec.Command, " "), value, "not in the pod's spec")
		}
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	s.out = string(out)
	return map[string]any{}, err
}

func TestDumpAndRestoreScripts(t *testing.T) {
	t.Parallel()
	dump := func(t *testing.T, sh *shell, databases any) error {
		t.Helper()
		args := map[string]any{
			"namespace": "n", "instanceID": "db", "snapshotID": "old", "dbEngine": "PostgreSQL",
			"username": "admin\n", "password": "it's $HOME\n", "backupArtifactPrefix": "p/q",
		}
		if databases != nil {
			args["databases"] = databases
		}
		call := newCall(t, region(t, &functiontest.Gate{}), "ExportRDSSnapshotToLocation", args)
		call.Pods = sh
		_, err := rds.NewExport().Execute(t.Context(), call)
		return err
	}
	t.Run("there and back", func(t *testing.T) {
		t.Parallel()
		sh := &shell{t: t, store: t.TempDir()}
		require.NoError(t, dump(t, sh, "- shop\n- it's mine\n"), "%s", sh.out)
		_, id, found := strings.Cut(strings.TrimSpace(sh.out), "output backupID ")
		require.True(t, found, sh.out)
		list, err := exec.CommandContext(t.Context(), "tar", "-tzf", filepath.Join(sh.store, "p_q_"+id)).Output()
		require.NoError(t, err)
		assert.ElementsMatch(t, []string{"backup/", "backup/shop.sql", "backup/it's mine.sql"}, strings.Split(strings.TrimSpace(string(list)), "\n"), "Kanister's layout")

		s := region(t, &functiontest.Gate{})
		call := newCall(t, s, "RestoreRDSSnapshot", map[string]any{
			"instanceID": "db", "namespace": "n", "dbEngine": "PostgreSQL", "backupArtifactPrefix": "p/q", "backupID": id, "username": "admin", "password": "it's $HOME",
		})
		call.Pods = sh
		output, err := rds.NewRestore().Execute(t.Context(), call)
		require.NoError(t, err, sh.out)
		assert.Equal(t, map[string]any{"endpoint": "db.rds.test"}, output)
		text, err := os.ReadFile(filepath.Join(sh.store, "restored"))
		require.NoError(t, err)
		assert.Contains(t, string(text), "LOCALE = 'C';\n")
		assert.Contains(t, string(text), "-- -C --inserts -d it's mine at db-")
		assert.Contains(t, string(text), "by admin:it's $HOME\n")
	})
	t.Run("all databases", func(t *testing.T) {
		t.Parallel()
		sh := &shell{t: t, store: t.TempDir()}
		require.NoError(t, dump(t, sh, nil), "%s", sh.out)
		assert.Contains(t, sh.out, "dumping database postgres\ndumping database shop\n")
	})
	for name, tt := range map[string]struct {
		databases any
		env       string
	}{
		"a database that cannot be dumped": {"[broken, shop]", ""},
		"databases that cannot be listed":  {nil, "FAIL=2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sh := &shell{t: t, store: t.TempDir(), env: []string{tt.env}}
			require.Error(t, dump(t, sh, tt.databases))
			left, err := os.ReadDir(sh.store)
			require.NoError(t, err)
			assert.Empty(t, left, "nothing half is stored")
		})
	}
}
