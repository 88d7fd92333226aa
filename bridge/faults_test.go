package bridge_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset/typed/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/kubetest"
)

// ownServer is an API server that a test may break.
func ownServer(t *testing.T) *kubetest.Server {
	t.Helper()
	own := kubetest.Start(t)
	own.InstallCRDs(t, crds)
	return own
}

// The API server is down for ten minutes, by the bridge's clock, in which a run
// ends and another begins to be watched: what is owed is written when it is back.
func TestAPIServerDownTenMinutes(t *testing.T) {
	t.Parallel()
	own := ownServer(t)
	w := newWorldOn(t, own, nil)
	fake := clocktesting.NewFakeClock(time.Now())
	w.clock = fake
	w.start()
	as := w.create("patient")
	w.advance(as, begin)
	w.status(as, kanister.StateRunning)

	own.KillAPI(t)
	patches := w.counts.patches.Load()
	w.advance(as, finish)
	for range 10 * 60 / 15 {
		fake.Step(15 * time.Second)
		w.runs.Get(t.Context(), w.namespace, string(as.UID)) //nolint:errcheck // lets the bridge's workers have the processor
	}
	require.Eventually(t, func() bool { fake.Step(15 * time.Second); return w.counts.patches.Load()-patches > 10 }, patience, tick)
	assert.Less(t, w.counts.patches.Load()-patches, int64(200), "it is tried again with pauses")
	own.StartAPI(t)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		fake.Step(15 * time.Second)
		found, err := w.clients.ActionSets(w.namespace).Get(t.Context(), as.Name, metav1.GetOptions{})
		if assert.NoError(c, err) && assert.NotNil(c, found.Status) {
			assert.Equal(c, kanister.StateComplete, found.Status.State)
		}
	}, patience, tick)
	after := w.create("after")
	require.Eventually(t, func() bool {
		fake.Step(time.Second)
		_, _, err := w.runs.Get(t.Context(), w.namespace, string(after.UID))
		return err == nil
	}, 2*patience, tick, "the watch goes on")
	assert.Empty(t, w.reports(), "nothing was taken for deleted")
}

// The bridge's rights are taken away and given back.
func TestRightsRemovedAndGivenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.user = "bridge-" + w.namespace
	rules := []rbacv1.PolicyRule{
		{APIGroups: []string{"cr.kanister.io"}, Resources: []string{"actionsets"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{"cr.kanister.io"}, Resources: []string{"actionsets/status"}, Verbs: []string{"patch"}},
		{APIGroups: []string{"salvor.io"}, Resources: []string{"actiontriggers"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
	}
	_, err := w.clients.Kube.RbacV1().Roles(w.namespace).Create(t.Context(),
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "bridge"}, Rules: rules}, metav1.CreateOptions{})
	require.NoError(t, err)
	grant := func() {
		_, err := w.clients.Kube.RbacV1().RoleBindings(w.namespace).Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "bridge"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "bridge"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: w.user}},
		}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	grant()
	w.start()
	as := w.create("as")
	w.advance(as, begin)
	w.status(as, kanister.StateRunning)
	require.NoError(t, w.clients.Kube.RbacV1().RoleBindings(w.namespace).Delete(t.Context(), "bridge", metav1.DeleteOptions{}))
	patches := w.counts.patches.Load()
	require.Eventually(t, func() bool { // the authorizer hears of it a moment later
		w.advance(as, func(_ *event.Run, a *event.Action) {
			a.Phases[0].Progress = &kanister.PhaseProgress{SizeUploadedB: w.counts.patches.Load()}
		})
		return strings.Contains(w.log.String(), "forbidden")
	}, patience, 100*time.Millisecond)
	w.advance(as, finish)
	require.Eventually(t, func() bool { return w.counts.patches.Load() > patches+1 }, patience, tick)
	grant()
	w.status(as, kanister.StateComplete)
}

// The CRD is removed, which deletes all ActionSets, and made again. While it is
// missing nobody knows what became of them, so nothing is done; then the runs of
// those that are gone are cancelled, and new ones are served.
func TestCRDRemovedAndMadeAgain(t *testing.T) {
	t.Parallel()
	own := ownServer(t)
	w := newWorldOn(t, own, nil).start()
	as := w.create("as")
	w.advance(as, begin)
	w.status(as, kanister.StateRunning)
	client, err := apiextensions.NewForConfig(own.Config())
	require.NoError(t, err)
	const name = "actionsets.cr.kanister.io"
	require.NoError(t, client.CustomResourceDefinitions().Delete(t.Context(), name, metav1.DeleteOptions{}))
	require.Eventually(t, func() bool {
		_, err := client.CustomResourceDefinitions().Get(t.Context(), name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}, patience, tick)
	w.advance(as, finish) // a status that nobody can take now
	own.InstallCRDs(t, crds)
	var again *kanister.ActionSet
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		found, err := w.clients.ActionSets(w.namespace).Create(t.Context(), &kanister.ActionSet{
			ObjectMeta: metav1.ObjectMeta{Name: "as"},
			Spec:       &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{Name: "backup", Blueprint: "bp"}}},
		}, metav1.CreateOptions{})
		if assert.NoError(c, err) {
			again = found
		}
	}, patience, tick)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		_, _, err := w.runs.Get(t.Context(), w.namespace, string(again.UID))
		assert.NoError(c, err)
	}, 3*patience, tick, "the watch goes on")
	w.advance(again, begin)
	w.status(again, kanister.StateRunning)
}

