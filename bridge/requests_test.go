package bridge_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge"
	"github.com/salvor-io/salvor/internal/stream"
)

// mark sets annotations and labels; nil removes one.
func (w *world) mark(as *kanister.ActionSet, annotations, labels map[string]any) {
	w.t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations, "labels": labels}})
	require.NoError(w.t, err)
	_, err = w.clients.ActionSets(w.namespace).Patch(w.t.Context(), as.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	require.NoError(w.t, err)
}

func annotation(name string, value any) map[string]any { return map[string]any{name: value} }

// kinds waits until n requests were sent and returns their kinds.
func (w *world) kinds(n int) []event.ReportKind {
	w.t.Helper()
	var out []event.ReportKind
	require.EventuallyWithT(w.t, func(c *assert.CollectT) {
		out = nil
		for _, r := range w.reports() {
			out = append(out, r.Kind)
		}
		assert.Len(c, out, n)
	}, patience, tick)
	return out
}

// told waits for a Kubernetes Event on the ActionSet.
func (w *world) told(as *kanister.ActionSet, reason string) corev1.Event {
	w.t.Helper()
	var out corev1.Event
	require.EventuallyWithT(w.t, func(c *assert.CollectT) {
		events, err := w.clients.Kube.CoreV1().Events(w.namespace).List(w.t.Context(),
			metav1.ListOptions{FieldSelector: "involvedObject.uid=" + string(as.UID) + ",reason=" + reason})
		if assert.NoError(c, err) && assert.NotEmpty(c, events.Items, reason) {
			out = events.Items[0]
		}
	}, patience, tick)
	return out
}

func conditionOf(s *kanister.ActionSetStatus, typ string) *metav1.Condition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == typ {
			return &s.Conditions[i]
		}
	}
	return nil
}

// condition waits for a condition to have a status.
func (w *world) condition(as *kanister.ActionSet, typ string, want metav1.ConditionStatus) *metav1.Condition {
	w.t.Helper()
	var out *metav1.Condition
	require.EventuallyWithT(w.t, func(c *assert.CollectT) {
		found, err := w.clients.ActionSets(w.namespace).Get(w.t.Context(), as.Name, metav1.GetOptions{})
		if assert.NoError(c, err) && assert.NotNil(c, found.Status) {
			if out = conditionOf(found.Status, typ); assert.NotNil(c, out, typ) {
				assert.Equal(c, want, out.Status)
			}
		}
	}, patience, tick)
	return out
}

// An annotation pauses, its removal resumes, another cancels; what the run says
// becomes conditions and Kubernetes Events.
func TestPauseResumeCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	as := w.create("asks")
	w.advance(as, begin)
	w.status(as, kanister.StateRunning)
	w.mark(as, annotation(salvor.AnnotationPause, "audit"), nil)
	assert.Equal(t, []event.ReportKind{event.ReportPause}, w.kinds(1))
	pause := w.reports()[0]
	assert.Equal(t, "audit", pause.Reason)
	assert.Equal(t, event.Key{UID: string(as.UID), Namespace: w.namespace}, pause.Key)
	w.advance(as, func(r *event.Run, _ *event.Action) { r.Pause = &event.Pause{Reason: pause.Reason, At: pause.At} })
	assert.Equal(t, "audit", w.condition(as, "Paused", metav1.ConditionTrue).Message)
	w.told(as, "Paused")
	w.mark(as, nil, map[string]any{"seen": "again"}) // looked at once more: nothing is due

	w.mark(as, annotation(salvor.AnnotationPause, nil), nil)
	assert.Equal(t, []event.ReportKind{event.ReportPause, event.ReportResume}, w.kinds(2))
	w.advance(as, func(r *event.Run, _ *event.Action) { r.Pause = nil })
	w.told(as, "Resumed")

	w.mark(as, annotation(salvor.AnnotationCancel, "wrong object"), nil)
	assert.Equal(t, []event.ReportKind{event.ReportPause, event.ReportResume, event.ReportCancel}, w.kinds(3))
	cancel := w.reports()[2]
	assert.Equal(t, "wrong object", cancel.Reason)
	w.advance(as, func(r *event.Run, a *event.Action) {
		r.Cancel = &event.Cancel{Reason: cancel.Reason, At: cancel.At}
		r.State, a.State, a.Phases[0].State = event.StateCancelled, event.StateCancelled, event.StateCancelled
	})
	assert.Equal(t, "cancelled: wrong object", w.status(as, kanister.StateFailed).Error.Message)
	assert.Len(t, w.reports(), 3)
}

