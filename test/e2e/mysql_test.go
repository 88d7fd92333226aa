//go:build e2e

package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mysqlManifests: names and labels are those of the Bitnami chart for the release
// mysql-release, which the blueprint was written for.
const mysqlManifests = `
apiVersion: v1
kind: Secret
metadata: {name: mysql-release, namespace: "{ns}"}
stringData: {mysql-root-password: for-the-test-only}
---
apiVersion: v1
kind: Service
metadata: {name: mysql-release, namespace: "{ns}"}
spec:
  selector: {app.kubernetes.io/instance: mysql-release}
  ports: [{port: 3306}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: mysql-release, namespace: "{ns}", labels: {app.kubernetes.io/instance: mysql-release}}
spec:
  serviceName: mysql-release
  selector: {matchLabels: {app.kubernetes.io/instance: mysql-release}}
  template:
    metadata: {labels: {app.kubernetes.io/instance: mysql-release}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: mysql
        image: localhost/mariadb:10.11
        imagePullPolicy: IfNotPresent
        env: [{name: MARIADB_ROOT_PASSWORD, valueFrom: {secretKeyRef: {name: mysql-release, key: mysql-root-password}}}]
        readinessProbe: {tcpSocket: {port: 3306}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /var/lib/mysql}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`

// TestKanistersMySQLBlueprint runs Kanister's blueprint for MySQL through backup, loss,
// restore and delete of a MariaDB.
func TestKanistersMySQLBlueprint(t *testing.T) {
	t.Parallel()
	const ns = "e2e-mysql"
	apply(t, ns, mysqlManifests)
	bucket := emptyBucket(t, "mysql")
	kanistersProfile(t, ns, bucket)
	kanistersBlueprint(t, ns, "mysql-blueprint.yaml")
	rolledOut(t, ns, "statefulset/mysql-release")
	sql := func(statement string) string {
		return inPod(t, ns, "mysql-release-0", statement, `mariadb -N -u root -h 127.0.0.1 --password="$MARIADB_ROOT_PASSWORD"`)
	}
	sql(`CREATE DATABASE shop; USE shop; CREATE TABLE pets AS SELECT seq AS id, md5(seq) AS name FROM seq_1_to_5000;
		CREATE USER app@'%' IDENTIFIED BY 'secret'; GRANT SELECT ON shop.* TO app@'%'`)
	const sum = "SELECT count(*), md5(group_concat(id, name ORDER BY id)) FROM shop.pets; SHOW GRANTS FOR app@'%'"
	before := sql(sum)
	require.Contains(t, before, "5000")

	start(t, ns, "backup", `{name: backup, blueprint: mysql-blueprint, object: {kind: StatefulSet, name: mysql-release, namespace: "{ns}"},
		profile: {name: s3-profile, namespace: "{ns}"}}`)
	path := complete(t, ns, "backup").Status.Actions[0].Artifacts["mysqlCloudDump"].KeyValue["s3path"]
	require.Regexp(t, "^/mysql-backups/e2e-mysql/mysql-release/[0-9T-]+/dump.sql.gz$", path)
	assert.Equal(t, []string{path[1:]}, keys(t, bucket, ""))

	sql("DROP DATABASE shop; DROP USER app@'%'")
	follow(t, ns, "backup", "restore")
	sql("FLUSH PRIVILEGES") // the tables of users are restored; the server has them in memory
	assert.Equal(t, before, sql(sum))

	follow(t, ns, "backup", "delete", "--namespacetargets", ns)
	assert.Empty(t, keys(t, bucket, ""))
	noPods(t, ns)
}
