package csitest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/kubetest"
)

const (
	// Class is the name of the StorageClass and of the VolumeSnapshotClass.
	Class = "csi-dir"
	// Driver is the name of the CSI driver.
	Driver = "csi-dir.salvor.io"
	// Size is that of the claims.
	Size = "8Mi"
)

// patience bounds what must come about. Nothing depends on how long it is.
const patience = 3 * time.Minute

// Storage is the storage of a server.
type Storage struct {
	server  *kubetest.Server
	clients *kube.Clients
	root    string
}

// Start starts the storage; it ends with the server. manifest is the path of the
// local cluster's csi.yaml.
func Start(ctx context.Context, server *kubetest.Server, manifest string) (*Storage, error) {
	crds, err := kubetest.Program("snapshot-crds")
	if err != nil {
		return nil, err
	}
	if err := server.ApplyCRDs(ctx, crds); err != nil {
		return nil, err
	}
	clients, err := kube.New(server.Config())
	if err != nil {
		return nil, err
	}
	s := &Storage{server: server, clients: clients, root: filepath.Join(server.Dir(), "volumes")}
	if err := s.apply(ctx, manifest); err != nil {
		return nil, fmt.Errorf("apply %s: %w", manifest, err)
	}
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Storage) run(ctx context.Context) error {
	kubeconfig := filepath.Join(s.server.Dir(), "kubeconfig")
	if err := s.server.WriteKubeconfig(kubeconfig); err != nil {
		return err
	}
	socket := filepath.Join(s.server.Dir(), "csi.sock")
	// Without the limit of five requests a second, which is there to spare the API
	// server of a real cluster.
	client := []string{"--kubeconfig=" + kubeconfig, "--kube-api-qps=500", "--kube-api-burst=1000"}
	again := []string{"--retry-interval-start=100ms", "--retry-interval-max=1s"}
	// A snapshot that is deleted in the instant in which it is taken is seen to at the
	// controllers' next look at everything, by default after 15 minutes.
	look := "--resync-period=2s"
	sidecar := slices.Concat(client, again, []string{"--csi-address=" + socket})
	if err := s.server.RunProgram("csi-dir", "-endpoint="+socket, "-root="+s.root); err != nil {
		return err
	}
	if err := s.listening(ctx, socket); err != nil {
		return err
	}
	return errors.Join(
		s.server.RunProgram("csi-provisioner", sidecar...),
		s.server.RunProgram("csi-snapshotter", append(slices.Clone(sidecar), look)...),
		s.server.RunProgram("snapshot-controller", slices.Concat(client, again, []string{look})...),
		s.server.RunProgram("kube-controller-manager", slices.Concat(client, []string{
			"--leader-elect=false", "--secure-port=0", "--cert-dir=" + s.server.Dir(), "--pvclaimbinder-sync-period=1s",
			"--controllers=persistentvolume-binder-controller,persistentvolumeclaim-protection-controller,persistentvolume-protection-controller",
		})...),
	)
}

// listening returns once the driver listens: a sidecar that comes before would try
// again seconds later.
func (s *Storage) listening(ctx context.Context, socket string) error {
	err := wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		_, err := os.Stat(socket)
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("the CSI driver does not listen: %w\n%s", err, s.server.Logs())
	}
	return nil
}

// apply creates the objects of a file.
func (s *Storage) apply(ctx context.Context, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	decoder := yaml.NewYAMLOrJSONDecoder(file, 4096)
	for {
		o := &unstructured.Unstructured{}
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		mapping, err := s.clients.Mapper.RESTMapping(o.GroupVersionKind().GroupKind(), o.GroupVersionKind().Version)
		if err != nil {
			return err
		}
		api := s.clients.Dynamic.Resource(mapping.Resource)
		if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
			return fmt.Errorf("%s %s is in a namespace", o.GetKind(), o.GetName())
		}
		if _, err := api.Create(ctx, o, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
}

// Claim makes a claim and returns it once it has a volume.
func (s *Storage) Claim(t testing.TB, namespace, name string) *corev1.PersistentVolumeClaim {
	t.Helper()
	class := Class
	_, err := s.clients.Kube.CoreV1().PersistentVolumeClaims(namespace).Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: &class,
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(Size)}},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	return s.Bound(t, namespace, name)
}

// Bound returns a claim once it has a volume.
func (s *Storage) Bound(t testing.TB, namespace, name string) *corev1.PersistentVolumeClaim {
	t.Helper()
	var claim *corev1.PersistentVolumeClaim
	ok := assert.EventuallyWithT(t, func(c *assert.CollectT) {
		var err error
		claim, err = s.clients.Kube.CoreV1().PersistentVolumeClaims(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if assert.NoError(c, err) {
			assert.Equal(c, corev1.ClaimBound, claim.Status.Phase)
		}
	}, patience, 50*time.Millisecond)
	if !ok {
		t.Fatalf("claim %s has no volume:\n%s", name, s.server.Logs())
	}
	return claim
}

// Folder is the folder of a claim's volume.
func (s *Storage) Folder(t testing.TB, claim *corev1.PersistentVolumeClaim) string {
	t.Helper()
	volume, err := s.clients.Kube.CoreV1().PersistentVolumes().Get(t.Context(), claim.Spec.VolumeName, metav1.GetOptions{})
	require.NoError(t, err)
	require.NotNil(t, volume.Spec.CSI)
	return filepath.Join(s.root, "volumes", volume.Spec.CSI.VolumeHandle)
}

// Hold keeps the snapshots of a claim from being ready to use until the function
// that it returns is called, which may be more than once.
func (s *Storage) Hold(t testing.TB, claim *corev1.PersistentVolumeClaim) func() {
	t.Helper()
	return s.note(t, claim, "hold", "")
}

// Fail lets snapshots of a claim fail with the text until the function that it
// returns is called.
func (s *Storage) Fail(t testing.TB, claim *corev1.PersistentVolumeClaim, why string) func() {
	t.Helper()
	return s.note(t, claim, "fail", why)
}

func (s *Storage) note(t testing.TB, claim *corev1.PersistentVolumeClaim, kind, content string) func() {
	t.Helper()
	path := s.Folder(t, claim) + "." + kind
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return func() {
		if err := os.Remove(path); err != nil {
			require.ErrorIs(t, err, os.ErrNotExist)
		}
	}
}

// Snapshots are the handles of the snapshots that the driver keeps.
func (s *Storage) Snapshots(t testing.TB) []string {
	t.Helper()
	notes, err := filepath.Glob(filepath.Join(s.root, "snapshots", "*.json"))
	require.NoError(t, err)
	for i, note := range notes {
		name := filepath.Base(note)
		notes[i] = name[:len(name)-len(".json")]
	}
	return notes
}
