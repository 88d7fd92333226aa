package bridge_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge"
	"github.com/salvor-io/salvor/bridge/retention"
)

// keeper is a world whose trigger keeps the two newest backups, with a blueprint that
// can delete.
func keeper(t *testing.T) (*world, *salvor.ActionTrigger) {
	t.Helper()
	w := newWorld(t, func(o *bridge.Options) { o.RetentionInterval = time.Second })
	w.blueprint("bp", "backup", "delete")
	owner := w.trigger("nightly", "t.a", func(t *salvor.ActionTrigger) { t.Spec.Keep = &salvor.Retention{Count: new(int32(2))} })
	return w, owner
}

func (w *world) blueprint(name string, actions ...string) {
	w.t.Helper()
	bp := &kanister.Blueprint{ObjectMeta: metav1.ObjectMeta{Name: name}, Actions: map[string]*kanister.BlueprintAction{}}
	for _, action := range actions {
		bp.Actions[action] = &kanister.BlueprintAction{Phases: []kanister.BlueprintPhase{{Func: "KubeTask", Name: "a"}}}
	}
	_, err := w.clients.Blueprints(w.namespace).Create(w.t.Context(), bp, metav1.CreateOptions{})
	require.NoError(w.t, err)
}

// backup is an ActionSet that the trigger made and that is complete, with artifacts
// that hold a path.
func (w *world) backup(owner *salvor.ActionTrigger, name, path string) *kanister.ActionSet {
	w.t.Helper()
	as, err := w.clients.ActionSets(w.namespace).Create(w.t.Context(), &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{salvor.LabelTrigger: owner.Name},
			Annotations: map[string]string{salvor.AnnotationTriggerUID: string(owner.UID), salvor.AnnotationChain: string(owner.UID)},
		},
		Spec: &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{
			Name: "backup", Blueprint: "bp", Object: kanister.ObjectReference{Kind: "Namespace", Name: w.namespace},
			Options: map[string]string{"level": "9"}, PodOverride: kanister.JSONMap{"serviceAccountName": "backup"},
			Profile: &kanister.ObjectReference{Name: "s3", Namespace: w.namespace},
		}}},
	}, metav1.CreateOptions{})
	require.NoError(w.t, err)
	w.advance(as, begin)
	w.advance(as, leaves(path))
	w.status(as, kanister.StateComplete)
	return as
}

// leaves ends a run well, with an artifact if there is a path.
func leaves(path string) func(r *event.Run, a *event.Action) {
	return func(r *event.Run, a *event.Action) {
		finish(r, a)
		a.Artifacts = nil
		if path != "" {
			a.Artifacts = map[string]kanister.Artifact{"dump": {KeyValue: map[string]string{"path": path}}}
		}
	}
}

func breaks(r *event.Run, a *event.Action) {
	now := time.Now()
	r.Failure = &event.Failure{Reason: event.ReasonInternal, Message: "the bucket is away"}
	a.Phases[0].State, a.Phases[0].EndedAt, a.Phases[0].Failure = event.StateFailed, &now, r.Failure
	a.State, a.EndedAt, r.State = event.StateFailed, &now, event.StateFailed
}

// prune waits for the ActionSet that removes the data of one.
func (w *world) prune(of *kanister.ActionSet) *kanister.ActionSet {
	w.t.Helper()
	var found *kanister.ActionSet
	require.Eventually(w.t, func() bool { found = w.pruneOf(of); return found != nil }, patience, tick, "%s is to be pruned", of.Name)
	return found
}

func (w *world) pruneOf(of *kanister.ActionSet) *kanister.ActionSet {
	w.t.Helper()
	list, err := w.clients.ActionSets(w.namespace).List(w.t.Context(), metav1.ListOptions{LabelSelector: salvor.LabelPrunes + "=" + of.Name})
	require.NoError(w.t, err)
	if len(list.Items) == 0 {
		return nil
	}
	require.Len(w.t, list.Items, 1)
	return &list.Items[0]
}

func (w *world) gone(as *kanister.ActionSet) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		_, err := w.clients.ActionSets(w.namespace).Get(w.t.Context(), as.Name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}, patience, tick, "%s is to go", as.Name)
}

