package kubetest_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/salvor-io/salvor/internal/kubetest"
)

var server *kubetest.Server

func TestMain(m *testing.M) {
	os.Exit(kubetest.Run(m, func(s *kubetest.Server) error {
		server = s
		return nil
	}))
}

func TestServerAppliesRBAC(t *testing.T) {
	namespace := server.Namespace(t)
	admin, err := kubernetes.NewForConfig(server.Config())
	require.NoError(t, err)
	user := "system:serviceaccount:" + namespace + ":reader"
	reader, err := kubernetes.NewForConfig(server.ConfigAs(user))
	require.NoError(t, err)

	_, err = reader.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
	require.True(t, apierrors.IsForbidden(err), "before the binding: %v", err)

	_, err = admin.RbacV1().Roles(namespace).Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"list"}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = admin.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: user}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		_, err := reader.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
		assert.NoError(c, err)
	}, 3*time.Minute, 50*time.Millisecond)
	_, err = reader.CoreV1().ConfigMaps(namespace).Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{})
	require.True(t, apierrors.IsForbidden(err), "a reader wrote: %v", err)
}

func TestPodsAreAccepted(t *testing.T) {
	client, err := kubernetes.NewForConfig(server.Config())
	require.NoError(t, err)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "busybox"}}},
	}
	_, err = client.CoreV1().Pods(server.Namespace(t)).Create(t.Context(), pod, metav1.CreateOptions{})
	require.NoError(t, err)
}

func TestInstallCRDs(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "crd.yaml"), []byte(crd), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README.md"), []byte("not a manifest"), 0o600))
	server.InstallCRDs(t, dir)
	server.InstallCRDs(t, dir) // a second time updates

	client, err := dynamic.NewForConfig(server.Config())
	require.NoError(t, err)
	widgets := client.Resource(schema.GroupVersionResource{Group: "kubetest.example", Version: "v1", Resource: "widgets"}).
		Namespace(server.Namespace(t))
	widget := func(size any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "kubetest.example/v1", "kind": "Widget",
			"metadata": map[string]any{"generateName": "w-"}, "size": size,
		}}
	}
	_, err = widgets.Create(t.Context(), widget(int64(3)), metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = widgets.Create(t.Context(), widget("three"), metav1.CreateOptions{})
	require.True(t, apierrors.IsInvalid(err), "the schema is not applied: %v", err)
}

func TestApplyCRDsRefusesAFolderWithout(t *testing.T) {
	require.ErrorContains(t, server.ApplyCRDs(t.Context(), t.TempDir()), "no CustomResourceDefinition in")
}

func TestKubeconfig(t *testing.T) {
	config, err := clientcmd.BuildConfigFromFlags("", server.Kubeconfig(t))
	require.NoError(t, err)
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	_, err = client.CoreV1().Namespaces().Get(t.Context(), "default", metav1.GetOptions{})
	require.NoError(t, err)
}

func TestLaunchTwiceAndStopTwice(t *testing.T) {
	second := kubetest.Start(t)
	require.NotEqual(t, server.Config().Host, second.Config().Host)
	require.NoError(t, second.Stop())
	require.NoError(t, second.Stop())
	client, err := kubernetes.NewForConfig(second.Config())
	require.NoError(t, err)
	_, err = client.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	require.Error(t, err, "the server still answers")
}

func TestMissingBinariesFailWithTheWayOut(t *testing.T) {
	t.Setenv("SALVOR_LOCAL_BIN", t.TempDir())
	_, err := kubetest.Launch(t.Context(), t.TempDir())
	require.ErrorContains(t, err, "run `make kubernetes`")
}

const crd = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.kubetest.example}
spec:
  group: kubetest.example
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {size: {type: integer}}
`
