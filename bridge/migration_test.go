package bridge_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/typed/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/fixture/proctest"
	"github.com/salvor-io/salvor/internal/stream"
)

// leftRunning is the status of an ActionSet whose Kanister was restarted.
const leftRunning = `{"status":{"state":"running","actions":[{"name":"backup","blueprint":"bp","phases":[
	{"name":"dump","state":"complete","output":{"path":"a/b"}},{"name":"upload","state":"running"}]}]}}`

// leftWhole is the same as Kanister writes it: every field, the deferPhase that the
// action does not have, the artifacts as they stand in the blueprint.
const leftWhole = `{"status":{"state":"running","error":{"message":""},
	"progress":{"runningPhase":"upload","percentCompleted":"50.00","sizeUploadedB":7,"lastTransitionTime":"2026-01-02T03:04:05Z"},
	"actions":[{"name":"backup","blueprint":"bp","object":{"apiVersion":"","group":"","resource":"","kind":"Namespace","name":"x","namespace":"x"},
		"artifacts":{"dump":{"keyValue":{"path":"{{ .Phases.dump.Output.path }}"}}},
		"deferPhase":{"name":"","state":"","progress":{}},
		"phases":[
			{"name":"dump","state":"complete","output":{"path":"a/b"},"progress":{"progressPercent":"100","lastTransitionTime":"2026-01-02T03:04:05Z"}},
			{"name":"upload","state":"running","progress":{"progressPercent":"0"}}]}]}}`

// left makes an ActionSet that another engine began, and left.
func (w *world) left(name string) *kanister.ActionSet {
	w.t.Helper()
	_, err := w.clients.ActionSets(w.namespace).Create(w.t.Context(), &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{Name: "backup", Blueprint: "bp"}}},
	}, metav1.CreateOptions{})
	require.NoError(w.t, err)
	as, err := w.clients.ActionSets(w.namespace).Patch(w.t.Context(), name, types.MergePatchType, []byte(leftRunning), metav1.PatchOptions{FieldManager: "controller"}, "status")
	require.NoError(w.t, err)
	return as
}

// A bridge of some namespaces beside a Kanister of others: neither what the other's
// namespaces have nor what Kanister began in ours is touched.
func TestBesideKanister(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	theirs := w.left("theirs")
	w.start()
	elsewhere := *w
	elsewhere.namespace = w.api.Namespace(t)
	fresh := elsewhere.create("fresh")
	before := elsewhere.left("running")
	w.run(w.create("ours")) // so the bridge had the time to take the others
	for _, as := range []*kanister.ActionSet{fresh, before, theirs} {
		_, _, err := w.runs.Get(t.Context(), as.Namespace, string(as.UID))
		require.ErrorIs(t, err, stream.ErrNotFound, as.Name)
		found, err := w.clients.ActionSets(as.Namespace).Get(t.Context(), as.Name, metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, as.ResourceVersion, found.ResourceVersion, "%s was not written", as.Name)
	}
}

// What Kanister left is taken over when somebody says that it is left.
func TestAdopt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	goOn, end, odd := w.left("go-on"), w.left("end"), w.left("odd")
	w.start()
	w.mark(odd, annotation(salvor.AnnotationAdopt, "please"), nil)
	w.mark(goOn, annotation(salvor.AnnotationAdopt, salvor.AdoptContinue), nil)
	w.mark(end, annotation(salvor.AnnotationAdopt, salvor.AdoptFail), nil)

	run, _ := w.run(goOn)
	recovered := run.Actions[0].Recovered
	require.NotNil(t, recovered)
	require.Len(t, recovered.Phases, 2)
	assert.Equal(t, "a/b", recovered.Phases[0].Output["path"], "what is complete stays")
	assert.Equal(t, kanister.StateRunning, recovered.Phases[1].State)
	assert.Contains(t, w.told(goOn, "RunRecovered").Message, "Taken over from another engine, whose status has 1 of 2 phases complete")

	assert.Contains(t, w.status(end, kanister.StateFailed).Error.Message, "nothing was run to end it")
	for _, as := range []*kanister.ActionSet{end, odd} {
		_, _, err := w.runs.Get(t.Context(), w.namespace, string(as.UID))
		require.ErrorIs(t, err, stream.ErrNotFound, as.Name)
	}
	assert.Equal(t, kanister.StateRunning, w.status(odd, kanister.StateRunning).State)
	w.advance(goOn, begin)
	w.advance(goOn, finish)
	w.status(goOn, kanister.StateComplete)
	// Asked for again it is Salvor's, and an ended one at that.
	w.mark(goOn, annotation(salvor.AnnotationAdopt, salvor.AdoptFail), nil)
	w.run(w.create("later"))
	assert.Equal(t, kanister.StateComplete, w.status(goOn, kanister.StateComplete).State)
}