// What was asked for while the bridge was away, or was lost on its way, is asked
// for at its start.
func TestRequestsAreMadeUpFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	as, held := w.create("as"), w.create("held")
	w.advance(as, begin)
	w.advance(held, begin)
	w.status(as, kanister.StateRunning)
	w.status(held, kanister.StateRunning)
	w.stop()
	w.mark(as, annotation(salvor.AnnotationPause, ""), nil)
	w.advance(held, func(r *event.Run, _ *event.Action) { r.Pause = &event.Pause{Reason: "x", At: time.Now()} })
	w.start()
	assert.ElementsMatch(t, []event.ReportKind{event.ReportPause, event.ReportResume}, w.kinds(2))
	// Nobody took the requests: they are sent again after another start.
	w.stop()
	w.start()
	w.kinds(4)
}

func TestPausedFromTheFirstMoment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	as, err := w.clients.ActionSets(w.namespace).Create(t.Context(), &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Name: "later", Annotations: map[string]string{
			salvor.AnnotationPause: "until tonight", "salvor.io/attempts": "3",
		}},
		Spec: &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{Name: "backup", Blueprint: "bp"}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	run, revision := w.run(as)
	assert.EqualValues(t, 1, revision)
	require.NotNil(t, run.Pause)
	assert.Equal(t, "until tonight", run.Pause.Reason)
	assert.Equal(t, map[string]string{"salvor.io/attempts": "3"}, run.Annotations)
	assert.Equal(t, "until tonight", w.condition(as, "Paused", metav1.ConditionTrue).Message)
	assert.Empty(t, w.reports())
}

// One that is cancelled as it is created never begins.
func TestCancelledBeforeItBegan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	as, err := w.clients.ActionSets(w.namespace).Create(t.Context(), &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Name: "never", Annotations: map[string]string{salvor.AnnotationCancel: "thought better"}},
		Spec:       &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{Name: "backup", Blueprint: "bp"}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	assert.Equal(t, "cancelled: thought better", w.status(as, kanister.StateFailed).Error.Message)
	_, _, err = w.runs.Get(t.Context(), w.namespace, string(as.UID))
	require.ErrorIs(t, err, stream.ErrNotFound)
}

func fail(r *event.Run, a *event.Action) {
	now := time.Now()
	f := &event.Failure{Reason: event.ReasonPodFailed, Message: "disk full"}
	a.Phases[0].State, a.Phases[0].EndedAt, a.Phases[0].Failure = event.StateFailed, &now, f
	a.State, a.EndedAt, a.Failure, r.State, r.Failure = event.StateFailed, &now, f, event.StateFailed, f
}

// goOn is what the dispatcher does with a granted retry.
func goOn(token string, round int) func(r *event.Run, a *event.Action) {
	return func(r *event.Run, a *event.Action) {
		r.State, r.Failure, r.Retry = event.StateRunning, nil, &event.Retry{Token: token, Round: round, At: time.Now()}
		a.State, a.Failure, a.EndedAt = event.StateRunning, nil, nil
		a.Phases[0].State, a.Phases[0].Failure, a.Phases[0].Base = event.StatePending, nil, 1
	}
}

