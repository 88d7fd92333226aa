//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// TestKanistersStartStopBlueprint copies the volume of a PostgreSQL that runs, between
// its pg_backup_start and its pg_backup_stop: one pod keeps the connection over four
// phases, and a deferPhase without a name removes it.
func TestKanistersStartStopBlueprint(t *testing.T) {
	t.Parallel()
	const ns = "e2e-startstop"
	database := source(t, "deploy", "samples", "postgresql", "database.yaml")
	apply(t, ns, strings.ReplaceAll(strings.ReplaceAll(database, "namespace: shop\n", "namespace: {ns}\n"), "name: shop\n", "name: {ns}\n"))
	bucket := emptyBucket(t, "s3-bucket") // the blueprint names it
	kanistersProfile(t, ns, bucket)
	kanistersBlueprint(t, ns, "postgres-start-stop-blueprint.yaml")
	rolledOut(t, ns, "statefulset/shop-postgresql")
	sql := func(statement string) string {
		return inPod(t, ns, "shop-postgresql-0", statement, `PGPASSWORD="$POSTGRES_PASSWORD" psql -qAtX -v ON_ERROR_STOP=1 -h 127.0.0.1 -U postgres`)
	}
	// A checkpoint before, so that the one of pg_backup_start, which takes its time, has
	// little to write.
	sql("CREATE TABLE pets AS SELECT id, md5(id::text) AS name FROM generate_series(1, 5000) AS id; CHECKPOINT")
	const sum = "SELECT count(*) || ' ' || md5(string_agg(pets::text, ',' ORDER BY id)) FROM pets"
	before := sql(sum)

	// The blueprint does not wait until its psql writes into the file that the next phase
	// reads, so that on a slow machine it fails there, and somebody starts it again.
	from := "backup"
	again := func(spec string) *kanister.ActionSet {
		for attempt := 2; ; attempt++ {
			start(t, ns, from, spec)
			got := ended(t, ns, from)
			if attempt > 5 || got.Status.State != kanister.StateFailed || !strings.Contains(got.Status.Error.Message, "cannot open '/tmp/pg_out'") {
				return complete(t, ns, from)
			}
			t.Logf("started again: %s", got.Status.Error.Message)
			from = fmt.Sprintf("backup-%d", attempt)
		}
	}
	backup := again(`{name: backup, blueprint: postgres-bp, object: {kind: StatefulSet, name: shop-postgresql, namespace: "{ns}"},
		profile: {name: s3-profile, namespace: "{ns}"}}`).Status.Actions[0]
	artifact := backup.Artifacts["cloudObject"].KeyValue
	assert.Equal(t, "data-shop-postgresql-0", artifact["pvc"])
	assert.Equal(t, kanister.StateComplete, backup.DeferPhase.State)
	const repository = "path/artifactPrefix/"
	require.Len(t, keys(t, bucket, repository+"snapshots/"), 1)
	connection, _ := backup.Phases[0].Output["name"].(string)
	require.Contains(t, connection, "postgres-backup-session")
	_, err := suite.clients.Kube.CoreV1().Pods(ns).Get(t.Context(), connection, metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err), "the deferPhase waited until the pod of the connection was gone: %v", err)

	sql("DROP TABLE pets; CREATE TABLE later AS SELECT 1; CHECKPOINT")
	follow(t, ns, from, "restore")
	rolledOut(t, ns, "statefulset/shop-postgresql")
	assert.Equal(t, before, sql(sum))
	assert.Equal(t, "f", sql("SELECT to_regclass('later') IS NOT NULL"), "what came later is not there")

	follow(t, ns, from, "delete")
	assert.Empty(t, keys(t, bucket, repository+"snapshots/"), "the snapshot is forgotten; the blueprint asks for no more")
	noPods(t, ns)
}