func (w *world) names() []string {
	var out []string
	for _, as := range w.actionSets() {
		out = append(out, as.Name)
	}
	return out
}

// said waits for a condition of the trigger to have a reason.
func (w *world) said(name, typ, reason string) *metav1.Condition {
	w.t.Helper()
	var found *metav1.Condition
	require.EventuallyWithT(w.t, func(c *assert.CollectT) {
		trigger, err := w.clients.ActionTriggers(w.namespace).Get(w.t.Context(), name, metav1.GetOptions{})
		if assert.NoError(c, err) {
			found = meta.FindStatusCondition(trigger.Status.Conditions, typ)
			if assert.NotNil(c, found) {
				assert.Equal(c, reason, found.Reason, found.Message)
			}
		}
	}, patience, tick)
	return found
}

// The two newest stay. The others go: each by an ActionSet that is its own but for the
// action and the artifacts, and only when that is complete.
func TestRetention(t *testing.T) {
	t.Parallel()
	w, owner := keeper(t)
	w.start()
	var made []*kanister.ActionSet
	for i := range 4 {
		made = append(made, w.backup(owner, fmt.Sprintf("b%d", i), fmt.Sprintf("path/%d", i)))
	}
	first, second := w.prune(made[0]), w.prune(made[1])
	want := made[0].Spec.DeepCopy()
	want.Actions[0].Name = "delete"
	want.Actions[0].Artifacts = map[string]kanister.Artifact{"dump": {KeyValue: map[string]string{"path": "path/0"}}}
	assert.Equal(t, want, first.Spec)
	assert.Equal(t, string(owner.UID), first.Annotations[salvor.AnnotationChain], "the trigger does not fire for the end of what it caused")
	assert.Len(t, w.names(), 6, "nothing goes before its data")

	w.advance(first, begin)
	w.advance(second, begin)
	w.advance(second, breaks)
	failed := w.said("nightly", retention.Condition, "PruneFailed")
	assert.Equal(t, metav1.ConditionFalse, failed.Status)
	for _, words := range []string{second.Name, "b1", "the bucket is away", "tried again at"} {
		assert.Contains(t, failed.Message, words)
	}
	w.advance(first, leaves(""))
	w.gone(made[0])
	w.gone(first)
	backups := slices.DeleteFunc(w.names(), func(name string) bool { return strings.Contains(name, "-prune-") })
	assert.ElementsMatch(t, []string{"b1", "b2", "b3"}, backups, "what failed keeps its backup")
	assert.Empty(t, w.reports(), "the end of an ActionSet that had ended asks nothing of its run")
}

// Wherever the bridge was when it died, it goes on there.
func TestRetentionGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	w, owner := keeper(t)
	w.start()
	old := w.backup(owner, "b0", "path/0")
	w.backup(owner, "b1", "path/1")
	w.backup(owner, "b2", "path/2")
	prune := w.prune(old)
	w.advance(prune, begin)
	w.stop()
	w.advance(prune, leaves(""))
	w.start()
	w.gone(old)
	w.gone(prune)
	assert.ElementsMatch(t, []string{"b1", "b2"}, w.names())

	// It died between the two deletions, and meanwhile the trigger was deleted.
	third := w.backup(owner, "b3", "path/3")
	prune = w.prune(&kanister.ActionSet{ObjectMeta: metav1.ObjectMeta{Name: "b1"}})
	w.advance(prune, begin)
	w.stop()
	w.advance(prune, leaves(""))
	require.NoError(t, w.clients.ActionSets(w.namespace).Delete(t.Context(), "b1", metav1.DeleteOptions{}))
	require.NoError(t, w.clients.ActionTriggers(w.namespace).Delete(t.Context(), "nightly", metav1.DeleteOptions{}))
	w.start()
	w.gone(prune)
	assert.ElementsMatch(t, []string{"b2", third.Name}, w.names(), "what it made stays when the trigger is gone")
}

