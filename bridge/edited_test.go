package bridge_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// otherWork is the spec of an ActionSet after an edit: another action, and one more.
const otherWork = `{"spec":{"actions":[
	{"name":"delete","blueprint":"other","object":{"kind":"Namespace","name":"x"},"options":{"force":"true"}},
	{"name":"restore","blueprint":"bp","object":{"kind":"Namespace","name":"x"}}]}}`

// What an ActionSet asked for when it was seen is what is done. An edit changes
// nothing while it runs, as in Kanister, and does not run it again after its end.
func TestEditsOfTheSpecChangeNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	as := w.create("edited")
	_, created := w.run(as)
	edit := func() {
		t.Helper()
		_, err := w.clients.ActionSets(w.namespace).Patch(t.Context(), as.Name, types.MergePatchType, []byte(otherWork), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	same := func(revision uint64) {
		t.Helper()
		run, now := w.run(as)
		assert.Equal(t, revision, now, "the run was not written")
		require.Len(t, run.Actions, 1)
		assert.Equal(t, "backup", run.Actions[0].Spec.Name)
		assert.Equal(t, "bp", run.Actions[0].Spec.Blueprint)
		assert.Empty(t, run.Actions[0].Spec.Options)
	}
	edit()
	w.run(w.create("later")) // so the bridge had the time to see the edit
	same(created)

	w.advance(as, begin)
	w.status(as, kanister.StateRunning)
	w.advance(as, finish)
	status := w.status(as, kanister.StateComplete)
	require.Len(t, status.Actions, 1)
	assert.Equal(t, "backup", status.Actions[0].Name)
	_, ended := w.run(as)
	edit()
	w.mark(as, annotation("touched", "yes"), nil)
	w.run(w.create("last"))
	same(ended)
	assert.Equal(t, status, w.status(as, kanister.StateComplete))
}
