//go:build e2e

package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// replicaSetManifests has the names of the Bitnami chart for MongoDB and the release
// my-release. Debian has no MongoDB; Redis does the same here: a primary whose data
// lies in a folder, and a secondary that copies the primary when it has no data.
const replicaSetManifests = `
apiVersion: v1
kind: Service
metadata: {name: my-release-mongodb-headless, namespace: "{ns}"}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {app.kubernetes.io/component: mongodb}
  ports: [{port: 6379}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: my-release-mongodb, namespace: "{ns}", labels: {app.kubernetes.io/instance: my-release}}
spec:
  serviceName: my-release-mongodb-headless
  replicas: 2
  podManagementPolicy: Parallel
  selector: {matchLabels: {app.kubernetes.io/component: mongodb}}
  template:
    metadata: {labels: {app.kubernetes.io/component: mongodb}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: mongodb
        image: ghcr.io/kanisterio/kanister-tools:0.116.0
        command: [bash, -ec]
        args:
        - |
          data=/bitnami/mongodb/data/db
          mkdir -p $data
          flags=
          [ "$HOSTNAME" = my-release-mongodb-0 ] || flags='--replicaof my-release-mongodb-0.my-release-mongodb-headless 6379'
          exec redis-server --bind 0.0.0.0 --protected-mode no --dir $data --enable-debug-command local --repl-diskless-sync-delay 0 $flags
        readinessProbe: {tcpSocket: {port: 6379}, periodSeconds: 1}
        volumeMounts: [{name: datadir, mountPath: /bitnami/mongodb}]
  volumeClaimTemplates:
  - metadata: {name: datadir}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: my-release-mongodb-arbiter, namespace: "{ns}"}
spec:
  serviceName: my-release-mongodb-headless
  selector: {matchLabels: {app.kubernetes.io/component: arbiter}}
  template:
    metadata: {labels: {app.kubernetes.io/component: arbiter}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: arbiter, image: busybox, imagePullPolicy: IfNotPresent, command: [sh, -c, "exec sleep 3600"]}]
`

// TestKanistersReplicaSetBlueprint runs Kanister's blueprint for a MongoDB replica set:
// restic in all pods at once, and a secondary that starts anew after the restore.
func TestKanistersReplicaSetBlueprint(t *testing.T) {
	t.Parallel()
	const ns, primary, secondary = "e2e-replicas", "my-release-mongodb-0", "my-release-mongodb-1"
	apply(t, ns, replicaSetManifests)
	bucket := emptyBucket(t, "replicas")
	kanistersProfile(t, ns, bucket)
	kanistersBlueprint(t, ns, "mongodb-restic-blueprint.yaml")
	rolledOut(t, ns, "statefulset/my-release-mongodb")
	rolledOut(t, ns, "statefulset/my-release-mongodb-arbiter")
	const digest = "redis-cli --raw DEBUG DIGEST; redis-cli DBSIZE"
	inPod(t, ns, primary, "", "for i in {1..2000}; do echo SET pet:$i name-$i; done | redis-cli --pipe; redis-cli WAIT 1 60000; redis-cli SAVE")
	inPod(t, ns, secondary, "", "redis-cli SAVE")
	before := inPod(t, ns, primary, "", digest)
	require.Contains(t, before, "2000")
	require.Equal(t, before, inPod(t, ns, secondary, "", digest))

	start(t, ns, "backup", `{name: backup, blueprint: mongodb-blueprint, object: {kind: StatefulSet, name: my-release-mongodb, namespace: "{ns}"},
		profile: {name: s3-profile, namespace: "{ns}"}}`)
	backup := complete(t, ns, "backup")
	assert.Contains(t, backup.Status.Actions[0].Artifacts["backupInfo"].KeyValue["backupIdentifier"], secondary)
	const repository = "mongodb-backups/my-release-mongodb/rs_backup"
	for _, pod := range []string{primary, secondary} {
		assert.Len(t, keys(t, bucket, repository+"/"+pod+"/snapshots/"), 1)
	}

	inPod(t, ns, primary, "", "redis-cli FLUSHALL; redis-cli SET later 1; redis-cli SAVE")
	follow(t, ns, "backup", "restore")
	rolledOut(t, ns, "statefulset/my-release-mongodb")
	assert.Equal(t, before, inPod(t, ns, primary, "", digest))

	// The blueprint starts the primary only.
	_, err := suite.clients.Kube.AppsV1().StatefulSets(ns).Patch(t.Context(), "my-release-mongodb", types.MergePatchType,
		[]byte(`{"spec":{"replicas":2}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	rolledOut(t, ns, "statefulset/my-release-mongodb")
	require.Eventually(t, func() bool {
		now, err := tryInPod(t, ns, secondary, "", digest)
		return err == nil && now == before
	}, patience, tick, "the secondary has copied the primary")

	follow(t, ns, "backup", "delete")
	for _, pod := range []string{primary, secondary} {
		assert.Empty(t, keys(t, bucket, repository+"/"+pod+"/snapshots/"))
		assert.Empty(t, keys(t, bucket, repository+"/"+pod+"/data/"), "what no backup needs is removed")
	}
	noPods(t, ns)
}
