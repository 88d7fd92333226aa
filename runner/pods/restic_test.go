package pods

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/restic"
	"github.com/salvor-io/salvor/runner/functiontest"
)

// The functions of package restic that have pods pass the suite; what their scripts do
// is proved there.
func TestResticFunctionsWithAPod(t *testing.T) {
	t.Parallel()
	const id = "0123456789abcdef"
	backup := fmt.Sprintf(`{"message_type":"summary","total_files_processed":3,"total_bytes_processed":2048,"data_added":100,"snapshot_id":%q}`, id)
	info := `{"db-0":{"PodName":"db-0","BackupID":"01234567","BackupTag":"t"}}`
	noPrefix := functiontest.Bad{Name: "no prefix", Set: map[string]any{"backupArtifactPrefix": nil}, Want: `argument "backupArtifactPrefix" is missing`}
	noKey := functiontest.Bad{Name: "an empty key", Set: map[string]any{"encryptionKey": "\n"}, Want: "argument encryptionKey is empty"}
	for name, tc := range map[string]struct {
		new  function.Factory
		args map[string]any
		says []string // key, value
		want map[string]any
		bad  []functiontest.Bad
	}{
		"BackupDataStats": {
			new: restic.NewBackupDataStats, args: map[string]any{"backupArtifactPrefix": "p", "backupID": "01234567"},
			says: []string{"stats", `{"total_size":2048,"total_file_count":3}`},
			want: map[string]any{"mode": "restore-size", "fileCount": "3", "size": "2.000 KiB", "version": "v0.0.0"},
			bad:  []functiontest.Bad{noPrefix, noKey, {Name: "no id", Set: map[string]any{"backupID": " "}, Want: `argument "backupID" is empty`}},
		},
		"CheckRepository": {
			new: restic.NewCheckRepository, args: map[string]any{"backupArtifactPrefix": "p"},
			says: []string{"repository", "absent"},
			want: map[string]any{"passwordIncorrect": "false", "repoUnavailable": "true", "version": "v0.0.0"},
			bad:  []functiontest.Bad{noPrefix, noKey, {Name: "a wrong bool", Set: map[string]any{"insecureTLS": "perhaps"}, Want: `argument "insecureTLS" must be true or false`}},
		},
		"CopyVolumeData": {
			new: restic.NewCopyVolumeData, args: map[string]any{"volume": "data", "dataArtifactPrefix": "p"},
			says: []string{"summary", backup},
			want: map[string]any{
				"backupID": "01234567", "backupRoot": "/mnt/vol_data/data", "backupArtifactLocation": "bucket/p",
				"fileCount": "3", "size": "2.000 KiB", "phySize": "100 B", "version": "v0.0.0",
			},
			bad: []functiontest.Bad{
				noKey,
				{Name: "no volume", Set: map[string]any{"volume": nil}, Want: `argument "volume" is missing`},
				{Name: "a volume that is not there", Set: map[string]any{"volume": "nope"}, Want: "nope", Reason: event.ReasonNotFound},
				{Name: "a path that is none", Set: map[string]any{"mountPath": "data"}, Want: "argument mountPath must begin with /"},
			},
		},
		"DeleteData": {
			new: restic.NewDeleteData, args: map[string]any{"backupArtifactPrefix": "p", "backupID": "01234567"},
			says: []string{"freed", "1.000 KiB;24 B;"},
			want: map[string]any{"spaceFreed": "1048 B"},
			bad: []functiontest.Bad{
				noPrefix, noKey,
				{Name: "neither id nor tag", Set: map[string]any{"backupID": ""}, Want: `give one of the arguments "backupID" and "backupTag"`},
				{Name: "both id and tag", Set: map[string]any{"backupTag": "t"}, Want: `give one of the arguments "backupID" and "backupTag", and only one`},
				{Name: "more prefixes than ids", Set: map[string]any{"backupArtifactPrefix": "a b"}, Want: "has 2 paths for 1 backups"},
			},
		},
		"DeleteDataAll": {
			new: restic.NewDeleteDataAll, args: map[string]any{"backupArtifactPrefix": "p", "backupInfo": info, "reclaimSpace": true},
			says: []string{"freed", ""},
			want: map[string]any{"spaceFreed": "0 B"},
			bad: []functiontest.Bad{
				noPrefix, noKey,
				{Name: "what is no JSON", Set: map[string]any{"backupInfo": "x"}, Want: "argument backupInfo is not the BackupAllInfo"},
				{Name: "no backups", Set: map[string]any{"backupInfo": "{}"}, Want: "argument backupInfo names no backup"},
			},
		},
		"RestoreData": {
			new: restic.NewRestoreData, args: map[string]any{"image": "x", "backupArtifactPrefix": "p", "pod": "db-0", "backupTag": "t"},
			says: []string{"k", "v"}, want: map[string]any{"k": "v"},
			bad: []functiontest.Bad{
				noPrefix, noKey,
				{Name: "no image", Set: map[string]any{"image": nil}, Want: `argument "image" is empty`},
				{Name: "pod and volumes", Set: map[string]any{"volumes": map[string]any{"data": "/x"}}, Want: `give one of the arguments "pod" and "volumes"`},
				{Name: "neither", Set: map[string]any{"pod": nil}, Want: `give one of the arguments "pod" and "volumes"`},
				{Name: "id and tag", Set: map[string]any{"backupIdentifier": "i"}, Want: `give one of the arguments "backupTag" and "backupIdentifier"`},
				{Name: "a pod of another workload", Set: map[string]any{"pod": "web-0"}, Want: `pod "web-0" was no running pod with claims`},
			},
		},
		"RestoreDataAll": {
			new: restic.NewRestoreDataAll, args: map[string]any{"image": "x", "backupArtifactPrefix": "p", "backupInfo": info},
			says: []string{"k", "v"}, want: map[string]any{"k": "v"},
			bad: []functiontest.Bad{
				noPrefix, noKey,
				{Name: "a pod without a backup", Set: map[string]any{"pods": "db-0 db-1"}, Want: "argument backupInfo has no backup of pod db-1; it has db-0"},
				{Name: "no info", Set: map[string]any{"backupInfo": nil}, Want: `argument "backupInfo" is missing`},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			functiontest.Run(t, functiontest.Harness{Name: name, New: tc.new, Bad: tc.bad, World: func(t *testing.T) functiontest.World {
				t.Helper()
				b := newBench(t, clock.RealClock{})
				log := marker(t, tc.says[0], tc.says[1])
				w := b.world(b.resticCall(name, tc.args), log, tc.want)
				check := w.Check
				w.Check = func(t *testing.T, output map[string]any) {
					t.Helper()
					if tag, ok := output["backupTag"].(string); ok {
						require.Len(t, tag, 10)
						delete(output, "backupTag")
					}
					check(t, output)
					b.nothingSecret()
				}
				return w
			}})
		})
	}
}

