package csi_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/csitest"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/csi"
	"github.com/salvor-io/salvor/runner/functiontest"
)

const pause = 20 * time.Millisecond

// letGo takes the test's finalizer off a snapshot. Others come and go meanwhile, so
// the whole list is written on the condition that nobody changed it.
func letGo(t testing.TB, namespace, name string) error {
	t.Helper()
	o, err := snapshots(t, namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return nil //nolint:nilerr // it is gone
	}
	o.SetFinalizers(slices.DeleteFunc(o.GetFinalizers(), func(f string) bool { return f == "example.com/hold" }))
	_, err = snapshots(t, namespace).Update(t.Context(), o, metav1.UpdateOptions{})
	return err
}

// newContent makes a content of a snapshot that is not there, which is enough to be
// deleted.
func newContent(t testing.TB) string {
	t.Helper()
	name := "content-" + string(uuid.NewUUID())
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": csi.Group + "/v1", "kind": "VolumeSnapshotContent", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"deletionPolicy": "Retain", "driver": csitest.Driver, "source": map[string]any{"snapshotHandle": "none"},
			"volumeSnapshotRef": map[string]any{"name": "none", "namespace": "none"},
		},
	}}
	_, err := contents(t).Create(t.Context(), o, metav1.CreateOptions{})
	require.NoError(t, err)
	return name
}

// What the blueprint csi-snapshot does: the data of the time of the snapshot is back.
func TestWhatWasSnapshottedIsRestored(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	output := s.snapshot(t)
	require.NoError(t, os.WriteFile(filepath.Join(storage.Folder(t, s.claim), "file"), []byte("second"), 0o600))
	for name, args := range map[string]map[string]any{
		"as-it-is": {},
		"changed":  {"accessModes": []any{"ReadWriteMany", "ReadOnlyMany"}, "volumeMode": "Filesystem", "restoreSize": "16Mi", "labels": map[string]any{"app": "shop"}},
	} {
		call := newCall(t, csi.NameRestore, map[string]any{
			"name": output["name"], "pvc": name, "namespace": s.namespace, "storageClass": csitest.Class, "restoreSize": output["restoreSize"],
		})
		maps.Copy(call.Args, args)
		_, err := csi.NewRestore().Execute(t.Context(), call)
		require.NoError(t, err)
		assert.Equal(t, "first", s.restored(t, name))
	}
	changed := storage.Bound(t, s.namespace, "changed")
	assert.Equal(t, "16Mi", changed.Status.Capacity.Storage().String())
	assert.Equal(t, map[string]string{"app": "shop"}, changed.Labels)
	assert.Equal(t, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany, corev1.ReadOnlyMany}, changed.Spec.AccessModes)
}

func TestNameAndLabelsOfTheSnapshot(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	made := s.snapshot(t)["name"]
	assert.Regexp(t, `^data-snapshot-[a-z2-7]{10}$`, made)

	call := newCall(t, csi.NameCreate, s.args())
	call.Args["name"] = "mine"
	call.Args["labels"] = map[string]any{
		"app.kubernetes.io/name": "shop", "when": "2026-01-02T03:04:05Z", "not a key": "x", "long": strings.Repeat("x", 70), "!": "nothing is left of it",
	}
	output, err := csi.NewCreate().Execute(t.Context(), call)
	require.NoError(t, err)
	assert.Equal(t, "mine", output["name"])
	found, err := snapshots(t, s.namespace).Get(t.Context(), "mine", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{
		"app.kubernetes.io/name": "shop", "when": "2026-01-02T03-04-05Z", "not-a-key": "x", "long": strings.Repeat("x", validation.LabelValueMaxLength),
	}, found.GetLabels())
	assert.Equal(t, csitest.Class, field(t, found, "spec", "volumeSnapshotClassName"))
}

// Another phase takes another one; two of the same run do not share it.
func TestEveryPhaseTakesItsOwn(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	first := newCall(t, csi.NameCreate, s.args())
	second := newCall(t, csi.NameCreate, s.args())
	second.Key = first.Key
	second.Key.Phase++
	for _, call := range []*function.Call{first, second} {
		_, err := csi.NewCreate().Execute(t.Context(), call)
		require.NoError(t, err)
	}
	assert.Len(t, s.all(t), 2)
}