// helm runs it with the chart against an API server.
func helm(t *testing.T, kubeconfig string, args ...string) (string, error) {
	t.Helper()
	path, found := proctest.LocalBin(t, "helm")
	require.True(t, found, "helm is built by make test-tools")
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The chart takes Kanister's CRDs over: they become Helm's, get their status
// subresource, and nothing that is stored under them is lost; also not when the
// release is deleted.
func TestTheChartTakesKanistersCRDsOver(t *testing.T) {
	t.Parallel()
	old := oldServer(t)
	w := newWorldOn(t, old, nil)
	ctx := t.Context()
	extensions, err := apiextensions.NewForConfig(old.Config())
	require.NoError(t, err)
	crd := func(plural string) types.UID {
		found, err := extensions.CustomResourceDefinitions().Get(ctx, plural+".cr.kanister.io", metav1.GetOptions{})
		require.NoError(t, err)
		return found.UID
	}
	uids := map[string]types.UID{"actionsets": crd("actionsets"), "blueprints": crd("blueprints"), "profiles": crd("profiles")}
	as := w.create("left")
	_, err = w.clients.ActionSets(w.namespace).Patch(ctx, as.Name, types.MergePatchType, []byte(leftWhole), metav1.PatchOptions{FieldManager: "controller"})
	require.NoError(t, err)
	_, err = w.clients.Blueprints(w.namespace).Create(ctx, &kanister.Blueprint{
		ObjectMeta: metav1.ObjectMeta{Name: "bp"},
		Actions:    map[string]*kanister.BlueprintAction{"backup": {Phases: []kanister.BlueprintPhase{{Name: "dump", Func: "KubeTask"}}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	kept := func() {
		t.Helper()
		for plural, uid := range uids {
			assert.Equal(t, uid, crd(plural), "%s is the same definition", plural)
		}
		found, err := w.clients.ActionSets(w.namespace).Get(ctx, as.Name, metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, as.UID, found.UID)
		assert.Equal(t, "a/b", found.Status.Actions[0].Phases[0].Output["path"])
		bp, err := w.clients.Blueprints(w.namespace).Get(ctx, "bp", metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, "KubeTask", bp.Actions["backup"].Phases[0].Func)
	}

	kubeconfig := old.Kubeconfig(t)
	chart, err := filepath.Abs("../deploy/chart")
	require.NoError(t, err)
	install := []string{"install", "salvor", chart, "--namespace", "salvor", "--create-namespace"}
	out, err := helm(t, kubeconfig, install...)
	require.Error(t, err)
	assert.Contains(t, out, "invalid ownership metadata", "helm takes nothing without being told to")
	kept()
	out, err = helm(t, kubeconfig, append(install, "--take-ownership")...)
	require.NoError(t, err, out)
	kept()
	found, err := extensions.CustomResourceDefinitions().Get(ctx, "actionsets.cr.kanister.io", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, "salvor", found.Annotations["meta.helm.sh/release-name"])
	assert.NotNil(t, found.Spec.Versions[0].Subresources.Status)
	assert.NotEmpty(t, found.Spec.Versions[0].SelectableFields)
	require.Eventually(t, func() bool {
		_, err := w.clients.ActionSets(w.namespace).Patch(ctx, as.Name, types.MergePatchType, []byte("{}"), metav1.PatchOptions{}, "status")
		return err == nil
	}, patience, tick, "the API server serves the subresource")

	// And a bridge goes on with what Kanister left.
	w.start()
	w.mark(as, annotation(salvor.AnnotationAdopt, salvor.AdoptContinue), nil)
	run, _ := w.run(as)
	require.NotNil(t, run.Actions[0].Recovered)
	w.condition(as, "Recovered", metav1.ConditionTrue)
	assert.Empty(t, w.status(as, kanister.StatePending).Actions[0].Artifacts, "templates are no artifacts")

	out, err = helm(t, kubeconfig, "uninstall", "salvor", "--namespace", "salvor")
	require.NoError(t, err, out)
	assert.Contains(t, strings.ToLower(out), "kept")
	kept()
	_, err = w.clients.Kube.CoreV1().Namespaces().Get(ctx, w.namespace, metav1.GetOptions{})
	require.NoError(t, err)
}
