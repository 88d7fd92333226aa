//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/test/harness"
)

// What a Kanister user has in his repository, to the letter.
const (
	kanisterProfile = `
apiVersion: v1
kind: Secret
metadata: {name: s3-secret, namespace: "{ns}"}
type: Opaque
stringData: {aws_access_key_id: demo-access-key, aws_secret_access_key: demo-secret-key-not-a-secret}
---
apiVersion: cr.kanister.io/v1alpha1
kind: Profile
metadata: {name: s3-profile, namespace: "{ns}"}
location:
  type: s3Compliant
  bucket: kanister
  endpoint: http://s3.s3.svc.cluster.local:7070
  prefix: ""
  region: us-east-1
credential:
  type: keyPair
  keyPair:
    idField: aws_access_key_id
    secretField: aws_secret_access_key
    secret: {apiVersion: v1, kind: Secret, name: s3-secret, namespace: "{ns}"}
skipSSLVerify: true
`
	kanisterActionSet = `
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
)

// TestKanistersPostgresBlueprint runs Kanister's own blueprint for PostgreSQL,
// unchanged, through backup, loss, restore and delete.
func TestKanistersPostgresBlueprint(t *testing.T) {
	t.Parallel()
	const ns = "e2e-kanister"
	read := func(path ...string) string {
		content, err := os.ReadFile(filepath.Join(append([]string{suite.tools.Root}, path...)...))
		require.NoError(t, err)
		return string(content)
	}
	database := read("deploy", "samples", "postgresql", "database.yaml")
	apply(t, ns, strings.ReplaceAll(strings.ReplaceAll(database, "namespace: shop\n", "namespace: {ns}\n"), "name: shop\n", "name: {ns}\n"))
	address, stop, err := suite.tools.Forward(t.Context(), "s3", "s3", 7070)
	require.NoError(t, err)
	t.Cleanup(stop)
	bucket, err := harness.OpenBucket(t.Context(), "http://"+address, "demo-access-key", "demo-secret-key-not-a-secret", "kanister")
	require.NoError(t, err)
	require.NoError(t, bucket.Empty(t.Context()))
	apply(t, ns, kanisterProfile)
	_, err = suite.tools.Run(t.Context(), strings.NewReader(read("internal", "blueprint", "testdata", "kanister", "postgres-blueprint.yaml")),
		"kubectl", "apply", "-n", ns, "-f", "-")
	require.NoError(t, err)
	_, err = suite.tools.Kubectl(t.Context(), "rollout", "status", "-n", ns, "statefulset/shop-postgresql", "--timeout=3m")
	require.NoError(t, err)
	sql := func(statement string) string {
		out, err := suite.tools.Run(t.Context(), strings.NewReader(statement), "kubectl", "exec", "-i", "-n", ns, "shop-postgresql-0", "--",
			"bash", "-c", `PGPASSWORD="$POSTGRES_PASSWORD" psql -qAtX -v ON_ERROR_STOP=1 -h 127.0.0.1 -U postgres`)
		require.NoError(t, err)
		return strings.TrimSpace(out)
	}
	sql("CREATE TABLE pets AS SELECT id, md5(id::text) AS name FROM generate_series(1, 5000) AS id")
	const sum = "SELECT count(*) || ' ' || md5(string_agg(pets::text, ',' ORDER BY id)) FROM pets"
	before := sql(sum)

	apply(t, ns, kanisterActionSet)
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
	follow := func(action string, flags ...string) {
		out, err := suite.tools.Salvor(t.Context(), append([]string{"create", "actionset", "-n", ns, "--action", action, "--from", "backup-by-hand"}, flags...)...)
		require.NoError(t, err)
		name := regexp.MustCompile(action + "-backup-by-hand-[a-z0-9]+").FindString(out)
		require.NotEmpty(t, name, "the name of the ActionSet is printed: %s", out)
		complete(t, ns, name)
	}
	follow("restore")
	assert.Equal(t, before, sql(sum), "the restored table is the lost one")

	// The blueprint's delete action works on a namespace; Kanister's instructions
	// give it with this flag too.
	follow("delete", "--namespacetargets", ns)
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