// A label makes a failed run go on: the status says running over failed, the
// ActionSet is watched again, its deletion cancels the run, and a second end is
// told. All of that holds over a restart in between.
func TestRetry(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"in one life": false, "with restarts": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil).start()
			again := func() {
				if restart {
					w.stop()
					w.start()
				}
			}
			as := w.create("fails")
			w.advance(as, begin)
			w.advance(as, fail)
			w.status(as, kanister.StateFailed)
			w.told(as, "ActionSetFailed")
			again()
			w.mark(as, nil, annotation(salvor.LabelRetry, "t1"))
			w.kinds(1)
			assert.Equal(t, event.ReportRetry, w.reports()[0].Kind)
			assert.Equal(t, "t1", w.reports()[0].Token)
			w.advance(as, goOn("t1", 1))
			running := w.status(as, kanister.StateRunning)
			assert.Empty(t, running.Error.Message)
			assert.Equal(t, "token t1: the run goes on where it ended, round 1", w.condition(as, "Retried", metav1.ConditionTrue).Message)
			w.told(as, "Retried")
			again()

			w.advance(as, func(r *event.Run, a *event.Action) { a.Phases[0].State = event.StateRunning; finish(r, a) })
			w.status(as, kanister.StateComplete)
			w.told(as, "ActionSetComplete")
			again()
			other := w.create("other")
			w.run(other)
			assert.Len(t, w.reports(), 1, "the token was granted; nothing more is asked")

			w.mark(as, nil, annotation(salvor.LabelRetry, "t2"))
			assert.Contains(t, w.condition(as, "Retried", metav1.ConditionFalse).Message, "token t2: the run is complete")
			w.told(as, "RetryRefused")
			assert.Equal(t, kanister.StateComplete, w.status(as, kanister.StateComplete).State)
			again()
			assert.Len(t, w.reports(), 1)
		})
	}
}

// The deletion of an ActionSet whose run goes on after a retry cancels the run.
func TestDeletionAfterRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	as := w.create("fails")
	w.advance(as, begin)
	w.advance(as, fail)
	w.status(as, kanister.StateFailed)
	w.mark(as, nil, annotation(salvor.LabelRetry, "t1"))
	w.kinds(1)
	w.advance(as, goOn("t1", 1))
	w.status(as, kanister.StateRunning)
	require.NoError(t, w.clients.ActionSets(w.namespace).Delete(t.Context(), as.Name, metav1.DeleteOptions{}))
	assert.Equal(t, []event.ReportKind{event.ReportRetry, event.ReportCancel}, w.kinds(2))
}

// A run that was retried and ended while nobody could write its status is found
// after a restart, although ended ActionSets are not watched.
func TestSecondEndWhileAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	as := w.create("fails")
	w.advance(as, begin)
	w.advance(as, fail)
	w.status(as, kanister.StateFailed)
	w.mark(as, nil, annotation(salvor.LabelRetry, "t1"))
	w.kinds(1)
	w.stop()
	w.advance(as, goOn("t1", 1))
	w.advance(as, func(r *event.Run, a *event.Action) { a.Phases[0].State = event.StateRunning; finish(r, a) })
	w.mark(as, nil, annotation(salvor.LabelRetry, nil)) // not even the label tells of it
	w.start()
	w.status(as, kanister.StateComplete)
}

