//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// timeLogManifests is Kanister's example of an application: a Deployment that
// writes the time into a volume.
const timeLogManifests = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: time-log-pvc, namespace: "{ns}", labels: {app: time-logger}}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: time-logger, namespace: "{ns}"}
spec:
  replicas: 1
  selector: {matchLabels: {app: time-logger}}
  template:
    metadata: {labels: {app: time-logger}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: test-container
        image: ghcr.io/kanisterio/kanister-tools:0.116.0
        command: [sh, -c]
        args: ["while true; do for x in $(seq 1200); do date --rfc-3339=ns >> /var/log/time.log; sleep 1; done; truncate /var/log/time.log --size 0; done"]
        volumeMounts: [{name: data, mountPath: /var/log}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: time-log-pvc}}]
`

// TestKanistersTimeLogBlueprint runs Kanister's first example the way its users run
// it: the ActionSets, the Blueprint and the Profile are in the namespace kanister, the
// application is in another.
func TestKanistersTimeLogBlueprint(t *testing.T) {
	t.Parallel()
	const ns = "e2e-timelog"
	apply(t, ns, timeLogManifests)
	bucket := emptyBucket(t, "time-log")
	kanistersProfile(t, kanistersNamespace, bucket)
	kanistersBlueprint(t, kanistersNamespace, "time-log-blueprint.yaml")
	rolledOut(t, ns, "deployment/time-logger")
	inLogger := func(command string) string {
		pod, err := suite.tools.Kubectl(t.Context(), "get", "pods", "-n", ns, "-l", "app=time-logger",
			"--field-selector=status.phase=Running", "-o", "jsonpath={.items[*].metadata.name}")
		require.NoError(t, err)
		return inPod(t, ns, strings.TrimSpace(pod), "", command)
	}
	// Files as restic meets them: owners, modes, times, links, names with spaces.
	const look = `cd /var/log; find deep -printf '%p %y %m %U:%G %TY-%Tm-%TdT%TT %l\n' | sort; cat deep/*/*; head -n 1 time.log`
	before := inLogger(`cd /var/log; mkdir -p "deep/a folder"; echo kept >"deep/a folder/file"; chmod 600 deep/*/file; chown -R 1234:99 deep
		ln -s "a folder/file" deep/link; touch -d 2001-02-03T04:05:06Z deep/*/file deep/*; ` + look)
	require.Contains(t, before, "1234:99 2001-02-03T04:05:06")

	start(t, kanistersNamespace, "time-log", `{name: backup, blueprint: time-log-bp, object: {kind: Deployment, name: time-logger, namespace: `+ns+`},
		profile: {name: s3-profile, namespace: "{ns}"}}`)
	backup := complete(t, kanistersNamespace, "time-log")
	assert.Equal(t, "time-log/time-log", backup.Status.Actions[0].Artifacts["timeLog"].KeyValue["path"])
	snapshot := backup.Status.Actions[0].Artifacts["backupIdentifier"].KeyValue["id"]
	assert.Regexp(t, "^[0-9a-f]{8,64}$", snapshot)
	found := keys(t, bucket, "time-log/snapshots/")
	require.Len(t, found, 1)
	assert.Contains(t, found[0], "time-log/snapshots/"+snapshot)

	inLogger(`rm -r /var/log/deep; echo overwritten >/var/log/time.log`)
	follow(t, kanistersNamespace, "time-log", "restore")
	rolledOut(t, ns, "deployment/time-logger")
	assert.Equal(t, before, inLogger(look))

	// A backup that Kanister made: restic with the arguments and the password that its
	// functions give it, in a repository of its own.
	theirs := inLogger(`rm /var/log/time.log; echo theirs >/var/log/deep/theirs; touch -d 2001-02-03T04:05:06Z /var/log/deep/theirs /var/log/deep
		export AWS_ACCESS_KEY_ID=demo-access-key AWS_SECRET_ACCESS_KEY=demo-secret-key-not-a-secret
		export RESTIC_REPOSITORY=s3:http://s3.s3.svc.cluster.local:7070/time-log/time-log-theirs
		export RESTIC_PASSWORD=$(printf testpassword | sha256sum | cut -c 1-64)
		restic init >&2; restic backup --tag theirs /var/log | sed -n 's/^snapshot \(.*\) saved$/\1/p'`)
	inLogger(`rm -r /var/log/deep`)
	restore, err := suite.clients.ActionSets(kanistersNamespace).Get(t.Context(), "time-log", metav1.GetOptions{})
	require.NoError(t, err)
	action := restore.Spec.Actions[0]
	action.Name = "restore"
	action.Artifacts = map[string]kanister.Artifact{
		"timeLog":          {KeyValue: map[string]string{"path": "time-log/time-log-theirs"}},
		"backupIdentifier": {KeyValue: map[string]string{"id": theirs}},
	}
	_, err = suite.clients.ActionSets(kanistersNamespace).Create(t.Context(), &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Name: "theirs", Namespace: kanistersNamespace},
		Spec:       &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{action}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	complete(t, kanistersNamespace, "theirs")
	rolledOut(t, ns, "deployment/time-logger")
	assert.Equal(t, "theirs\nkept", inLogger("cat /var/log/deep/theirs; cat /var/log/deep/*/file"))

	follow(t, kanistersNamespace, "time-log", "delete")
	assert.Empty(t, keys(t, bucket, "time-log/"))
	assert.NotEmpty(t, keys(t, bucket, "time-log-theirs/"), "what only begins with the same letters stays")
	noPods(t, ns)
	noPods(t, kanistersNamespace)
}