func TestAnErrorOfTheStorageSystemEndsThePhase(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	mend := storage.Fail(t, s.claim, "no space left in the pool")
	call := newCall(t, csi.NameCreate, s.args())
	_, err := csi.NewCreate().Execute(t.Context(), call)
	require.ErrorContains(t, err, "no space left in the pool")
	require.ErrorContains(t, err, "the storage system says")
	broken := s.all(t)
	require.Len(t, broken, 1, "it stays, to be looked at")

	// A retry does not see the old error.
	mend()
	call.Key.Attempt++
	_, err = csi.NewCreate().Execute(t.Context(), call)
	require.NoError(t, err)
	require.Len(t, s.all(t), 1)
}

func TestAClassThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	args := s.args()
	args["snapshotClass"] = "nope"
	_, err := csi.NewCreate().Execute(t.Context(), newCall(t, csi.NameCreate, args))
	require.ErrorContains(t, err, `"nope"`)
}

// The driver may still be at work, or could not be asked: the controllers ask again.
func TestWaitsOutWhatPasses(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	mend := storage.Fail(t, s.claim, "UNAVAILABLE: the storage system restarts")
	type end struct {
		output map[string]any
		err    error
	}
	ended := make(chan end, 1)
	go func() {
		output, err := csi.NewCreate().Execute(t.Context(), newCall(t, csi.NameCreate, s.args()))
		ended <- end{output, err}
	}()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		if all := s.all(t); assert.Len(c, all, 1) {
			assert.Contains(c, field(t, &all[0], "status", "error", "message"), "the storage system restarts")
		}
	}, patience, pause)
	mend()
	got := <-ended
	require.NoError(t, got.err)
	assert.Equal(t, csitest.Size, got.output["restoreSize"])
}

func TestSomebodyElsesSnapshotIsNotTaken(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	args := s.args()
	args["name"] = "taken"
	_, err := csi.NewCreate().Execute(t.Context(), newCall(t, csi.NameCreate, args))
	require.NoError(t, err)
	_, err = csi.NewCreate().Execute(t.Context(), newCall(t, csi.NameCreate, args))
	require.ErrorContains(t, err, "something else made it")

	_, err = csi.NewRestore().Execute(t.Context(), newCall(t, csi.NameRestore, map[string]any{
		"name": "taken", "pvc": "data", "namespace": s.namespace, "storageClass": csitest.Class, "restoreSize": csitest.Size,
	}))
	require.ErrorContains(t, err, "something else made it")
	require.ErrorContains(t, err, "already exists")
}

// A snapshot that is deleted while it is waited for will never be ready.
func TestADeletedSnapshotIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	storage.Hold(t, s.claim)
	watching, busy := functiontest.WatchingClients(t, server.Config())
	args := s.args()
	args["name"] = "short-lived"
	ended := make(chan error, 1)
	go func() {
		_, err := csi.NewCreate().Execute(t.Context(), callOf(t, watching, csi.NameCreate, args))
		ended <- err
	}()
	<-busy
	require.NoError(t, snapshots(t, s.namespace).Delete(t.Context(), "short-lived", metav1.DeleteOptions{}))
	err := <-ended
	require.ErrorContains(t, err, "somebody deleted it")
	assert.Equal(t, event.ReasonNotFound, functiontest.ReasonOf(err))
}