// A retry that cannot be granted is answered with what to do instead.
func TestRetryIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	swept, cancelled, foreign := w.create("swept"), w.create("cancelled"), w.create("foreign")
	w.advance(swept, begin)
	w.advance(swept, fail)
	w.status(swept, kanister.StateFailed)
	require.NoError(t, w.runs.Delete(t.Context(), w.namespace, string(swept.UID)))
	w.mark(swept, nil, annotation(salvor.LabelRetry, "t1"))
	answer := w.condition(swept, "Retried", metav1.ConditionFalse)
	assert.Contains(t, answer.Message, "token t1: nothing is kept of this run")
	assert.Contains(t, answer.Message, "create the ActionSet anew")
	assert.Contains(t, w.told(swept, "RetryRefused").Message, "create the ActionSet anew")
	assert.Contains(t, w.status(swept, kanister.StateFailed).Error.Message, "disk full", "the rest of the status is left as it is")

	w.advance(cancelled, begin)
	w.advance(cancelled, fail)
	w.status(cancelled, kanister.StateFailed)
	w.mark(cancelled, annotation(salvor.AnnotationCancel, "x"), annotation(salvor.LabelRetry, "t1"))
	assert.Contains(t, w.condition(cancelled, "Retried", metav1.ConditionFalse).Message, "salvor.io/cancel is still there")
	w.mark(cancelled, annotation(salvor.AnnotationCancel, nil), annotation(salvor.LabelRetry, "t2"))
	w.kinds(1)
	assert.Equal(t, "t2", w.reports()[0].Token)

	w.stop()
	require.NoError(t, w.runs.Delete(t.Context(), w.namespace, string(foreign.UID)))
	require.NoError(t, w.clients.ActionSets(w.namespace).Delete(t.Context(), foreign.Name, metav1.DeleteOptions{}))
	foreign = w.create("foreign")
	_, err := w.clients.ActionSets(w.namespace).Patch(t.Context(), foreign.Name, types.MergePatchType,
		[]byte(`{"status":{"state":"failed"}}`), metav1.PatchOptions{FieldManager: "controller"}, "status")
	require.NoError(t, err)
	w.mark(foreign, nil, annotation(salvor.LabelRetry, "t1"))
	w.start()
	assert.Contains(t, w.told(foreign, "RetryRefused").Message, "Salvor has not run this ActionSet")
	assert.Nil(t, conditionOf(w.status(foreign, kanister.StateFailed), "Retried"), "another engine's status is not ours to write")
}

// wipe loses the whole store of JetStream and makes an empty one.
func (w *world) wipe() {
	w.t.Helper()
	for _, name := range []string{event.StreamRuns, event.StreamReports, event.StreamJobs, event.StreamEvents, event.StreamTimers, event.StreamDLQ} {
		require.NoError(w.t, w.js.DeleteStream(w.t.Context(), name))
	}
	require.NoError(w.t, stream.Ensure(context.WithoutCancel(w.t.Context()), w.js, stream.DefaultSettings()))
}

// The store is wiped under a fleet in mixed states. A new bridge makes each run
// anew with what its status says, and those that had ended stay ended.
func TestStoreWiped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *bridge.Options) { o.StatusInterval = 50 * time.Millisecond }).start()
	waiting, half, done, failed := w.create("waiting"), w.create("half"), w.create("done"), w.create("failed")
	w.status(waiting, kanister.StatePending)
	w.advance(half, func(r *event.Run, a *event.Action) {
		begin(r, a)
		finish(r, a)
		r.State, a.State, a.EndedAt = event.StateRunning, event.StateRunning, nil
		a.Phases = append(a.Phases, event.Phase{Name: "upload", Func: "KubeTask", State: event.StateRunning, Attempt: 1, StartedAt: a.StartedAt})
	})
	w.advance(done, begin)
	w.advance(done, finish)
	w.advance(failed, begin)
	w.advance(failed, fail)
	w.status(half, kanister.StateRunning)
	w.status(done, kanister.StateComplete)
	w.status(failed, kanister.StateFailed)
	w.stop()
	w.wipe()
	w.start()

	run, _ := w.run(half)
	assert.Equal(t, event.StatePending, run.State)
	recovered := run.Actions[0].Recovered
	require.NotNil(t, recovered)
	require.Len(t, recovered.Phases, 2)
	assert.Equal(t, kanister.StateComplete, recovered.Phases[0].State)
	assert.Equal(t, "a/b", recovered.Phases[0].Output["path"], "outputs are taken over whole")
	assert.Equal(t, kanister.StateRunning, recovered.Phases[1].State)
	assert.Contains(t, w.told(half, "RunRecovered").Message, "1 of 2 phases complete")
	w.condition(half, "Recovered", metav1.ConditionTrue)
	run, _ = w.run(waiting)
	require.NotNil(t, run.Actions[0].Recovered)
	assert.Empty(t, run.Actions[0].Recovered.Phases)
	for _, as := range []*kanister.ActionSet{done, failed} {
		_, _, err := w.runs.Get(t.Context(), w.namespace, string(as.UID))
		require.ErrorIs(t, err, stream.ErrNotFound, as.Name)
	}
	// And it goes on to its end.
	w.advance(half, func(r *event.Run, a *event.Action) { begin(r, a); a.Recovered = nil })
	w.status(half, kanister.StateRunning)
	w.advance(half, finish)
	assert.NotNil(t, conditionOf(w.status(half, kanister.StateComplete), "Recovered"), "it stays when the run has forgotten it")
	w.mark(failed, nil, annotation(salvor.LabelRetry, "t"))
	assert.Contains(t, w.condition(failed, "Retried", metav1.ConditionFalse).Message, "create the ActionSet anew")
}

