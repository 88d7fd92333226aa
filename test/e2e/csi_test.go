//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// csiManifests has the classes under the names that the blueprint has for those of a
// cloud; here both are the driver csi-dir.
const csiManifests = `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: do-block-storage}
provisioner: csi-dir.salvor.io
---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshotClass
metadata: {name: do-block-storage}
driver: csi-dir.salvor.io
deletionPolicy: Delete
---
# The blueprint deletes the claim, which Salvor may not do unless somebody allows it.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: delete-claims, namespace: "{ns}"}
rules: [{apiGroups: [""], resources: [persistentvolumeclaims], verbs: [get, list, watch, delete]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: delete-claims, namespace: "{ns}"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: delete-claims}
subjects: [{kind: ServiceAccount, name: salvor, namespace: salvor}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: app-data, namespace: "{ns}"}
spec: {storageClassName: do-block-storage, accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: "{ns}"}
spec:
  selector: {matchLabels: {app: app}}
  strategy: {type: Recreate}
  template:
    metadata: {labels: {app: app}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: app
        image: localhost/mariadb:10.11
        imagePullPolicy: IfNotPresent
        command: [bash, -c, "exec sleep 3600"]
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: app-data}}]
`

// TestKanistersCSISnapshotBlueprint takes a snapshot with a real CSI driver, the real
// snapshot-controller and its sidecar, and puts a volume made from it in the place of
// the lost one.
func TestKanistersCSISnapshotBlueprint(t *testing.T) {
	t.Parallel()
	const ns = "e2e-csi"
	if _, err := suite.tools.Kubectl(t.Context(), "get", "csidriver", "csi-dir.salvor.io"); err != nil {
		t.Skip("the cluster has no driver csi-dir (`make csi` starts one)")
	}
	apply(t, ns, csiManifests)
	kanistersBlueprint(t, ns, "csi-snapshot-blueprint.yaml")
	rolledOut(t, ns, "deployment/app")
	inPod(t, ns, "deployment/app", "", "echo kept >/data/file; sync")
	claim := func() string {
		found, err := suite.clients.Kube.CoreV1().PersistentVolumeClaims(ns).Get(t.Context(), "app-data", metav1.GetOptions{})
		require.NoError(t, err)
		return string(found.UID)
	}
	lost := claim()

	start(t, ns, "backup", `{name: backup, blueprint: csi-snapshot-bp, object: {kind: Deployment, name: app, namespace: "{ns}"}}`)
	info := complete(t, ns, "backup").Status.Actions[0].Artifacts["snapshotInfo"].KeyValue
	assert.Equal(t, "app-data", info["pvc"])
	assert.Equal(t, ns, info["namespace"])
	assert.Equal(t, "10Mi", info["restoreSize"])
	snapshots := func(resource string) []string {
		out, err := suite.tools.Kubectl(t.Context(), "get", resource, "-n", ns, "-o", `jsonpath={range .items[?(@.metadata.name!="")]}{.metadata.name} {end}`)
		require.NoError(t, err)
		return strings.Fields(out)
	}
	assert.Equal(t, []string{info["name"]}, snapshots("volumesnapshots"))
	assert.Contains(t, snapshots("volumesnapshotcontents"), info["snapshotContent"])

	inPod(t, ns, "deployment/app", "", "echo changed >/data/file; touch /data/later")
	follow(t, ns, "backup", "restore")
	rolledOut(t, ns, "deployment/app")
	assert.NotEqual(t, lost, claim(), "the claim is another one")
	assert.Equal(t, "/data/file\nkept", inPod(t, ns, "deployment/app", "", "find /data -type f; cat /data/file"))

	follow(t, ns, "backup", "delete")
	assert.Empty(t, snapshots("volumesnapshots"))
	require.Eventually(t, func() bool { return !slices.Contains(snapshots("volumesnapshotcontents"), info["snapshotContent"]) },
		patience, tick, "the content goes with the snapshot")
}
