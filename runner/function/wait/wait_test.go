package wait_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/wait"
	"github.com/salvor-io/salvor/runner/functiontest"
)

const (
	phaseOfWait   = `{{ eq "{ $.data.phase }" "done" }}`
	phaseOfWaitV2 = `{{ eq .data.phase "done" }}`
)

func condition(text, namespace, name string) map[string]any {
	return map[string]any{"condition": text, "objectReference": map[string]any{
		"apiVersion": "v1", "group": "", "resource": "configmaps", "name": name, "namespace": namespace,
	}}
}

func set(t *testing.T, client kubernetes.Interface, namespace, name, phase string) {
	t.Helper()
	api := client.CoreV1().ConfigMaps(namespace)
	_, err := api.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"phase": phase}}, metav1.CreateOptions{})
	if err != nil {
		_, err = api.Patch(t.Context(), name, types.MergePatchType, []byte(`{"data":{"phase":"`+phase+`"}}`), metav1.PatchOptions{})
	}
	require.NoError(t, err)
}

func harness(name, text string, create func() function.Function) functiontest.Harness {
	return functiontest.Harness{
		Name: name,
		New:  create,
		World: func(t *testing.T) functiontest.World {
			namespace := server.Namespace(t)
			clients, watching := functiontest.WatchingClients(t, server.Config())
			admin, err := kubernetes.NewForConfig(server.Config())
			require.NoError(t, err)
			set(t, admin, namespace, "first", "working")
			return functiontest.World{
				Call: functiontest.NewCall(t, clients, functiontest.Phase{
					Func: name,
					Args: map[string]any{
						"timeout": "{{ .Options.limit }}",
						"conditions": map[string]any{"allOf": []any{
							condition(text, "{{ .Phases.made.Output.namespace }}", "first"),
							condition(text, "{{ .Phases.made.Output.namespace }}", "later"),
						}},
					},
					Outputs: map[string]map[string]any{"made": {"namespace": namespace}},
					Options: map[string]string{"limit": "1h"},
				}),
				Busy: watching,
				Release: func() {
					set(t, admin, namespace, "first", "done")
					set(t, admin, namespace, "later", "done")
				},
				Check: func(t *testing.T, output map[string]any) {
					assert.Nil(t, output)
				},
			}
		},
		Bad: []functiontest.Bad{
			{Name: "no timeout", Set: map[string]any{"timeout": nil}, Want: `argument "timeout" is missing`},
			{Name: "a timeout without unit", Set: map[string]any{"timeout": 60}, Want: `argument "timeout" must be a duration of more than 0 with a unit`},
			{Name: "a timeout that cannot be rendered", Set: map[string]any{"timeout": "{{ .Options.nope }}"}, Want: "nope", Reason: event.ReasonRender},
			{Name: "no conditions", Set: map[string]any{"conditions": nil}, Want: `argument "conditions" is missing`},
			{Name: "empty conditions", Set: map[string]any{"conditions": map[string]any{"any": []any{}}}, Want: "put some under anyOf or allOf"},
			{Name: "a list of conditions", Set: map[string]any{"conditions": "x"}, Want: `argument "conditions" must be a map`},
			{Name: "an empty condition", Set: map[string]any{"conditions": map[string]any{"anyOf": []any{condition("", "a", "b")}}}, Want: `argument "conditions.anyOf[0].condition" is missing`},
			{Name: "a condition without object", Set: map[string]any{"conditions": map[string]any{"anyOf": []any{condition("x", "a", "")}}}, Want: `argument "conditions.anyOf[0].objectReference" must have name and resource`},
			{Name: "a reference without namespace", Set: map[string]any{"conditions": map[string]any{"anyOf": []any{condition("x", "", "b")}}}, Want: "objectReference.namespace is empty"},
			{Name: "a reference that cannot be rendered", Set: map[string]any{"conditions": map[string]any{"anyOf": []any{condition("x", "{{ .Options.nope }}", "b")}}}, Want: "nope", Reason: event.ReasonRender},
		},
	}
}

func TestWait(t *testing.T)   { functiontest.Run(t, harness(wait.Name, phaseOfWait, wait.New)) }
func TestWaitV2(t *testing.T) { functiontest.Run(t, harness(wait.NameV2, phaseOfWaitV2, wait.NewV2)) }

func newCall(t *testing.T, clients *kube.Clients, conditions map[string]any) *function.Call {
	return functiontest.NewCall(t, clients, functiontest.Phase{
		Func: wait.NameV2, Args: map[string]any{"timeout": "5m", "conditions": conditions},
	})
}

