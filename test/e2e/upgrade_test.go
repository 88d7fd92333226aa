//go:build e2e

package e2e

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/test/harness"
)

const (
	upgradeNamespace = "e2e-upgrade"
	upgradePod       = "app-postgresql-0"
	upgradeTrigger   = "app-pre-upgrade"
)

// upgradeProfile is in the words of Kanister; the bucket is the test's own.
var upgradeProfile = strings.ReplaceAll(kanisterProfile, "{bucket}", "upgrade")

// TestAnUpgradeWaitsForItsBackup installs the sample of a chart with a hook, by the
// real helm, and upgrades it: once with a backup that goes well, then with one that
// fails, and then with a trigger that is not there.
func TestAnUpgradeWaitsForItsBackup(t *testing.T) {
	t.Parallel()
	const ns = upgradeNamespace
	address, stop, err := suite.tools.Forward(t.Context(), "s3", "s3", 7070)
	require.NoError(t, err)
	t.Cleanup(stop)
	bucket, err := harness.OpenBucket(t.Context(), "http://"+address, "demo-access-key", "demo-secret-key-not-a-secret", "upgrade")
	require.NoError(t, err)
	require.NoError(t, bucket.Empty(t.Context()))
	apply(t, ns, upgradeProfile)

	_, err = helmUpgrade(t, "1.0", "--install", "--wait")
	require.NoError(t, err)
	database(t, "CREATE TABLE pets AS SELECT id, md5(id::text) AS name FROM generate_series(1, 1000) AS id")
	first := databasePod(t)
	assert.Empty(t, backups(t), "an install has nothing to back up")

	// A good one: the backup is of the release that is replaced.
	said, err := helmUpgrade(t, "2.0", "--wait")
	require.NoError(t, err, said)
	made := backups(t)
	require.Len(t, made, 1)
	assert.Equal(t, kanister.StateComplete, made[0].Status.State)
	artifact := made[0].Status.Actions[0].Artifacts["dump"].KeyValue
	assert.Equal(t, "1.0", artifact["release"], "the data was saved by the pod of the old release")
	stored, err := bucket.List(t.Context(), "shop/")
	require.NoError(t, err)
	require.Len(t, stored, 1)
	assert.Equal(t, artifact["path"], stored[0].Key)
	second := databasePod(t)
	assert.NotEqual(t, first.UID, second.UID, "the upgrade replaced the pod")
	ended := endOf(t, &made[0])
	assert.False(t, second.CreationTimestamp.Before(&ended), "the pod of the new release (%s) is not older than the end of the backup (%s)",
		second.CreationTimestamp, ended)
	assert.Equal(t, map[int]string{1: "superseded", 2: "deployed"}, revisions(t))
	assert.Equal(t, "2.0", release(t))

	// One that fails: nothing of the new release is applied.
	_, err = suite.clients.Blueprints(ns).Patch(t.Context(), "app-postgresql", types.MergePatchType,
		[]byte(`{"actions":{"backup":{"phases":[{"func":"KubeTask","name":"breaks","args":{"namespace":"`+ns+`","image":"busybox","command":["sh","-c","echo the disk is full; exit 3"]}}],"outputArtifacts":null}}}`),
		metav1.PatchOptions{})
	require.NoError(t, err)
	said, err = helmUpgrade(t, "3.0", "--wait")
	require.Error(t, err)
	assert.Contains(t, said, "pre-upgrade hooks failed")
	refusedAt(t, second, map[int]string{1: "superseded", 2: "deployed", 3: "failed"})
	made = backups(t)
	require.Len(t, made, 2)
	assert.Equal(t, kanister.StateFailed, made[1].Status.State)
	hook, err := suite.tools.Kubectl(t.Context(), "logs", "-n", ns, "job/"+upgradeTrigger)
	require.NoError(t, err, "the hook that failed stays, so that its log can be read")
	t.Logf("the log of the hook:\n%s", hook)
	assert.Contains(t, hook, "the disk is full", "it says why")
	assert.Equal(t, 2, hookExitCode(t))

	// One that nothing answers to: better no upgrade than one without a backup.
	_, err = suite.tools.Kubectl(t.Context(), "delete", "actiontrigger", "-n", ns, upgradeTrigger)
	require.NoError(t, err)
	said, err = helmUpgrade(t, "4.0", "--wait")
	require.Error(t, err)
	assert.Contains(t, said, "pre-upgrade hooks failed")
	refusedAt(t, second, map[int]string{1: "superseded", 2: "deployed", 3: "failed", 4: "failed"})
	assert.Equal(t, 3, hookExitCode(t))
	assert.Len(t, backups(t), 2)

	assert.Equal(t, "1000", database(t, "SELECT count(*) FROM pets"))
}

