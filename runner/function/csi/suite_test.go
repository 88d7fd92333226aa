package csi_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/csitest"
	"github.com/salvor-io/salvor/runner/function/csi"
	"github.com/salvor-io/salvor/runner/functiontest"
)

func TestCreateSuite(t *testing.T) {
	t.Parallel()
	functiontest.Run(t, functiontest.Harness{
		Name: csi.NameCreate, New: csi.NewCreate,
		World: func(t *testing.T) functiontest.World {
			t.Helper()
			s := newShop(t)
			release := storage.Hold(t, s.claim)
			watching, busy := functiontest.WatchingClients(t, server.Config())
			return functiontest.World{
				Call: callOf(t, watching, csi.NameCreate, s.args()), Busy: busy, Release: release,
				Check: func(t *testing.T, output map[string]any) {
					t.Helper()
					require.Len(t, s.all(t), 1, "one snapshot, however often it was asked for")
					made := s.all(t)[0]
					assert.Equal(t, map[string]any{
						"name": made.GetName(), "pvc": "data", "namespace": s.namespace, "restoreSize": csitest.Size,
						"snapshotContent": field(t, &made, "status", "boundVolumeSnapshotContentName"),
					}, output)
					kept(t, field(t, contentOf(t, output["snapshotContent"]), "status", "snapshotHandle"))
				},
			}
		},
		Bad: []functiontest.Bad{
			{Name: "no claim", Set: map[string]any{"pvc": nil}, Want: `argument "pvc" is missing`},
			{Name: "an empty claim", Set: map[string]any{"pvc": ""}, Want: `argument "pvc" is empty`},
			{Name: "an empty namespace", Set: map[string]any{"namespace": ""}, Want: `argument "namespace" is empty`},
			{Name: "no class", Set: map[string]any{"snapshotClass": nil}, Want: `argument "snapshotClass" is missing`},
			{Name: "a list of labels", Set: map[string]any{"labels": "x"}, Want: `argument "labels" must be a map`},
			{Name: "an unknown claim", Set: map[string]any{"pvc": "nope"}, Want: "read the claim", Reason: event.ReasonNotFound},
		},
	})
}

func TestCreateStaticSuite(t *testing.T) {
	t.Parallel()
	functiontest.Run(t, functiontest.Harness{
		Name: csi.NameCreateStatic, New: csi.NewCreateStatic,
		World: func(t *testing.T) functiontest.World {
			t.Helper()
			s := newShop(t)
			handle := field(t, contentOf(t, s.snapshot(t)["snapshotContent"]), "status", "snapshotHandle")
			release := storage.Hold(t, s.claim)
			watching, busy := functiontest.WatchingClients(t, server.Config())
			call := callOf(t, watching, csi.NameCreateStatic, map[string]any{
				"name": "static", "namespace": s.namespace, "driver": csitest.Driver, "snapshotHandle": handle, "snapshotClass": csitest.Class,
			})
			return functiontest.World{
				Call: call, Busy: busy, Release: release,
				Check: func(t *testing.T, output map[string]any) {
					t.Helper()
					made, err := snapshots(t, s.namespace).Get(t.Context(), "static", metav1.GetOptions{})
					require.NoError(t, err)
					content := contentOf(t, output["snapshotContent"])
					assert.Equal(t, map[string]any{
						"name": "static", "namespace": s.namespace, "restoreSize": csitest.Size,
						"snapshotContent": field(t, made, "spec", "source", "volumeSnapshotContentName"),
					}, output)
					assert.Equal(t, handle, field(t, content, "spec", "source", "snapshotHandle"))
					assert.Equal(t, "Delete", field(t, content, "spec", "deletionPolicy"), "that of the class")
				},
			}
		},
		Bad: []functiontest.Bad{
			{Name: "no name", Set: map[string]any{"name": nil}, Want: `argument "name" is missing`},
			{Name: "an empty handle", Set: map[string]any{"snapshotHandle": ""}, Want: `argument "snapshotHandle" is empty`},
			{Name: "no driver", Set: map[string]any{"driver": nil}, Want: `argument "driver" is missing`},
			{Name: "an unknown class", Set: map[string]any{"snapshotClass": "nope"}, Want: "read the VolumeSnapshotClass nope", Reason: event.ReasonNotFound},
		},
	})
}