// start runs WaitV2 and returns where its error goes.
func start(t *testing.T, call *function.Call) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := wait.NewV2().Execute(t.Context(), call)
		ended <- err
	}()
	return ended
}

// One condition of anyOf is enough, also when another's object never comes.
func TestAnyOf(t *testing.T) {
	namespace := server.Namespace(t)
	clients, watching := functiontest.WatchingClients(t, server.Config())
	ended := start(t, newCall(t, clients, map[string]any{
		"anyOf": []any{condition(phaseOfWaitV2, namespace, "never"), condition(phaseOfWaitV2, namespace, "comes")},
		"allOf": []any{condition(phaseOfWaitV2, namespace, "never")},
	}))
	<-watching
	set(t, clients.Kube, namespace, "comes", "working")
	set(t, clients.Kube, namespace, "comes", "done")
	require.NoError(t, <-ended)
}

func TestTimeoutSaysWhatWasWrongLast(t *testing.T) {
	namespace := server.Namespace(t)
	clients, _ := functiontest.WatchingClients(t, server.Config())
	set(t, clients.Kube, namespace, "slow", "working")
	_, err := clients.Kube.CoreV1().Secrets(namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "s"}, StringData: map[string]string{"k": "hunter2"},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	secret := condition(`{{ index .data.k 100 }}{{ base64decode .data.k | printf "%d" | index .data }}`, namespace, "s")
	secret["objectReference"].(map[string]any)["resource"] = "secrets"
	unknown := condition("{{ true }}", namespace, "w")
	unknown["objectReference"].(map[string]any)["resource"] = "gadgets"
	call := newCall(t, clients, map[string]any{
		"anyOf": []any{condition(phaseOfWaitV2, namespace, "slow"), condition(`{{ index .data.phase 100 }}`, namespace, "slow"), secret},
		"allOf": []any{condition(phaseOfWaitV2, namespace, "none"), unknown},
	})
	fake := clocktesting.NewFakeClock(time.Now())
	call.Clock = fake
	logged := listen(call)
	ended := start(t, call)
	wants := []string{
		"conditions.anyOf[0] on configmaps " + namespace + "/slow: it is not true",
		"index out of range: 100",
		"conditions.anyOf[2] on secrets " + namespace + "/s: it cannot be evaluated; why is not told of a Secret",
		"conditions.allOf[0] on configmaps " + namespace + "/none: the object does not exist",
		"conditions.allOf[1] on gadgets " + namespace + `/w: find resource "gadgets"`,
	}
	for _, want := range wants {
		logged.wait(want[strings.Index(want, ": ")+2:])
	}
	fake.Step(5 * time.Minute)
	err = <-ended
	assert.Equal(t, event.ReasonTimeout, functiontest.ReasonOf(err))
	require.ErrorContains(t, err, "the conditions did not hold within 5m0s")
	for _, want := range wants {
		require.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error()+logged.text(), "hunter2")
}

// A kind may come later, with the operator that serves it.
func TestTheKindComesLater(t *testing.T) {
	namespace := server.Namespace(t)
	clients := functiontest.Clients(t, server.Config())
	call := newCall(t, clients, map[string]any{"allOf": []any{map[string]any{
		"condition":       "{{ exists .spec }}",
		"objectReference": map[string]any{"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "namespace": namespace},
	}}})
	call.Args["timeout"] = "10000h"
	fake := clocktesting.NewFakeClock(time.Now())
	call.Clock = fake
	logged := listen(call)
	ended := start(t, call)
	logged.wait("no matches for kind")
	server.InstallCRDs(t, "testdata")
	for logged.again("does not exist") { // it looks again every 5 s of its clock
		require.Empty(t, ended, logged.text())
		fake.Step(5 * time.Second)
	}
	_, err := clients.Dynamic.Resource(schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}).
		Namespace(namespace).Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": "w"},
	}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, <-ended)
}

func TestForbidden(t *testing.T) {
	namespace := server.Namespace(t)
	user := functiontest.Clients(t, functiontest.User(t, server, namespace,
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"list", "watch"}}))
	set(t, functiontest.Clients(t, server.Config()).Kube, namespace, "x", "done")
	require.NoError(t, <-start(t, newCall(t, user, map[string]any{"allOf": []any{condition(phaseOfWaitV2, namespace, "x")}})))

	secret := condition("{{ true }}", namespace, "s")
	secret["objectReference"].(map[string]any)["resource"] = "secrets"
	err := <-start(t, newCall(t, user, map[string]any{"allOf": []any{secret}}))
	require.ErrorContains(t, err, "allow get, list and watch on it")
	assert.Equal(t, event.ReasonForbidden, functiontest.ReasonOf(err))
}