// Data that a restore is given wait for its end.
func TestRetentionWaitsForARestore(t *testing.T) {
	t.Parallel()
	w, owner := keeper(t)
	w.start()
	old := w.backup(owner, "b0", "path/0")
	restore, err := w.clients.ActionSets(w.namespace).Create(t.Context(), &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Name: "restore"},
		Spec: &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{
			Name: "restore", Blueprint: "bp", Object: kanister.ObjectReference{Kind: "Namespace", Name: w.namespace},
			Artifacts: map[string]kanister.Artifact{"from": {KeyValue: map[string]string{"path": "path/0"}}},
		}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	w.advance(restore, begin)
	w.backup(owner, "b1", "path/1")
	w.backup(owner, "b2", "path/2")
	assert.Contains(t, w.said("nightly", retention.Condition, "InUse").Message, "restore")
	assert.Nil(t, w.pruneOf(old))
	w.advance(restore, leaves(""))
	w.prune(old)
	assert.Contains(t, w.names(), "restore")
}

// Why nothing is removed is told, and once it can be it is.
func TestRetentionSaysWhyNot(t *testing.T) {
	t.Parallel()
	w, owner := keeper(t)
	bps := w.clients.Blueprints(w.namespace)
	require.NoError(t, bps.Delete(t.Context(), "bp", metav1.DeleteOptions{}))
	w.start()
	old := w.backup(owner, "b0", "path/shared")
	w.backup(owner, "b1", "path/1")
	w.backup(owner, "b2", "path/2")
	assert.Contains(t, w.said("nightly", retention.Condition, "BlueprintNotFound").Message, `"bp"`)
	w.blueprint("bp", "backup", "purge")
	assert.Contains(t, w.said("nightly", retention.Condition, "NoDeleteAction").Message, `"delete"`)

	keep := func(patch string) {
		_, err := w.clients.ActionTriggers(w.namespace).Patch(t.Context(), "nightly", types.MergePatchType, []byte(`{"spec":`+patch+`}`), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	keep(`{"suspend":true,"keep":{"action":"purge"}}`)
	w.said("nightly", retention.Condition, "Suspended")
	keep(`{"suspend":false,"keep":{"timeZone":"Mars/Olympus"}}`)
	assert.Contains(t, w.said("nightly", retention.Condition, "Invalid").Message, "Mars/Olympus")

	// What somebody made by hand has the data too.
	elsewhere := w.create("by-hand")
	w.advance(elsewhere, begin)
	w.advance(elsewhere, leaves("path/shared"))
	w.status(elsewhere, kanister.StateComplete)
	require.Nil(t, w.pruneOf(old))
	keep(`{"keep":{"timeZone":null}}`)
	w.gone(old)
	assert.Empty(t, func() (prunes []string) {
		for _, name := range w.names() {
			if strings.Contains(name, "-prune-") {
				prunes = append(prunes, name)
			}
		}
		return prunes
	}(), "by-hand is newer and tells of the data, so only the ActionSet went")

	keep(`{"keep":null}`)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		found, err := w.clients.ActionTriggers(w.namespace).Get(t.Context(), "nightly", metav1.GetOptions{})
		if assert.NoError(c, err) {
			assert.Nil(c, meta.FindStatusCondition(found.Status.Conditions, retention.Condition))
		}
	}, patience, tick)
	assert.ElementsMatch(t, []string{"b1", "b2", "by-hand"}, w.names())
}