// Somebody deletes the record of a run that is under way, and nothing else: the next
// comparison finds out.
func TestARecordDeletedByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *bridge.Options) { o.Resync = time.Second }).start()
	as := w.create("half")
	w.advance(as, begin)
	w.status(as, kanister.StateRunning)
	require.NoError(t, w.runs.Delete(t.Context(), w.namespace, string(as.UID)))
	run, _ := w.run(as)
	assert.Equal(t, event.StatePending, run.State)
	require.NotNil(t, run.Actions[0].Recovered)
	assert.Equal(t, kanister.StateRunning, run.Actions[0].Recovered.Phases[0].State)
	w.told(as, "RunRecovered")
	w.advance(as, func(r *event.Run, a *event.Action) { begin(r, a); a.Recovered = nil })
	w.advance(as, finish)
	w.status(as, kanister.StateComplete)
	assert.Empty(t, w.reports())
}

// A run without an ActionSet is cancelled, also when the deletion was never seen.
func TestRunWithoutActionSet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	now := time.Now()
	_, err := stream.NewRuns(w.js, event.SourceBridge).Create(t.Context(), &event.Run{
		Version: event.RunVersion, UID: "7c0b2c4e-1111-4222-8333-944445555566", Namespace: w.namespace, Name: "nobody",
		CreatedAt: now, UpdatedAt: now, State: event.StatePending,
		Actions: []event.Action{{Spec: kanister.ActionSpec{Name: "backup", Blueprint: "bp"}, State: event.StatePending}},
	})
	require.NoError(t, err)
	w.start()
	assert.Equal(t, []event.ReportKind{event.ReportCancel}, w.kinds(1))
	assert.Equal(t, "ActionSet deleted", w.reports()[0].Reason)
}

// An ActionSet without a status that is older than records live, in a store that
// is older still, is not run: it may have been.
func TestPerhapsRunAlready(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *bridge.Options) { o.RunRetention = time.Second })
	since, err := w.runs.Since(t.Context())
	require.NoError(t, err)
	// The API server's times are whole seconds.
	require.Eventually(t, func() bool { return time.Since(since) > 1100*time.Millisecond }, patience, tick)
	as := w.create("old")
	require.Eventually(t, func() bool { return time.Since(as.CreationTimestamp.Time) > 2100*time.Millisecond }, patience, tick)
	w.start()
	message := w.status(as, kanister.StateFailed).Error.Message
	assert.Contains(t, message, "whether it was run meanwhile cannot be told")
	_, _, err = w.runs.Get(t.Context(), w.namespace, string(as.UID))
	require.ErrorIs(t, err, stream.ErrNotFound)
}

// The status of a run that is open was written over by somebody.
func TestOpenStatusIsRepaired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	as := w.create("open")
	w.advance(as, begin)
	w.status(as, kanister.StateRunning)
	w.stop()
	_, err := w.clients.ActionSets(w.namespace).Patch(t.Context(), as.Name, types.MergePatchType,
		[]byte(`{"status":{"state":"pending","actions":null}}`), metav1.PatchOptions{}, "status")
	require.NoError(t, err)
	w.start()
	w.status(as, kanister.StateRunning)
}
