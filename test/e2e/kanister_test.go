//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const postgresBackup = `
apiVersion: cr.kanister.io/v1alpha1
kind: ActionSet
metadata: {name: backup-by-hand, namespace: "{ns}"}
spec:
  actions:
  - name: backup
    blueprint: postgres-bp
    object: {kind: StatefulSet, name: shop-postgresql, namespace: "{ns}"}
    profile: {apiVersion: v1alpha1, kind: profile, name: s3-profile, namespace: "{ns}"}
`

// TestKanistersPostgresBlueprint runs Kanister's own blueprint for PostgreSQL,
// unchanged, through backup, loss, restore and delete.
func TestKanistersPostgresBlueprint(t *testing.T) {
	t.Parallel()
	const ns = "e2e-kanister"
	database := source(t, "deploy", "samples", "postgresql", "database.yaml")
	apply(t, ns, strings.ReplaceAll(strings.ReplaceAll(database, "namespace: shop\n", "namespace: {ns}\n"), "name: shop\n", "name: {ns}\n"))
	bucket := emptyBucket(t, "kanister")
	kanistersProfile(t, ns, bucket)
	kanistersBlueprint(t, ns, "postgres-blueprint.yaml")
	rolledOut(t, ns, "statefulset/shop-postgresql")
	sql := func(statement string) string {
		return inPod(t, ns, "shop-postgresql-0", statement, `PGPASSWORD="$POSTGRES_PASSWORD" psql -qAtX -v ON_ERROR_STOP=1 -h 127.0.0.1 -U postgres`)
	}
	sql("CREATE TABLE pets AS SELECT id, md5(id::text) AS name FROM generate_series(1, 5000) AS id")
	const sum = "SELECT count(*) || ' ' || md5(string_agg(pets::text, ',' ORDER BY id)) FROM pets"
	before := sql(sum)

	apply(t, ns, postgresBackup)
	backup := complete(t, ns, "backup-by-hand")
	location := backup.Status.Actions[0].Artifacts["cloudObject"].KeyValue["backupLocation"]
	objects, err := bucket.List(t.Context(), "pg_backups/"+ns+"/")
	require.NoError(t, err)
	require.Len(t, objects, 1)
	assert.Equal(t, objects[0].Key, location)
	assert.Equal(t, "pgDump", backup.Status.Actions[0].Phases[0].Name)
	assert.Equal(t, location, backup.Status.Actions[0].Phases[0].Output["backupLocation"])
	assert.Equal(t, "100", backup.Status.Progress.PercentCompleted)

	sql("DROP TABLE pets")
	follow(t, ns, "backup-by-hand", "restore")
	assert.Equal(t, before, sql(sum), "the restored table is the lost one")

	// The blueprint's delete action works on a namespace; Kanister's instructions
	// give it with this flag too.
	follow(t, ns, "backup-by-hand", "delete", "--namespacetargets", ns)
	objects, err = bucket.List(t.Context(), "pg_backups/"+ns+"/")
	require.NoError(t, err)
	assert.Empty(t, objects)

	table, err := suite.tools.Kubectl(t.Context(), "get", "actionsets,blueprints,profiles", "-n", ns)
	require.NoError(t, err)
	t.Logf("kubectl get:\n%s", table)
	assert.Regexp(t, `backup-by-hand +complete +100 +.*backup +shop-postgresql`, table)
	assert.Regexp(t, `s3-profile +s3Compliant +kanister`, table)
	described, err := suite.tools.Kubectl(t.Context(), "describe", "actionset", "-n", ns, "backup-by-hand")
	require.NoError(t, err)
	_, events, found := strings.Cut(described, "\nEvents:")
	require.True(t, found)
	t.Logf("kubectl describe, its Events:%s", events)
	assert.Contains(t, events, "ActionSetComplete")
}