func TestRestoreSuite(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	snapshot := s.snapshot(t)["name"]
	functiontest.Run(t, functiontest.Harness{
		Name: csi.NameRestore, New: csi.NewRestore,
		World: func(t *testing.T) functiontest.World {
			t.Helper()
			gated, busy, open := gate(t, http.MethodPost)
			pvc := "restored-" + string(uuid.NewUUID())
			return functiontest.World{
				Call: callOf(t, gated, csi.NameRestore, map[string]any{
					"name": snapshot, "pvc": pvc, "namespace": s.namespace, "storageClass": csitest.Class, "restoreSize": csitest.Size,
				}),
				Busy: busy, Release: open,
				Check: func(t *testing.T, output map[string]any) {
					t.Helper()
					assert.Nil(t, output)
					claim, err := clients(t).Kube.CoreV1().PersistentVolumeClaims(s.namespace).Get(t.Context(), pvc, metav1.GetOptions{})
					require.NoError(t, err)
					assert.Equal(t, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, claim.Spec.AccessModes)
					assert.Equal(t, corev1.PersistentVolumeFilesystem, *claim.Spec.VolumeMode)
				},
			}
		},
		Bad: []functiontest.Bad{
			{Name: "no size", Set: map[string]any{"restoreSize": nil}, Want: `argument "restoreSize" is missing`},
			{Name: "no size at all", Set: map[string]any{"restoreSize": "<nil>"}, Want: `argument "restoreSize" must be a size such as 1Gi, not "<nil>"`},
			{Name: "a size below zero", Set: map[string]any{"restoreSize": "-1Gi"}, Want: `argument "restoreSize" must be a size`},
			{Name: "a size that is too small", Set: map[string]any{"restoreSize": "1Mi"}, Want: `argument "restoreSize" is 1Mi, but VolumeSnapshot`},
			{Name: "an access mode that Kanister rejects", Set: map[string]any{"accessModes": []any{"ReadWriteOncePod"}}, Want: `argument "accessModes" can have ReadWriteOnce, ReadOnlyMany and ReadWriteMany, not "ReadWriteOncePod"`},
			{Name: "an unknown volume mode", Set: map[string]any{"volumeMode": "Raw"}, Want: `argument "volumeMode" must be Filesystem or Block, not "Raw"`},
			{Name: "an unknown snapshot", Set: map[string]any{"name": "nope"}, Want: "to be restored", Reason: event.ReasonNotFound},
			{Name: "an empty name of a claim", Set: map[string]any{"pvc": ""}, Want: `argument "pvc" is empty`},
		},
	})
}

func TestDeleteSuite(t *testing.T) {
	t.Parallel()
	functiontest.Run(t, functiontest.Harness{
		Name: csi.NameDelete, New: csi.NewDelete,
		World: func(t *testing.T) functiontest.World {
			t.Helper()
			s := newShop(t)
			made := s.snapshot(t)
			name, ok := made["name"].(string)
			require.True(t, ok)
			handle := field(t, contentOf(t, made["snapshotContent"]), "status", "snapshotHandle")
			held, err := snapshots(t, s.namespace).Get(t.Context(), name, metav1.GetOptions{})
			require.NoError(t, err)
			_, err = snapshots(t, s.namespace).Patch(t.Context(), name, types.JSONPatchType,
				[]byte(`[{"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/hold"}]`), metav1.PatchOptions{})
			require.NoError(t, err, "%v", held.GetFinalizers())
			watching, busy := functiontest.WatchingClients(t, server.Config())
			return functiontest.World{
				Call: callOf(t, watching, csi.NameDelete, map[string]any{"name": name, "namespace": s.namespace}),
				Busy: busy,
				Release: func() {
					require.EventuallyWithT(t, func(c *assert.CollectT) { assert.NoError(c, letGo(t, s.namespace, name)) }, patience, pause)
				},
				Check: func(t *testing.T, output map[string]any) {
					t.Helper()
					assert.Nil(t, output)
					assert.Empty(t, s.all(t))
					gone(t, handle)
				},
			}
		},
		Bad: []functiontest.Bad{
			{Name: "no name", Set: map[string]any{"name": nil}, Want: `argument "name" is missing`},
			{Name: "an empty namespace", Set: map[string]any{"namespace": ""}, Want: `argument "namespace" is empty`},
		},
	})
}

func TestDeleteContentSuite(t *testing.T) {
	t.Parallel()
	functiontest.Run(t, functiontest.Harness{
		Name: csi.NameDeleteContent, New: csi.NewDeleteContent,
		World: func(t *testing.T) functiontest.World {
			t.Helper()
			name := newContent(t)
			gated, busy, open := gate(t, http.MethodDelete)
			return functiontest.World{
				Call: callOf(t, gated, csi.NameDeleteContent, map[string]any{"name": name}), Busy: busy, Release: open,
				Check: func(t *testing.T, output map[string]any) {
					t.Helper()
					assert.Nil(t, output)
					require.EventuallyWithT(t, func(c *assert.CollectT) {
						_, err := contents(t).Get(t.Context(), name, metav1.GetOptions{})
						assert.True(c, apierrors.IsNotFound(err), "%v", err)
					}, patience, pause)
				},
			}
		},
		Bad: []functiontest.Bad{
			{Name: "no name", Set: map[string]any{"name": nil}, Want: `argument "name" is missing`},
			{Name: "an empty name", Set: map[string]any{"name": ""}, Want: `argument "name" is empty`},
		},
	})
}