// Others change the ActionSet all the time.
func TestConflictStorm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *bridgeOptions) { o.StatusInterval = 0 }).start()
	as := w.create("busy")
	ctx, stop := context.WithCancel(t.Context())
	var storm sync.WaitGroup
	for i := range 4 {
		storm.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				patch := fmt.Sprintf(`{"metadata":{"annotations":{"storm-%d":"%d"}}}`, i, n)
				_, _ = w.clients.ActionSets(w.namespace).Patch(ctx, as.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
			}
		})
	}
	w.advance(as, begin)
	for i := range 20 {
		w.advance(as, func(_ *event.Run, a *event.Action) {
			a.Phases[0].Progress = &kanister.PhaseProgress{SizeUploadedB: int64(i)}
		})
	}
	w.advance(as, finish)
	done := w.status(as, kanister.StateComplete)
	stop()
	storm.Wait()
	assert.Equal(t, "a/b", done.Actions[0].Artifacts["dump"].KeyValue["path"])
}

// etcd is restored from an older snapshot while the bridge works: ActionSets that
// went back are brought forward, the runs of those that vanished are cancelled,
// and what happens afterwards is seen, although resource versions went back.
func TestEtcdRestored(t *testing.T) {
	t.Parallel()
	own := ownServer(t)
	w := newWorldOn(t, own, func(o *bridgeOptions) { o.Resync = 2 * time.Second })
	fake := clocktesting.NewFakeClock(time.Now())
	w.clock = fake
	w.start()
	ended, open, unseen := w.create("ended"), w.create("open"), w.create("unseen")
	w.advance(ended, begin)
	w.status(ended, kanister.StateRunning)
	w.run(open)
	w.run(unseen)
	snapshot := own.Snapshot(t)

	step := func(done func() bool, what string) {
		t.Helper()
		require.Eventually(t, func() bool { fake.Step(5 * time.Second); return done() }, 3*patience, 50*time.Millisecond, what)
	}
	is := func(as *kanister.ActionSet, want kanister.State) func() bool {
		return func() bool {
			found, err := w.clients.ActionSets(w.namespace).Get(t.Context(), as.Name, metav1.GetOptions{})
			return err == nil && found.Status != nil && found.Status.State == want
		}
	}
	w.advance(ended, finish)
	w.advance(open, begin)
	step(is(ended, kanister.StateComplete), "complete before the loss")
	step(is(open, kanister.StateRunning), "running before the loss")
	vanished := w.create("vanished")
	step(func() bool {
		_, _, err := w.runs.Get(t.Context(), w.namespace, string(vanished.UID))
		return err == nil
	}, "seen before the loss")
	for i := range 100 { // so that the versions of the time before are far away
		w.mark(open, annotation("n", fmt.Sprint(i)), nil)
	}
	own.Restore(t, snapshot)

	step(is(ended, kanister.StateComplete), "ended, brought forward")
	step(is(open, kanister.StateRunning), "open, brought forward")
	step(func() bool {
		for _, r := range w.reports() {
			if r.Kind == event.ReportCancel && r.Key.UID == string(vanished.UID) {
				return true
			}
		}
		return false
	}, "the run of the vanished one is cancelled")
	after := w.create("after")
	step(func() bool {
		_, _, err := w.runs.Get(t.Context(), w.namespace, string(after.UID))
		return err == nil
	}, "the watch goes on")
	for _, r := range w.reports() {
		assert.Equal(t, string(vanished.UID), r.Key.UID, "no other run is asked for anything")
	}
	w.told(ended, "StatusRepaired")
	require.NoError(t, w.clients.ActionSets(w.namespace).Delete(t.Context(), open.Name, metav1.DeleteOptions{}))
	step(func() bool {
		for _, r := range w.reports() {
			if r.Key.UID == string(open.UID) {
				return true
			}
		}
		return false
	}, "a deletion is seen")
}
