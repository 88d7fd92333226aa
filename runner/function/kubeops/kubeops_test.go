package kubeops_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/kubeops"
	"github.com/salvor-io/salvor/runner/functiontest"
)

const (
	mergePatch = types.MergePatchType
	finalizer  = "example.com/hold"
)

var widgets = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}

func clients(t *testing.T) *kube.Clients {
	t.Helper()
	return functiontest.Clients(t, server.Config())
}

func newCall(t *testing.T, args map[string]any) *function.Call {
	t.Helper()
	return functiontest.NewCall(t, clients(t), functiontest.Phase{Func: kubeops.Name, Args: args})
}

func run(t *testing.T, call *function.Call) (map[string]any, error) {
	t.Helper()
	return kubeops.New().Execute(t.Context(), call)
}

func configMap(t *testing.T, namespace, name string, finalizers ...string) *corev1.ConfigMap {
	t.Helper()
	made, err := clients(t).Kube.CoreV1().ConfigMaps(namespace).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: finalizers}, Data: map[string]string{"a": "1"},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	return made
}

func reference(resource, namespace, name string) map[string]any {
	return map[string]any{"apiVersion": "v1", "group": "", "resource": resource, "namespace": namespace, "name": name}
}

// The delete operation is the one that waits, so the suite runs on it.
func TestDelete(t *testing.T) {
	functiontest.Run(t, functiontest.Harness{
		Name: kubeops.Name,
		New:  kubeops.New,
		World: func(t *testing.T) functiontest.World {
			t.Helper()
			namespace := server.Namespace(t)
			configMap(t, namespace, "held", finalizer)
			watching, busy := functiontest.WatchingClients(t, server.Config())
			admin, err := kubernetes.NewForConfig(server.Config())
			require.NoError(t, err)
			return functiontest.World{
				Call: functiontest.NewCall(t, watching, functiontest.Phase{
					Func: kubeops.Name,
					Args: map[string]any{
						"operation": "delete", "namespace": "ignored",
						"objectReference": reference("configmaps", "{{ .Phases.made.Output.namespace }}", "held"),
					},
					Outputs: map[string]map[string]any{"made": {"namespace": namespace}},
				}),
				Busy: busy,
				Release: func() {
					patch := []byte(`{"metadata":{"finalizers":null}}`)
					_, err := admin.CoreV1().ConfigMaps(namespace).Patch(t.Context(), "held", mergePatch, patch, metav1.PatchOptions{})
					require.NoError(t, err)
				},
				Check: func(t *testing.T, output map[string]any) {
					t.Helper()
					assert.Equal(t, map[string]any{
						"apiVersion": "v1", "group": "", "resource": "configmaps", "kind": "ConfigMap", "name": "held", "namespace": namespace,
					}, output)
					left, err := admin.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
					require.NoError(t, err)
					assert.Empty(t, left.Items)
				},
			}
		},
		Bad: []functiontest.Bad{
			{Name: "no operation", Set: map[string]any{"operation": nil}, Want: `argument "operation" is missing`},
			{Name: "an unknown operation", Set: map[string]any{"operation": "apply"}, Want: `argument "operation" must be create, delete or patch, not "apply"`},
			{Name: "no reference", Set: map[string]any{"objectReference": nil}, Want: `argument "objectReference" is missing: operation delete needs`},
			{Name: "no name", Set: map[string]any{"objectReference": reference("configmaps", "x", "")}, Want: "objectReference.name is empty"},
			{Name: "no resource", Set: map[string]any{"objectReference": reference("", "x", "y")}, Want: "objectReference.resource is empty"},
			{Name: "an unknown resource", Set: map[string]any{"objectReference": reference("gadgets", "x", "y")}, Want: `"gadgets"`, Reason: event.ReasonNotFound},
			{Name: "a text as reference", Set: map[string]any{"objectReference": "configmap/x"}, Want: `argument "objectReference" must be a map`},
			{Name: "two groups", Set: map[string]any{"objectReference": map[string]any{
				"apiVersion": "apps/v1", "group": "batch", "resource": "jobs", "name": "x", "namespace": "y",
			}}, Want: "name different groups"},
			{Name: "create without spec", Set: map[string]any{"operation": "create"}, Want: `argument "spec" is empty`},
			{Name: "create of no YAML", Set: map[string]any{"operation": "create", "spec": "a: b: c"}, Want: `argument "spec", document 1, is not YAML`},
			{Name: "create of no object", Set: map[string]any{"operation": "create", "spec": "a: b"}, Want: "document 1, must have apiVersion and kind"},
			{Name: "create of an unknown kind", Set: map[string]any{"operation": "create", "spec": "{apiVersion: v1, kind: Gadget, metadata: {name: x}}"}, Want: `"Gadget"`, Reason: event.ReasonNotFound},
			{Name: "create without a name", Set: map[string]any{"operation": "create", "spec": "{apiVersion: v1, kind: ConfigMap}"}, Want: "a ConfigMap has neither metadata.name nor metadata.generateName"},
			{Name: "patch without spec", Set: map[string]any{"operation": "patch"}, Want: `argument "spec" is empty`},
		},
	})
}

