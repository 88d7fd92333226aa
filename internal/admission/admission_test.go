package admission_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/salvor-io/salvor/internal/admission"
	"github.com/salvor-io/salvor/internal/fixture/proctest"
	"github.com/salvor-io/salvor/internal/kubetest"
)

var server *kubetest.Server

func TestMain(m *testing.M) {
	os.Exit(kubetest.Run(m, func(s *kubetest.Server) error {
		server = s
		return s.ApplyCRDs(context.Background(), "../../deploy/chart/files/crds")
	}))
}

var (
	installed sync.Once
	ready     bool
)

// install puts the chart's policies on the server, with the tenancy's as Deny.
func install(t *testing.T) {
	t.Helper()
	helm, ok := proctest.LocalBin(t, "helm")
	require.True(t, ok, "helm is not there; run `make test-tools`")
	out, err := exec.CommandContext(t.Context(), helm, "template", "s", "../../deploy/chart", "--namespace", "salvor", "--kube-version", "1.37.0",
		"--show-only", "templates/admission.yaml", "--set", "admission.tenancy=Deny").Output()
	require.NoError(t, err)
	client, err := kubernetes.NewForConfig(server.Config())
	require.NoError(t, err)
	api := client.AdmissionregistrationV1()
	for document := range bytes.SplitSeq(out, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		require.NoError(t, yaml.Unmarshal(document, &kind))
		switch kind.Kind {
		case "ValidatingAdmissionPolicy":
			var policy admissionv1.ValidatingAdmissionPolicy
			require.NoError(t, yaml.UnmarshalStrict(document, &policy))
			_, err = api.ValidatingAdmissionPolicies().Create(t.Context(), &policy, metav1.CreateOptions{})
		case "ValidatingAdmissionPolicyBinding":
			var binding admissionv1.ValidatingAdmissionPolicyBinding
			require.NoError(t, yaml.UnmarshalStrict(document, &binding))
			_, err = api.ValidatingAdmissionPolicyBindings().Create(t.Context(), &binding, metav1.CreateOptions{})
		default:
			assert.Fail(t, "of no kind that is known", kind.Kind)
		}
		require.NoError(t, err)
	}
	ready = true
}

// The policies that are tried, by what they refuse.
const (
	badBlueprint = "apiVersion: cr.kanister.io/v1alpha1\nkind: Blueprint\nmetadata: {generateName: bp-}\nactions: {backup: {phases: [{name: p, func: Nothing}]}}"
	badActionSet = "apiVersion: cr.kanister.io/v1alpha1\nkind: ActionSet\nmetadata: {generateName: as-}\nspec: {actions: [{name: '', blueprint: b, object: {kind: StatefulSet, name: a}}]}"
)

type cluster struct {
	t         *testing.T
	namespace string
	client    dynamic.Interface
}

// newCluster waits until the policies hold: the API server takes them up when it sees
// them.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	installed.Do(func() { install(t) })
	require.True(t, ready, "the policies could not be installed")
	client, err := dynamic.NewForConfig(server.Config())
	require.NoError(t, err)
	c := &cluster{t: t, namespace: server.Namespace(t), client: client}
	// The empty name alone says nothing of the policies: the CRD refuses it.
	good := strings.Replace(badActionSet, "name: ''", "name: x", 1)
	require.NoError(t, c.create(good))
	require.Eventually(t, func() bool {
		return c.create(badBlueprint) != nil && c.create(strings.Replace(good, "blueprint: b, ", "", 1)) != nil
	}, 3*time.Minute, 100*time.Millisecond, "the policies are in force")
	return c
}

func resource(kind string) schema.GroupVersionResource {
	group := "cr.kanister.io"
	if kind == "ActionTrigger" {
		group = "salvor.io"
	}
	return schema.GroupVersionResource{Group: group, Version: "v1alpha1", Resource: strings.ToLower(kind) + "s"}
}

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	require.NoError(t, yaml.Unmarshal([]byte(text), &object.Object))
	return object
}

func (c *cluster) create(text string) error {
	c.t.Helper()
	_, err := c.make(text)
	return err
}

func (c *cluster) make(text string) (*unstructured.Unstructured, error) {
	c.t.Helper()
	object := parse(c.t, text)
	return c.client.Resource(resource(object.GetKind())).Namespace(c.namespace).Create(c.t.Context(), object, metav1.CreateOptions{})
}

func TestThePoliciesAreOfTheCatalogue(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(admission.File)))
	require.NoError(t, err)
	assert.Equal(t, admission.Functions(), string(text), "run `make generate`")
}