// resticCall is a call with a profile, of a workload with one pod and a claim.
func (b *bench) resticCall(name string, args map[string]any) *function.Call {
	b.t.Helper()
	ctx := b.t.Context()
	_, err := b.client.CoreV1().Secrets(b.namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "s3", Labels: map[string]string{"mine": "no"}},
		Data:       map[string][]byte{"id": []byte("access"), "key": []byte("canary-7f3a")},
	}, metav1.CreateOptions{})
	require.NoError(b.t, err)
	_, err = b.client.CoreV1().PersistentVolumeClaims(b.namespace).Create(ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}, metav1.CreateOptions{})
	require.NoError(b.t, err)
	all := map[string]any{"namespace": b.namespace}
	maps.Copy(all, args)
	if name == "CheckRepository" {
		delete(all, "namespace") // it has none
	}
	made := functiontest.NewCall(b.t, functiontest.Clients(b.t, server.Config()), functiontest.Phase{
		Func: name, Args: all, Params: func(p *blueprint.Params) {
			p.Profile = &blueprint.ProfileRef{
				Namespace: b.namespace, Name: "profile", Location: kanister.Location{Type: "s3Compliant", Bucket: "bucket"},
				Credential: &kanister.Credential{Type: "keyPair", KeyPair: &kanister.KeyPair{
					IDField: "id", SecretField: "key", Secret: kanister.ObjectReference{Name: "s3", Namespace: b.namespace},
				}},
			}
			p.StatefulSet = &blueprint.Workload{
				Name: "db", Namespace: b.namespace, Pods: []string{"db-0"},
				PersistentVolumeClaims: map[string]map[string]string{"db-0": {"data": "/data"}},
			}
		},
	})
	call := b.call()
	call.Args, call.Values, call.Kube, call.ToolsImage = made.Args, made.Values, made.Kube, "tools:1"
	return call
}

// nothingSecret sees that no pod and no line of the log shows the key.
func (b *bench) nothingSecret() {
	b.t.Helper()
	list, err := b.client.CoreV1().Pods(b.namespace).List(b.t.Context(), metav1.ListOptions{})
	require.NoError(b.t, err)
	text, err := json.Marshal(list.Items)
	require.NoError(b.t, err)
	require.NotContains(b.t, string(text), "canary-7f3a")
	require.Contains(b.t, string(text), "AWS_SECRET_ACCESS_KEY")
	require.NotContains(b.t, b.log.String(), "canary-7f3a")
}