const manifests = `
apiVersion: v1
kind: ConfigMap
metadata:
  generateName: some-
data: {n: "1"}
---
# nothing here
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata:
    generateName: some-
    annotations: {keep: me}
- apiVersion: example.com/v1
  kind: Widget
  metadata: {name: last}
  spec: {size: 3}
`

func TestCreateIsRepeatedWithoutASecondObject(t *testing.T) {
	namespace := server.Namespace(t)
	call := newCall(t, map[string]any{"operation": "create", "namespace": namespace, "spec": manifests})
	want := map[string]any{
		"apiVersion": "v1", "group": "example.com", "resource": "widgets", "kind": "Widget", "name": "last", "namespace": namespace,
	}
	for attempt := 1; attempt <= 3; attempt++ { // the second is the same attempt, the third the next
		output, err := run(t, call)
		require.NoError(t, err)
		assert.Equal(t, want, output)
		call.Key.Attempt = max(1, attempt)
	}
	made, err := clients(t).Kube.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, made.Items, 2, "one for each generateName")
	for _, m := range made.Items {
		assert.True(t, strings.HasPrefix(m.Name, "some-"), m.Name)
		assert.Len(t, m.Name, len("some-")+10)
		assert.Contains(t, m.Annotations[kubeops.AnnotationJob], call.Key.UID)
	}

	// Another phase makes its own.
	call = newCall(t, map[string]any{"operation": "create", "namespace": namespace, "spec": strings.Split(manifests, "---")[0]})
	_, err = run(t, call)
	require.NoError(t, err)
	made, err = clients(t).Kube.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Len(t, made.Items, 3)
}

func TestCreateDoesNotAdoptWhatOthersMade(t *testing.T) {
	namespace := server.Namespace(t)
	configMap(t, namespace, "taken")
	spec := "{apiVersion: v1, kind: ConfigMap, metadata: {name: taken}}"
	_, err := run(t, newCall(t, map[string]any{"operation": "create", "namespace": namespace, "spec": spec}))
	require.ErrorContains(t, err, "something else made it")
	require.ErrorContains(t, err, "already exists")
}

func TestNamespaceOfTheObject(t *testing.T) {
	namespace := server.Namespace(t)
	for name, tt := range map[string]struct{ spec, want string }{
		"in the spec":  {fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: %s}}", namespace), namespace},
		"of nothing":   {fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}}", namespace), "default"},
		"cluster wide": {fmt.Sprintf("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: %s, namespace: x}}", namespace), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := clients(t).Kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{})
			if err != nil {
				require.ErrorContains(t, err, "already exists")
			}
			output, err := run(t, newCall(t, map[string]any{"operation": "create", "spec": tt.spec}))
			require.NoError(t, err)
			assert.Equal(t, tt.want, output["namespace"])
		})
	}
}

func TestDeleteOfNothingIsDone(t *testing.T) {
	output, err := run(t, newCall(t, map[string]any{"operation": "delete", "objectReference": reference("configmaps", server.Namespace(t), "nope")}))
	require.NoError(t, err)
	assert.Equal(t, "nope", output["name"])
}