// With the class's deletionPolicy Retain, what the storage system has stays when the
// VolumeSnapshot goes; CreateCSISnapshotStatic brings it back, and the content is
// what DeleteCSISnapshotContent removes.
func TestARetainedSnapshotComesBack(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	class := "retain-" + s.namespace
	_, err := clients(t).Dynamic.Resource(gvr("volumesnapshotclasses")).Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": csi.Group + "/v1", "kind": "VolumeSnapshotClass", "metadata": map[string]any{"name": class},
		"driver": csitest.Driver, "deletionPolicy": "Retain",
	}}, metav1.CreateOptions{})
	require.NoError(t, err)
	args := s.args()
	args["snapshotClass"] = class
	output, err := csi.NewCreate().Execute(t.Context(), newCall(t, csi.NameCreate, args))
	require.NoError(t, err)
	handle := field(t, contentOf(t, output["snapshotContent"]), "status", "snapshotHandle")

	_, err = csi.NewDelete().Execute(t.Context(), newCall(t, csi.NameDelete, map[string]any{"name": output["name"], "namespace": s.namespace}))
	require.NoError(t, err)
	assert.Empty(t, s.all(t))
	_, err = csi.NewDeleteContent().Execute(t.Context(), newCall(t, csi.NameDeleteContent, map[string]any{"name": output["snapshotContent"]}))
	require.NoError(t, err)
	kept(t, handle)

	static, err := csi.NewCreateStatic().Execute(t.Context(), newCall(t, csi.NameCreateStatic, map[string]any{
		"name": "back", "namespace": s.namespace, "driver": csitest.Driver, "snapshotHandle": handle, "snapshotClass": class,
	}))
	require.NoError(t, err)
	assert.Equal(t, "Retain", field(t, contentOf(t, static["snapshotContent"]), "spec", "deletionPolicy"))
	_, err = csi.NewRestore().Execute(t.Context(), newCall(t, csi.NameRestore, map[string]any{
		"name": "back", "pvc": "again", "namespace": s.namespace, "storageClass": csitest.Class, "restoreSize": static["restoreSize"],
	}))
	require.NoError(t, err)
	assert.Equal(t, "first", s.restored(t, "again"))
}

func TestDeleteOfNothingIsDone(t *testing.T) {
	t.Parallel()
	namespace := server.Namespace(t)
	_, err := csi.NewDelete().Execute(t.Context(), newCall(t, csi.NameDelete, map[string]any{"name": "nope", "namespace": namespace}))
	require.NoError(t, err)
	_, err = csi.NewDeleteContent().Execute(t.Context(), newCall(t, csi.NameDeleteContent, map[string]any{"name": "nope"}))
	require.NoError(t, err)
}

// The verbs that the chart grants are enough.
func TestVerbs(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	user := functiontest.User(t, server, s.namespace,
		rbacv1.PolicyRule{APIGroups: []string{csi.Group}, Resources: []string{"volumesnapshots"}, Verbs: []string{"get", "list", "watch", "create", "delete"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"persistentvolumeclaims"}, Verbs: []string{"get", "create"}})
	limited := functiontest.Clients(t, user)
	output, err := csi.NewCreate().Execute(t.Context(), callOf(t, limited, csi.NameCreate, s.args()))
	require.NoError(t, err)
	_, err = csi.NewRestore().Execute(t.Context(), callOf(t, limited, csi.NameRestore, map[string]any{
		"name": output["name"], "pvc": "again", "namespace": s.namespace, "storageClass": csitest.Class, "restoreSize": output["restoreSize"],
	}))
	require.NoError(t, err)
	storage.Bound(t, s.namespace, "again") // until then the snapshot is kept from being deleted
	_, err = csi.NewDelete().Execute(t.Context(), callOf(t, limited, csi.NameDelete, map[string]any{"name": output["name"], "namespace": s.namespace}))
	require.NoError(t, err)

	_, err = csi.NewDeleteContent().Execute(t.Context(), callOf(t, limited, csi.NameDeleteContent, map[string]any{"name": "x"}))
	assert.Equal(t, event.ReasonForbidden, functiontest.ReasonOf(err), "%v", err)
	_, err = csi.NewCreateStatic().Execute(t.Context(), callOf(t, limited, csi.NameCreateStatic, map[string]any{
		"name": "x", "namespace": s.namespace, "driver": "x", "snapshotHandle": "x", "snapshotClass": csitest.Class,
	}))
	assert.Equal(t, event.ReasonForbidden, functiontest.ReasonOf(err), "%v", err)
}