// helmUpgrade upgrades the sample to a release and returns what helm said.
func helmUpgrade(t *testing.T, release string, flags ...string) (string, error) {
	t.Helper()
	out, err := suite.tools.Helm(t.Context(), append([]string{
		"upgrade", "app", filepath.Join(suite.tools.Root, "deploy", "samples", "helm-pre-upgrade"), "-n", upgradeNamespace, "--timeout", "5m",
		"--set", "postgresql.password=for-the-test-only,backup.profile.name=s3-profile,backup.timeoutSeconds=180",
		"--set-string", "release=" + release,
	}, flags...)...)
	if err != nil {
		return out + err.Error(), err
	}
	return out, nil
}

// database runs SQL in the database's pod.
func database(t *testing.T, statement string) string {
	t.Helper()
	out, err := suite.tools.Run(t.Context(), strings.NewReader(statement), "kubectl", "exec", "-i", "-n", upgradeNamespace, upgradePod, "--",
		"bash", "-c", `PGPASSWORD="$POSTGRES_PASSWORD" psql -qAtX -v ON_ERROR_STOP=1 -h 127.0.0.1 -U postgres`)
	require.NoError(t, err)
	return strings.TrimSpace(out)
}

func databasePod(t *testing.T) *corev1.Pod {
	t.Helper()
	pod, err := suite.clients.Kube.CoreV1().Pods(upgradeNamespace).Get(t.Context(), upgradePod, metav1.GetOptions{})
	require.NoError(t, err)
	return pod
}

// release is that of the StatefulSet as it is in the cluster.
func release(t *testing.T) string {
	t.Helper()
	set, err := suite.clients.Kube.AppsV1().StatefulSets(upgradeNamespace).Get(t.Context(), "app-postgresql", metav1.GetOptions{})
	require.NoError(t, err)
	for _, variable := range set.Spec.Template.Spec.Containers[0].Env {
		if variable.Name == "RELEASE" {
			return variable.Value
		}
	}
	return ""
}

// backups are the ActionSets that the trigger made, in the order of their making.
func backups(t *testing.T) []kanister.ActionSet {
	t.Helper()
	list, err := suite.clients.ActionSets(upgradeNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: "salvor.io/trigger=" + upgradeTrigger})
	require.NoError(t, err)
	slices.SortFunc(list.Items, func(a, b kanister.ActionSet) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	return list.Items
}

// endOf is when the status was written last, which is the end.
func endOf(t *testing.T, as *kanister.ActionSet) metav1.Time {
	t.Helper()
	var last metav1.Time
	for _, entry := range as.ManagedFields {
		if entry.Subresource == "status" && entry.Time != nil && last.Before(entry.Time) {
			last = *entry.Time
		}
	}
	require.False(t, last.IsZero(), "%+v", as.ManagedFields)
	return last
}

// revisions are those of the release in helm's history, with their status.
func revisions(t *testing.T) map[int]string {
	t.Helper()
	out, err := suite.tools.Helm(t.Context(), "history", "app", "-n", upgradeNamespace, "-o", "json")
	require.NoError(t, err)
	var history []struct {
		Revision int    `json:"revision"`
		Status   string `json:"status"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &history))
	found := map[int]string{}
	for _, revision := range history {
		found[revision.Revision] = revision.Status
	}
	return found
}

// refusedAt checks that an upgrade was refused and left all as it was.
func refusedAt(t *testing.T, before *corev1.Pod, history map[int]string) {
	t.Helper()
	assert.Equal(t, history, revisions(t))
	assert.Equal(t, "2.0", release(t), "the StatefulSet is the old release's")
	now := databasePod(t)
	assert.Equal(t, before.UID, now.UID, "the pod is the one that was there before")
	assert.Equal(t, before.Status.ContainerStatuses[0].RestartCount, now.Status.ContainerStatuses[0].RestartCount)
}

// hookExitCode is that of the pod of the hook, of which there is one: the backup's
// end is final, so no second pod was tried.
func hookExitCode(t *testing.T) int {
	t.Helper()
	uid, err := suite.tools.Kubectl(t.Context(), "get", "job", "-n", upgradeNamespace, upgradeTrigger, "-o", "jsonpath={.metadata.uid}")
	require.NoError(t, err)
	out, err := suite.tools.Kubectl(t.Context(), "get", "pods", "-n", upgradeNamespace, "-l", "batch.kubernetes.io/controller-uid="+uid,
		"-o", "jsonpath={.items[*].status.containerStatuses[0].state.terminated.exitCode}")
	require.NoError(t, err)
	code, err := strconv.Atoi(strings.TrimSpace(out))
	require.NoError(t, err, "one pod: %q", out)
	return code
}