// An ActionSet that only pretends to have removed the data removes nothing, and a
// trigger that was made again does not own what the old one made.
func TestRetentionIsNotFooled(t *testing.T) {
	t.Parallel()
	w, owner := keeper(t)
	w.start()
	only := w.backup(owner, "b0", "path/0")
	forged, err := w.clients.ActionSets(w.namespace).Create(t.Context(), &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: "forged", Labels: map[string]string{salvor.LabelPrunes: "b0"},
			Annotations: map[string]string{
				salvor.AnnotationTriggerUID: string(owner.UID), salvor.AnnotationPrunes: "b0/" + string(only.UID), salvor.AnnotationPruneAttempt: "1",
			},
		},
		Spec: &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{
			Name: "noop", Blueprint: "bp", Object: kanister.ObjectReference{Kind: "Namespace", Name: w.namespace},
		}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	w.advance(forged, begin)
	w.advance(forged, leaves(""))
	assert.Contains(t, w.said("nightly", retention.Condition, "PruneRefused").Message, "forged")
	assert.ElementsMatch(t, []string{"b0", "forged"}, w.names())

	require.NoError(t, w.clients.ActionSets(w.namespace).Delete(t.Context(), "forged", metav1.DeleteOptions{}))
	require.NoError(t, w.clients.ActionTriggers(w.namespace).Delete(t.Context(), "nightly", metav1.DeleteOptions{}))
	again := w.trigger("nightly", "t.a", func(t *salvor.ActionTrigger) { t.Spec.Keep = &salvor.Retention{Count: new(int32(1))} })
	w.backup(again, "n0", "new/0")
	first := w.backup(again, "n1", "new/1")
	w.prune(&kanister.ActionSet{ObjectMeta: metav1.ObjectMeta{Name: "n0"}})
	assert.Nil(t, w.pruneOf(only))
	assert.Nil(t, w.pruneOf(first))
}

// Without the right to delete, the condition says what is missing.
func TestRetentionWithoutTheRight(t *testing.T) {
	t.Parallel()
	w, owner := keeper(t)
	w.user = "system:serviceaccount:" + w.namespace + ":bridge"
	rules := []rbacv1.PolicyRule{
		{APIGroups: []string{kanister.GroupName}, Resources: []string{"actionsets"}, Verbs: []string{"get", "list", "watch", "create"}},
		{APIGroups: []string{kanister.GroupName}, Resources: []string{"actionsets/status"}, Verbs: []string{"patch"}},
		{APIGroups: []string{kanister.GroupName}, Resources: []string{"blueprints"}, Verbs: []string{"get"}},
		{APIGroups: []string{salvor.GroupName}, Resources: []string{"actiontriggers"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{salvor.GroupName}, Resources: []string{"actiontriggers/status"}, Verbs: []string{"patch"}},
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
	}
	grant(t, w, rules)
	w.start()
	old := w.backup(owner, "b0", "") // without artifacts there is nothing to run
	w.backup(owner, "b1", "")
	w.backup(owner, "b2", "")
	assert.Contains(t, w.said("nightly", retention.Condition, "PruneRefused").Message, "delete on actionsets.cr.kanister.io")
	rules[0].Verbs = append(rules[0].Verbs, "delete")
	_, err := w.clients.Kube.RbacV1().Roles(w.namespace).Update(t.Context(),
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "bridge"}, Rules: rules}, metav1.UpdateOptions{})
	require.NoError(t, err)
	w.gone(old)
	w.said("nightly", retention.Condition, "Keeping")
}

// The whole way: events make ActionSets, of which the trigger keeps one for each key.
func TestRetentionOfWhatEventsMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.blueprint("bp", "backup", "delete")
	w.trigger("nightly", "t.a", func(t *salvor.ActionTrigger) {
		t.Spec.Keep, t.Spec.Key = &salvor.Retention{Count: new(int32(1))}, "{{ .Event.id | trunc 1 }}"
	})
	w.start()
	w.ready("nightly", "Watching")
	for _, id := range []string{"a1", "a2", "b1"} {
		w.send("/events/"+w.namespace, id, "t.a")
	}
	require.Eventually(t, func() bool { return len(w.actionSets()) == 3 }, patience, tick)
	for _, as := range w.actionSets() {
		w.advance(&as, begin)
		w.advance(&as, leaves("path/"+as.Name))
	}
	require.Eventually(t, func() bool { return len(w.actionSets()) == 4 }, patience, tick, "one is pruned")
	for _, as := range w.actionSets() {
		if as.Labels[salvor.LabelPrunes] != "" {
			w.advance(&as, begin)
			w.advance(&as, leaves(""))
		}
	}
	require.Eventually(t, func() bool { return len(w.actionSets()) == 2 }, patience, tick, "one is gone, and what removed its data")
	keys := map[byte]bool{}
	for _, as := range w.actionSets() {
		keys[as.Annotations[salvor.AnnotationEventID][0]] = true
	}
	assert.Equal(t, map[byte]bool{'a': true, 'b': true}, keys)
}