// A controller makes a new object under the same name at once; waiting for
// NotFound would last for ever.
func TestDeleteDoesNotWaitForTheNextOne(t *testing.T) {
	namespace := server.Namespace(t)
	old := configMap(t, namespace, "again", finalizer)
	watching, busy := functiontest.WatchingClients(t, server.Config())
	call := functiontest.NewCall(t, watching, functiontest.Phase{
		Func: kubeops.Name, Args: map[string]any{"operation": "delete", "objectReference": reference("configmap", namespace, "again")},
	})
	ended := make(chan error, 1)
	go func() {
		_, err := kubeops.New().Execute(t.Context(), call)
		ended <- err
	}()
	<-busy
	api := clients(t).Kube.CoreV1().ConfigMaps(namespace)
	_, err := api.Patch(t.Context(), "again", mergePatch, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	renewed := configMap(t, namespace, "again")
	require.NoError(t, <-ended)
	now, err := api.Get(t.Context(), "again", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, renewed.UID, now.UID)
	assert.NotEqual(t, old.UID, now.UID)
}

// Why KubeOps is not run again by itself: the delete of a runner that was lost and
// that of the next one cannot be told apart, and the second takes what a controller
// has made in between.
func TestARepeatedDeleteTakesTheNextOne(t *testing.T) {
	namespace := server.Namespace(t)
	call := newCall(t, map[string]any{"operation": "delete", "objectReference": reference("configmap", namespace, "again")})
	for range 2 {
		configMap(t, namespace, "again")
		_, err := run(t, call)
		require.NoError(t, err)
		_, err = clients(t).Kube.CoreV1().ConfigMaps(namespace).Get(t.Context(), "again", metav1.GetOptions{})
		require.True(t, apierrors.IsNotFound(err), "%v", err)
	}
	signature, _ := blueprint.Lookup(kubeops.Name)
	assert.Equal(t, blueprint.Once, signature.Resume)
}

func TestPatchMergesListsOfBuiltInKinds(t *testing.T) {
	namespace := server.Namespace(t)
	api := clients(t).Kube.AppsV1().Deployments(namespace)
	labels := map[string]string{"a": "b"}
	_, err := api.Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "d"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "one", Image: "a"}, {Name: "two", Image: "a"}}},
			},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	args := map[string]any{
		"operation": "patch", "spec": "spec: {template: {spec: {containers: [{name: two, image: b}]}}}",
		"objectReference": map[string]any{"apiVersion": "v1", "group": "apps", "resource": "deployments", "name": "d", "namespace": namespace},
	}
	call := newCall(t, args)
	for range 2 { // a repeat changes nothing
		output, err := run(t, call)
		require.NoError(t, err)
		assert.Equal(t, "deployments", output["resource"])
	}
	d, err := api.Get(t.Context(), "d", metav1.GetOptions{})
	require.NoError(t, err)
	require.Len(t, d.Spec.Template.Spec.Containers, 2)
	assert.Equal(t, "a", d.Spec.Template.Spec.Containers[0].Image)
	assert.Equal(t, "b", d.Spec.Template.Spec.Containers[1].Image)
	assert.Equal(t, int64(2), d.Generation)
}

func TestPatchOfACustomResourceThatNamesItself(t *testing.T) {
	namespace := server.Namespace(t)
	_, err := run(t, newCall(t, map[string]any{
		"operation": "create", "namespace": namespace,
		"spec": "{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}, spec: {size: 1, color: red}}",
	}))
	require.NoError(t, err)
	_, err = run(t, newCall(t, map[string]any{
		"operation": "patch", "namespace": namespace,
		"spec": "{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}, spec: {size: 2}}",
	}))
	require.NoError(t, err)
	w, err := clients(t).Dynamic.Resource(widgets).Namespace(namespace).Get(t.Context(), "w", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"size": int64(2), "color": "red"}, w.Object["spec"])
}

// The verbs that docs/functions.md names are enough.
func TestVerbs(t *testing.T) {
	namespace := server.Namespace(t)
	user := functiontest.Clients(t, functiontest.User(t, server, namespace,
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"create", "get", "delete", "list", "watch", "patch"}}))
	spec := "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}"
	for _, args := range []map[string]any{
		{"operation": "create", "namespace": namespace, "spec": spec},
		{"operation": "patch", "namespace": namespace, "spec": spec},
		{"operation": "delete", "objectReference": reference("configmaps", namespace, "x")},
	} {
		_, err := run(t, functiontest.NewCall(t, user, functiontest.Phase{Func: kubeops.Name, Args: args}))
		require.NoError(t, err, args["operation"])
	}
	_, err := run(t, functiontest.NewCall(t, user, functiontest.Phase{Func: kubeops.Name, Args: map[string]any{
		"operation": "delete", "objectReference": reference("pods", namespace, "x"),
	}}))
	assert.Equal(t, event.ReasonForbidden, functiontest.ReasonOf(err), "%v", err)
}