func TestEveryBlueprintOfKanistersIsAdmitted(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	paths, err := filepath.Glob("../blueprint/testdata/kanister/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		object := parse(t, string(text))
		object.SetNamespace(c.namespace)
		object.SetName(strings.TrimSuffix(filepath.Base(path), ".yaml"))
		_, err = c.client.Resource(resource("Blueprint")).Namespace(c.namespace).Create(t.Context(), object, metav1.CreateOptions{})
		require.NoError(t, err, path)
	}
}

func TestBlueprintsThatCanNeverRun(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	const good = "{name: ok, func: KubeTask, args: {image: i, command: [x]}}"
	for name, tc := range map[string]struct{ actions, want string }{
		"no actions":            {`{}`, ""},
		"no phases":             {`{backup: {}, restore: {phases: []}}`, ""},
		"good":                  {`{backup: {phases: [` + good + `], deferPhase: {func: KubeOps, args: {operation: delete}}}}`, ""},
		"null deep down":        {`{backup: {phases: [{name: p, func: KubeTask, args: {image: i, command: [x], podOverride: {a: null}}}]}}`, ""},
		"no arguments at all":   {`{backup: {phases: [{name: p, func: KubeTask}]}}`, "arguments are missing: p: KubeTask needs command, image"},
		"unknown function":      {`{backup: {phases: [` + good + `, {name: p, func: KubTask}, {name: q, func: Nix}]}}`, "phases call functions that do not exist: p: KubTask, q: Nix"},
		"in the deferPhase":     {`{backup: {phases: [` + good + `], deferPhase: {func: kubetask}}}`, "functions that do not exist: deferPhase: kubetask"},
		"missing argument":      {`{backup: {phases: [` + good + `, {name: p, func: KubeExec, args: {namespace: n, command: [x]}}]}}`, "arguments are missing: p: KubeExec needs pod"},
		"unsupported argument":  {`{backup: {phases: [{name: p, func: KubeTask, args: {image: i, command: [x], imag: z}}]}}`, "arguments are not supported: p: KubeTask does not take imag"},
		"null":                  {`{backup: {phases: [{name: p, func: KubeTask, args: {image: i, command: [x], namespace: null}}]}}`, "arguments are null: p: namespace"},
		"several":               {`{backup: {phases: [{name: p, func: KubeTask, args: {image: i}}, {name: q, func: Wait, args: {}}]}}`, "p: KubeTask needs command; q: Wait needs conditions, timeout"},
		"same names":            {`{backup: {phases: [` + good + `, ` + good + `]}}`, ""},
		"templates that do not": {`{backup: {phases: [{name: p, func: KubeTask, args: {image: "{{", command: [x]}}]}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.create("apiVersion: cr.kanister.io/v1alpha1\nkind: Blueprint\nmetadata: {generateName: bp-}\nactions: " + tc.actions)
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			assert.True(t, apierrors.IsInvalid(err), err)
			assert.Contains(t, err.Error(), tc.want)
		})
	}
}

// large is a blueprint with a hundred phases in four actions, each with a long script.
func large(last string) string {
	var b strings.Builder
	b.WriteString("apiVersion: cr.kanister.io/v1alpha1\nkind: Blueprint\nmetadata: {generateName: large-}\nactions:\n")
	script := strings.Repeat("echo {{ .Time }} some more text\\n", 60)
	for action := range 4 {
		fmt.Fprintf(&b, "  action%d:\n    phases:\n", action)
		for phase := range 25 {
			fn := "PrepareData"
			if action == 3 && phase == 24 {
				fn = last
			}
			fmt.Fprintf(&b, "    - {name: p%d-%d, func: %s, args: {namespace: n, image: i, command: [sh, -c, \"%s\"], volumes: {a: /a}, serviceaccount: s, podOverride: {containers: [{name: container, env: [{name: a, value: b}]}]}}}\n",
				action, phase, fn, script)
		}
	}
	return b.String()
}

// What is too dear to evaluate would be let in, so that the last of a hundred phases is
// found says that it is not.
func TestALargeBlueprintIsEvaluated(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	object, err := c.make(large("PrepareData"))
	require.NoError(t, err)
	err = c.create(large("Unprepared"))
	require.Error(t, err)
	assert.Contains(t, err.Error(), "functions that do not exist: p3-24: Unprepared")
	// A change compares old and new.
	patch := []byte(`{"actions": {"action0": {"deferPhase": {"func": "Nix"}}}}`)
	_, err = c.client.Resource(resource("Blueprint")).Namespace(c.namespace).Patch(t.Context(), object.GetName(), types.MergePatchType, patch, metav1.PatchOptions{})
	require.Error(t, err)
	assert.Contains(t, err.Error(), "deferPhase: Nix")
}

func TestActionSetsThatAskForNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	const object = "object: {kind: StatefulSet, name: db}"
	for name, tc := range map[string]struct{ actions, want string }{
		"good":               {"[{name: backup, blueprint: b, " + object + "}]", ""},
		"by resource":        {"[{name: backup, blueprint: b, object: {apiVersion: v1, resource: pods, name: a}}]", ""},
		"with a profile":     {"[{name: backup, blueprint: b, " + object + ", profile: {name: p}, podOverride: {a: b}}]", ""},
		"no blueprint":       {"[{name: backup, blueprint: b, " + object + "}, {name: backup, " + object + "}]", "needs a blueprint"},
		"no kind":            {"[{name: backup, blueprint: b, object: {name: a}}]", "needs an object to work on"},
		"no object name":     {"[{name: backup, blueprint: b, object: {kind: StatefulSet}}]", "needs an object to work on"},
		"profile has a name": {"[{name: backup, blueprint: b, " + object + ", profile: {namespace: x}}]", "a profile in spec.actions has no name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.create("apiVersion: cr.kanister.io/v1alpha1\nkind: ActionSet\nmetadata: {generateName: as-}\nspec: {actions: " + tc.actions + "}")
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			assert.Contains(t, err.Error(), tc.want)
		})
	}
	// The CRD says so too.
	require.Error(t, c.create("apiVersion: cr.kanister.io/v1alpha1\nkind: ActionSet\nmetadata: {generateName: as-}\nspec: {actions: []}"))
	require.Error(t, c.create(badActionSet))
}

// What was there before the policies can still be worked with.
func TestOnlyAChangeOfTheSpecIsLookedAt(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for _, text := range []string{
		"apiVersion: cr.kanister.io/v1alpha1\nkind: Blueprint\nmetadata: {generateName: old-, finalizers: [a.b/c]}\nactions: {backup: {phases: [{name: p, func: Nothing}]}}",
		"apiVersion: cr.kanister.io/v1alpha1\nkind: ActionSet\nmetadata: {generateName: old-, finalizers: [a.b/c]}\nspec: {actions: [{name: x, object: {name: a}}]}",
	} {
		object := c.smuggle(text)
		api := c.client.Resource(resource(object.GetKind())).Namespace(c.namespace)
		patch := func(body string, subresources ...string) error {
			_, err := api.Patch(t.Context(), object.GetName(), types.MergePatchType, []byte(body), metav1.PatchOptions{}, subresources...)
			return err
		}
		require.NoError(t, patch(`{"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}}`))
		if object.GetKind() == "ActionSet" {
			require.NoError(t, patch(`{"status": {"state": "failed", "error": {"message": "x"}}}`, "status"))
			require.ErrorContains(t, patch(`{"spec": {"actions": [{"name": "y", "object": {"name": "a"}}]}}`), "needs a blueprint")
		} else {
			require.ErrorContains(t, patch(`{"actions": {"backup": {"phases": [{"name": "q", "func": "Nothing"}]}}}`), "do not exist")
		}
		require.NoError(t, api.Delete(t.Context(), object.GetName(), metav1.DeleteOptions{}))
		require.NoError(t, patch(`{"metadata": {"finalizers": []}}`))
		_, err := api.Get(t.Context(), object.GetName(), metav1.GetOptions{})
		assert.True(t, apierrors.IsNotFound(err), err)
	}
}

// smuggle makes an object that the policies refuse, in a namespace that they pass over
// for a while.
func (c *cluster) smuggle(text string) *unstructured.Unstructured {
	c.t.Helper()
	client, err := kubernetes.NewForConfig(server.Config())
	require.NoError(c.t, err)
	bindings := client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	object := parse(c.t, text)
	name := "s-" + strings.ToLower(object.GetKind()) + "s"
	exempt := func(operator metav1.LabelSelectorOperator) {
		selector := fmt.Sprintf(`{"spec": {"matchResources": {"namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": %q, "values": [%q]}]}}}}`, operator, c.namespace)
		if operator == "" {
			selector = `{"spec": {"matchResources": null}}`
		}
		_, err := bindings.Patch(c.t.Context(), name, types.MergePatchType, []byte(selector), metav1.PatchOptions{})
		require.NoError(c.t, err)
	}
	exempt(metav1.LabelSelectorOpNotIn)
	var made *unstructured.Unstructured
	require.Eventually(c.t, func() bool {
		made, err = c.make(text)
		return err == nil
	}, 3*time.Minute, 100*time.Millisecond)
	exempt("")
	require.Eventually(c.t, func() bool { return c.create(text) != nil }, 3*time.Minute, 100*time.Millisecond)
	return made
}

func TestTenantsStayAtHome(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	client, err := kubernetes.NewForConfig(server.Config())
	require.NoError(t, err)
	other := server.Namespace(t)
	user := "tenant-" + c.namespace
	const salvor = "system:serviceaccount:salvor:s"
	grant := func(namespace, name string, rules ...rbacv1.PolicyRule) {
		t.Helper()
		_, err := client.RbacV1().Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{})
		require.NoError(t, err)
		_, err = client.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: name},
			Subjects: []rbacv1.Subject{
				{Kind: "User", APIGroup: "rbac.authorization.k8s.io", Name: user},
				{Kind: "User", APIGroup: "rbac.authorization.k8s.io", Name: salvor},
			},
		}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	grant(c.namespace, "salvor", rbacv1.PolicyRule{APIGroups: []string{"cr.kanister.io", "salvor.io"}, Resources: []string{"*"}, Verbs: []string{"*"}})
	tenant, err := dynamic.NewForConfig(server.ConfigAs(user))
	require.NoError(t, err)
	as := func(action string) string {
		return "apiVersion: cr.kanister.io/v1alpha1\nkind: ActionSet\nmetadata: {generateName: as-}\nspec: {actions: [{name: backup, blueprint: b, " + action + "}]}"
	}
	trigger := func(action string) string {
		return "apiVersion: salvor.io/v1alpha1\nkind: ActionTrigger\nmetadata: {generateName: at-}\nspec: {when: {schedule: {cron: '@daily'}}, template: {spec: {actions: [{name: backup, blueprint: b, " + action + "}]}}}"
	}
	try := func(api dynamic.Interface, text string) error {
		object := parse(t, text)
		_, err := api.Resource(resource(object.GetKind())).Namespace(c.namespace).Create(t.Context(), object, metav1.CreateOptions{})
		return err
	}
	const home = "object: {kind: StatefulSet, name: a}"
	away := "object: {kind: StatefulSet, name: a, namespace: " + other + "}"
	require.Eventually(t, func() bool { return try(tenant, as(home)) == nil && try(tenant, as(away)) != nil }, 3*time.Minute, 100*time.Millisecond)
	for action, want := range map[string]string{
		home: "",
		home + ", profile: {name: p}, secrets: {a: {name: s, namespace: " + c.namespace + "}}": "",
		away: "the object of action 0 is in namespace " + other + ", where you may not exec in pods",
		"object: {kind: Namespace, name: " + other + "}":                "the object of action 0 is in namespace " + other,
		home + ", profile: {name: p, namespace: " + other + "}":         "the profile of action 0 is in namespace " + other + ", where you may not get it",
		home + ", secrets: {a: {name: s, namespace: " + other + "}}":    "a Secret of action 0 is in another namespace",
		home + ", configMaps: {a: {name: s, namespace: " + other + "}}": "a ConfigMap of action 0 is in another namespace",
		home + "}, {name: b, blueprint: b, " + away:                     "the object of action 1 is in namespace " + other,
		strings.Repeat(home+"}, {name: b, blueprint: b, ", 8) + away:    "more than 8 actions may not name anything in other namespaces",
		strings.Repeat(home+"}, {name: b, blueprint: b, ", 8) + home:    "",
	} {
		for kind, text := range map[string]string{"ActionSet": as(action), "ActionTrigger": trigger(action)} {
			err := try(tenant, text)
			if want == "" {
				require.NoError(t, err, "%s %s", kind, action)
				continue
			}
			if assert.Error(t, err, "%s %s", kind, action) {
				assert.Contains(t, err.Error(), want, kind)
			}
			require.NoError(t, try(c.client, text), "an administrator may: %s %s", kind, action)
		}
	}
	// Who may do it by hand may ask for it.
	grant(other, "works-there",
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods/exec"}, Verbs: []string{"create"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}, ResourceNames: []string{"s"}},
		rbacv1.PolicyRule{APIGroups: []string{"cr.kanister.io"}, Resources: []string{"profiles"}, Verbs: []string{"get"}})
	all := away + ", profile: {name: p, namespace: " + other + "}, secrets: {a: {name: s, namespace: " + other + "}}"
	assert.Eventually(t, func() bool { return try(tenant, as(all)) == nil }, 3*time.Minute, 100*time.Millisecond)
	require.Error(t, try(tenant, as(home+", secrets: {a: {name: other, namespace: "+other+"}}")))
	// Salvor itself makes what triggers say.
	itself, err := dynamic.NewForConfig(server.ConfigAs(salvor))
	require.NoError(t, err)
	require.NoError(t, try(itself, as(home+", secrets: {a: {name: other, namespace: "+other+"}}")))
}
