package bridge_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/stream"
)

// publish stores an event as the ingress does.
func (w *world) publish(id, typ string, sender *event.Sender) {
	w.t.Helper()
	_, err := stream.NewEvents(w.js).PublishFrom(w.t.Context(), w.namespace, again(w.t, id, typ), sender)
	require.NoError(w.t, err)
}

// decision waits for what became of an event, windows followed to their end.
func (w *world) decision(id string) event.TriggerDecision {
	w.t.Helper()
	return w.decisionFor(id, "")
}

// decisionFor is decision for an event of a sender.
func (w *world) decisionFor(id, sender string) event.TriggerDecision {
	w.t.Helper()
	var out event.TriggerDecision
	outcomes := stream.NewOutcomes(w.js)
	require.EventuallyWithT(w.t, func(c *assert.CollectT) {
		d, _, err := outcomes.Decision(w.t.Context(), w.namespace, "/shop", id, sender)
		if !assert.NoError(c, err) || !assert.Len(c, d.Triggers, 1) {
			return
		}
		out = d.Triggers[0]
		if out.Result == event.ResultWaiting {
			found, _, err := outcomes.Window(w.t.Context(), out.Window)
			if assert.NoError(c, err) {
				out = *found
			}
		}
	}, patience, tick)
	return out
}

// waits says that an event waits still.
func (w *world) waits(id string) {
	w.t.Helper()
	outcomes := stream.NewOutcomes(w.js)
	require.EventuallyWithT(w.t, func(c *assert.CollectT) {
		d, _, err := outcomes.Decision(w.t.Context(), w.namespace, "/shop", id, "")
		if assert.NoError(c, err) && assert.Len(c, d.Triggers, 1) {
			assert.Equal(c, event.ResultWaiting, d.Triggers[0].Result)
			_, _, err = outcomes.Window(w.t.Context(), d.Triggers[0].Window)
			assert.ErrorIs(c, err, stream.ErrNotFound)
		}
	}, patience, tick)
}

// made waits until there are n ActionSets and returns them, oldest event first.
func (w *world) made(n int) []kanister.ActionSet {
	w.t.Helper()
	require.EventuallyWithT(w.t, func(c *assert.CollectT) { assert.Len(c, w.actionSets(), n) }, patience, tick)
	all := w.actionSets()
	number := func(as kanister.ActionSet) int {
		n, err := strconv.Atoi(as.Annotations[salvor.AnnotationEventID])
		require.NoError(w.t, err)
		return n
	}
	slices.SortFunc(all, func(a, b kanister.ActionSet) int { return number(a) - number(b) })
	return all
}

// ends lets a run end and tells it, as the dispatcher does.
func (w *world) ends(as *kanister.ActionSet, typ string) {
	w.t.Helper()
	w.advance(as, begin)
	w.advance(as, finish)
	w.status(as, kanister.StateComplete)
	w.tellEnd(as, typ)
}

func (w *world) tellEnd(as *kanister.ActionSet, typ string) {
	w.t.Helper()
	e, err := event.NewLifecycleEvent(typ, string(as.UID)+"."+typ, time.Now(), "", &event.Lifecycle{
		UID: string(as.UID), Namespace: as.Namespace, ActionSet: as.Name, State: event.StateComplete,
	})
	require.NoError(w.t, err)
	e.SetExtension(event.ExtChain, as.Annotations[salvor.AnnotationChain])
	_, err = stream.NewEvents(w.js).Publish(w.t.Context(), as.Namespace, e)
	require.NoError(w.t, err)
}

// found waits until the trigger's status is as wanted.
func (w *world) found(name string, want func(c *assert.CollectT, s *salvor.ActionTriggerStatus)) {
	w.t.Helper()
	require.EventuallyWithT(w.t, func(c *assert.CollectT) {
		found, err := w.clients.ActionTriggers(w.namespace).Get(w.t.Context(), name, metav1.GetOptions{})
		if assert.NoError(c, err) && assert.NotNil(c, found.Status.Counts) {
			want(c, &found.Status)
		}
	}, patience, tick)
}

func policy(p salvor.ConcurrencyPolicy) func(t *salvor.ActionTrigger) {
	return func(t *salvor.ActionTrigger) { t.Spec.Concurrency = p }
}

func events(as *kanister.ActionSet) int {
	if n, err := strconv.Atoi(as.Annotations[salvor.AnnotationEvents]); err == nil {
		return n
	}
	return 1
}

// steps lets the time of a bridge pass until ready, a little at a time.
func steps(t *testing.T, c *clocktesting.FakeClock, by time.Duration, ready func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		if ready() {
			return true
		}
		c.Step(by)
		return ready()
	}, patience, tick)
}

func (w *world) allSeen() bool {
	s, err := w.js.Stream(w.t.Context(), event.StreamEvents)
	require.NoError(w.t, err)
	for info := range s.ListConsumers(w.t.Context()).Info() {
		if s.CachedInfo().State.LastSeq != info.AckFloor.Stream {
			return false
		}
	}
	return true
}

// The acceptance: 10,000 matching events within a minute with coalesce 30s are at most
// three runs, the last one after the last event. The minute is a fake clock's.
func TestStormOfAMinute(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("10,000 events")
	}
	w := newWorld(t, nil)
	fake := clocktesting.NewFakeClock(time.Now())
	w.clock = fake
	w.start()
	w.trigger("storm", "t.a", func(t *salvor.ActionTrigger) { t.Spec.Coalesce = "30s" })
	require.Eventually(t, func() bool { fake.Step(time.Second); return w.reason("storm") == "Watching" }, patience, tick)
	const seconds, perSecond = 60, 167
	for second := range seconds {
		for i := range perSecond {
			w.publish(fmt.Sprint(second*perSecond+i+1), "t.a", nil)
		}
		require.Eventually(t, w.allSeen, patience, time.Millisecond)
		fake.Step(time.Second)
	}
	last := fmt.Sprint(seconds * perSecond)
	steps(t, fake, time.Second, func() bool {
		for _, as := range w.actionSets() {
			if as.Annotations[salvor.AnnotationEventID] == last {
				return true
			}
		}
		return false
	})
	all := w.actionSets()
	total := 0
	for i := range all {
		total += events(&all[i])
	}
	t.Logf("%d events, %d runs", total, len(all))
	assert.LessOrEqual(t, len(all), 3)
	assert.Equal(t, seconds*perSecond, total, "each event counts once")
	assert.Equal(t, event.ResultStarted, w.decision(last).Result)
}

func (w *world) reason(name string) string {
	found, err := w.clients.ActionTriggers(w.namespace).Get(w.t.Context(), name, metav1.GetOptions{})
	require.NoError(w.t, err)
	if ready := meta.FindStatusCondition(found.Status.Conditions, "Ready"); ready != nil {
		return ready.Reason
	}
	return ""
}

// What the storm in real time is like; the acceptance in full is
// -storm.events 10000 -storm.copies 1 -storm.coalesce 30s -storm.pause 600ms.
var (
	stormEvents   = flag.Int("storm.events", 2000, "events of the storm")
	stormCopies   = flag.Int("storm.copies", 3, "how often each is sent")
	stormCoalesce = flag.Duration("storm.coalesce", 3*time.Second, "the trigger's window")
	stormPause    = flag.Duration("storm.pause", 100*time.Millisecond, "pause after each hundred")
)

// The same in real time, and each event three times in random order: 2,000 events in
// the time of two windows. The bridge is restarted in the middle of a window.
func TestStormResentWithRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	w.trigger("storm", "t.a", func(t *salvor.ActionTrigger) { t.Spec.Coalesce = salvor.Duration(stormCoalesce.String()) })
	w.ready("storm", "Watching")
	n := *stormEvents
	order := make([]int, 0, *stormCopies*n)
	for i := range n {
		for range *stormCopies {
			order = append(order, i+1)
		}
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	// Half of them are addressed otherwise, so that the stream does not take them for
	// repetitions.
	begun := time.Now()
	for at, i := range order {
		if at == len(order)/3 {
			w.stop()
			w.start()
		}
		if at%100 == 0 {
			time.Sleep(*stormPause) // the pace of the storm: nothing waits for this
		}
		_, err := stream.NewEvents(w.js).Publish(t.Context(), []string{w.namespace, ""}[at%2], again(t, fmt.Sprint(i), "t.a"))
		require.NoError(t, err)
	}
	total := func() int {
		sum := 0
		for _, as := range w.actionSets() {
			sum += events(&as)
		}
		return sum
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Equal(c, n, total()) }, 3*patience+*stormCoalesce, 10*tick)
	w.drained()
	took := time.Since(begun) // a machine under load may see to the last events long after they were sent
	windows := int(took / *stormCoalesce) + 2
	t.Logf("%d events, each %d times, in %s: %d runs", n, *stormCopies, took.Round(time.Millisecond), len(w.actionSets()))
	if *stormCopies == 1 {
		made := slices.ContainsFunc(w.actionSets(), func(as kanister.ActionSet) bool {
			return as.Annotations[salvor.AnnotationEventID] == fmt.Sprint(order[len(order)-1])
		})
		assert.True(t, made, "a run is made from the last event")
	}
	assert.LessOrEqual(t, len(w.actionSets()), windows)
	assert.Equal(t, n, total())
}

// A window that was open, and had closed, while no bridge ran: what waited starts, made
// from the last event, once.
func TestWindowSurvivesARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	fake := clocktesting.NewFakeClock(time.Now())
	w.clock = fake
	w.start()
	w.trigger("t", "t.a", func(t *salvor.ActionTrigger) { t.Spec.Coalesce = "1h" })
	require.Eventually(t, func() bool { fake.Step(time.Second); return w.reason("t") == "Watching" }, patience, tick)
	w.publish("1", "t.a", nil)
	w.publish("2", "t.a", nil)
	w.waits("1")
	w.waits("2")
	w.stop()
	w.start()
	w.publish("3", "t.a", nil)
	w.waits("3")
	assert.Empty(t, w.actionSets())
	w.stop()
	fake.Step(2 * time.Hour)
	w.start()
	as := w.made(1)[0]
	assert.Equal(t, "3", as.Annotations[salvor.AnnotationEventID])
	assert.Equal(t, 3, events(&as))
	for _, id := range []string{"1", "2", "3"} {
		assert.Equal(t, as.Name, w.decision(id).ActionSet)
	}
}

// Forbid: an event that comes while an ActionSet runs is rejected and says so; after
// its end the next one starts, however the end becomes known.
func TestForbid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	w.trigger("t", "t.a", policy(salvor.ConcurrencyForbid))
	w.ready("t", "Watching")
	w.publish("1", "t.a", nil)
	first := w.made(1)[0]
	assert.Equal(t, first.Name, w.decision("1").ActionSet)
	w.publish("2", "t.a", nil)
	rejected := w.decision("2")
	assert.Equal(t, event.ResultRejected, rejected.Result)
	assert.Contains(t, rejected.Reason, first.Name)
	w.ends(&first, event.TypeRunCompleted)
	w.publish("3", "t.a", nil)
	second := w.made(2)[1]
	assert.Equal(t, "3", second.Annotations[salvor.AnnotationEventID])
	// Nobody tells of this end: the ActionSet is deleted.
	require.NoError(t, w.clients.ActionSets(w.namespace).Delete(t.Context(), second.Name, metav1.DeleteOptions{}))
	require.NoError(t, w.clients.ActionSets(w.namespace).Delete(t.Context(), first.Name, metav1.DeleteOptions{}))
	time.Sleep(time.Second) // an ActionSet that was just seen running counts as such for so long
	w.publish("4", "t.a", nil)
	assert.Equal(t, event.ResultStarted, w.decision("4").Result)
	w.found("t", func(c *assert.CollectT, s *salvor.ActionTriggerStatus) {
		assert.Equal(c, salvor.TriggerCounts{Matched: 4, Started: 3, Rejected: 1}, *s.Counts)
		if assert.Len(c, s.History, 4) {
			assert.Equal(c, "rejected", s.History[2].Result)
		}
	})
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		all, err := w.clients.Kube.CoreV1().Events(w.namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=EventRejected"})
		if assert.NoError(c, err) && assert.Len(c, all.Items, 1) {
			assert.Equal(c, "t", all.Items[0].InvolvedObject.Name)
		}
	}, patience, tick)
}

// Forbid with coalesce: events wait for the end, by key.
func TestForbidWaitsWithCoalesce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	w.trigger("t", "t.a", func(t *salvor.ActionTrigger) {
		t.Spec.Concurrency, t.Spec.Coalesce, t.Spec.Key = salvor.ConcurrencyForbid, "50ms", `{{ .Event.type }}`
		t.Spec.When.Event.Filters = []salvor.EventFilter{{Prefix: map[string]string{"type": "t."}}}
	})
	w.ready("t", "Watching")
	w.publish("1", "t.a", nil)
	first := w.made(1)[0]
	w.publish("2", "t.a", nil)
	w.publish("3", "t.a", nil)
	w.publish("4", "t.b", nil) // another key
	second := w.made(2)[1]
	assert.Equal(t, "4", second.Annotations[salvor.AnnotationEventID])
	assert.NotEqual(t, first.Labels[salvor.LabelTriggerKey], second.Labels[salvor.LabelTriggerKey])
	w.waits("3")
	w.ends(&first, event.TypeRunFailed)
	third := w.made(3)
	assert.Equal(t, "3", third[1].Annotations[salvor.AnnotationEventID])
	assert.Equal(t, 2, events(&third[1]))
	w.found("t", func(c *assert.CollectT, s *salvor.ActionTriggerStatus) {
		assert.Equal(c, salvor.TriggerCounts{Matched: 4, Started: 3, Coalesced: 1}, *s.Counts)
	})
}

// Replace: the one that runs is cancelled, and the newest event starts after its end.
func TestReplace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	w.trigger("t", "t.a", policy(salvor.ConcurrencyReplace))
	w.ready("t", "Watching")
	w.publish("1", "t.a", nil)
	first := w.made(1)[0]
	w.publish("2", "t.a", nil)
	w.publish("3", "t.a", nil)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		found, err := w.clients.ActionSets(w.namespace).Get(t.Context(), first.Name, metav1.GetOptions{})
		if assert.NoError(c, err) {
			assert.Contains(c, found.Annotations[salvor.AnnotationCancel], "ActionTrigger t")
		}
	}, patience, tick)
	w.waits("3")
	assert.Len(t, w.actionSets(), 1, "not before the end")
	w.tellEnd(&first, event.TypeRunCancelled)
	second := w.made(2)[1]
	assert.Equal(t, "3", second.Annotations[salvor.AnnotationEventID])
	assert.Equal(t, second.Name, w.decision("2").ActionSet)
}

// The rate limit: without coalesce an event above it is rejected; with it, it waits
// until there is room.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	fake := clocktesting.NewFakeClock(time.Now())
	w.clock = fake
	w.start()
	limited := func(t *salvor.ActionTrigger) { t.Spec.RateLimit = &salvor.RateLimit{Starts: 2, Per: "1h"} }
	w.trigger("reject", "t.a", limited)
	w.trigger("wait", "t.b", func(t *salvor.ActionTrigger) { limited(t); t.Spec.Coalesce = "1s" })
	for _, name := range []string{"reject", "wait"} {
		require.Eventually(t, func() bool { fake.Step(time.Second); return w.reason(name) == "Watching" }, patience, tick)
	}
	for _, id := range []string{"1", "2"} {
		w.publish(id, "t.a", nil)
		assert.Equal(t, event.ResultStarted, w.decision(id).Result)
	}
	w.publish("3", "t.a", nil)
	assert.Contains(t, w.decision("3").Reason, "rate limit")
	fake.Step(time.Hour)
	w.publish("4", "t.a", nil)
	assert.Equal(t, event.ResultStarted, w.decision("4").Result)

	for n, id := range []string{"5", "6"} {
		w.publish(id, "t.b", nil)
		w.waits(id)
		steps(t, fake, time.Second, func() bool { return len(w.actionSets()) == 4+n })
	}
	w.publish("7", "t.b", nil)
	w.waits("7")
	fake.Step(time.Minute)
	require.Eventually(t, func() bool {
		fake.Step(time.Second) // status writes are spaced
		found, err := w.clients.ActionTriggers(w.namespace).Get(t.Context(), "wait", metav1.GetOptions{})
		return err == nil && meta.IsStatusConditionTrue(found.Status.Conditions, "RateLimited")
	}, patience, tick)
	assert.Len(t, w.actionSets(), 5)
	steps(t, fake, time.Minute, func() bool { return len(w.actionSets()) == 6 })
	assert.Equal(t, event.ResultStarted, w.decision("7").Result)
}

// Chaining: the end of a backup starts its verification with its artifacts; the chain
// stops before it comes back to a trigger that is in it.
func TestChainAndLoop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	w.trigger("backup", "t.a", nil)
	w.trigger("verify", event.TypeRunCompleted, func(t *salvor.ActionTrigger) {
		t.Spec.Template.ArtifactsFrom = salvor.ArtifactsFromRun
		t.Spec.Template.Spec.Actions[0].Name = "verify"
	})
	w.ready("verify", "Watching")
	w.ready("backup", "Watching")
	w.publish("1", "t.a", nil)
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Len(c, w.actionSets(), 1) }, patience, tick)
	backup := w.actionSets()[0]
	w.advance(&backup, begin)
	w.tellEnd(&backup, event.TypeRunCompleted) // before the status says so: it is waited for
	w.advance(&backup, finish)
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Len(c, w.actionSets(), 2) }, patience, tick)
	verify := w.actionSets()[0]
	if verify.Name == backup.Name {
		verify = w.actionSets()[1]
	}
	assert.Equal(t, "verify", verify.Labels[salvor.LabelTrigger])
	assert.Equal(t, "a/b", verify.Spec.Actions[0].Artifacts["dump"].KeyValue["path"])
	assert.Equal(t, backup.Annotations[salvor.AnnotationChain]+","+verify.Annotations[salvor.AnnotationTriggerUID], verify.Annotations[salvor.AnnotationChain])

	w.ends(&verify, event.TypeRunCompleted)
	w.found("verify", func(c *assert.CollectT, s *salvor.ActionTriggerStatus) {
		condition := meta.FindStatusCondition(s.Conditions, "LoopDetected")
		if assert.NotNil(c, condition) {
			assert.Contains(c, condition.Message, "backup → verify → verify")
		}
		assert.EqualValues(c, 1, s.Counts.Rejected)
		assert.EqualValues(c, 1, s.Counts.Started)
	})
	w.drained()
	assert.Len(t, w.actionSets(), 2)
	// Who changes the trigger has seen to it.
	found, err := w.clients.ActionTriggers(w.namespace).Get(t.Context(), "verify", metav1.GetOptions{})
	require.NoError(t, err)
	found.Spec.Concurrency = salvor.ConcurrencyForbid
	_, err = w.clients.ActionTriggers(w.namespace).Update(t.Context(), found, metav1.UpdateOptions{})
	require.NoError(t, err)
	w.found("verify", func(c *assert.CollectT, s *salvor.ActionTriggerStatus) {
		assert.Nil(c, meta.FindStatusCondition(s.Conditions, "LoopDetected"))
	})
}

// Who may fire a trigger is the API server's to say.
func TestAuthorization(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	w.trigger("t", "t.a", nil)
	w.ready("t", "Watching")
	w.user = "alice"
	grant(t, w, []rbacv1.PolicyRule{{APIGroups: []string{salvor.GroupName}, Resources: []string{"actiontriggers"}, ResourceNames: []string{"t"}, Verbs: []string{"fire"}}})
	w.publish("1", "t.a", &event.Sender{User: "mallory", Groups: []string{"system:authenticated"}})
	refused := w.decisionFor("1", "mallory")
	assert.Equal(t, event.ResultForbidden, refused.Result)
	assert.Contains(t, refused.Reason, "mallory may not fire")
	w.publish("1", "t.a", &event.Sender{User: "alice"}) // the same event, from one who may
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Len(c, w.actionSets(), 1) }, patience, tick)
	w.drained()
	assert.Equal(t, event.ResultStarted, w.decisionFor("1", "alice").Result)
	assert.Equal(t, event.ResultForbidden, w.decisionFor("1", "mallory").Result, "each is told about its own event")
	w.found("t", func(c *assert.CollectT, s *salvor.ActionTriggerStatus) {
		assert.Equal(c, salvor.TriggerCounts{Matched: 2, Started: 1, Rejected: 1}, *s.Counts)
	})
}

// A trigger that can never fire says why, and disturbs no other. So does one whose
// template does not fit the event.
func TestInvalidTriggers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	w.trigger("invalid", "t.a", func(t *salvor.ActionTrigger) { t.Spec.Template.Spec.Actions[0].Blueprint = "{{ .Event.id }}" })
	w.trigger("unfit", "t.a", func(t *salvor.ActionTrigger) {
		t.Spec.Template.Metadata.Annotations = map[string]string{"x": "{{ .Event.nothing }}"}
	})
	w.trigger("good", "t.a", nil)
	found := w.ready("invalid", "Invalid")
	assert.Contains(t, meta.FindStatusCondition(found.Status.Conditions, "Ready").Message, "blueprint")
	w.ready("good", "Watching")
	w.ready("unfit", "Watching")
	w.publish("1", "t.a", nil)
	w.ready("unfit", "Template")
	w.drained()
	require.Len(t, w.actionSets(), 1)
	assert.Equal(t, "good", w.actionSets()[0].Labels[salvor.LabelTrigger])
	d, _, err := stream.NewOutcomes(w.js).Decision(t.Context(), w.namespace, "/shop", "1", "")
	require.NoError(t, err)
	results := map[string]event.Result{}
	for _, one := range d.Triggers {
		results[one.Trigger] = one.Result
	}
	assert.Equal(t, map[string]event.Result{"unfit": event.ResultRefused, "good": event.ResultStarted}, results)
}

// An event that nothing matches is decided on too.
func TestNothingMatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	w.publish("1", "t.a", nil)
	outcomes := stream.NewOutcomes(w.js)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		d, _, err := outcomes.Decision(t.Context(), w.namespace, "/shop", "1", "")
		if assert.NoError(c, err) {
			assert.Empty(c, d.Triggers)
		}
	}, patience, tick)
}

// A bridge does not say what becomes of an event that is for triggers it does not see:
// the one that does may not have come to it yet.
func TestForeignEventIsNotDecided(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *bridgeOptions) { o.Namespaces = []string{server.Namespace(t)} }).start()
	w.publish("1", "t.a", nil)
	w.drained()
	_, _, err := stream.NewOutcomes(w.js).Decision(t.Context(), w.namespace, "/shop", "1", "")
	assert.ErrorIs(t, err, stream.ErrNotFound)
}

// While the API server is away, events wait in records of their own, not among the
// deliveries that others wait behind; nothing is made twice when it is back.
func TestEventsAreParked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	w.trigger("t", "t.a", nil)
	w.ready("t", "Watching")
	w.counts.down.Store(true)
	for i := range 20 {
		w.publish(fmt.Sprint(i+1), "t.a", nil)
	}
	w.drained() // all are acknowledged though nothing could be made
	w.counts.down.Store(false)
	w.made(20)
	for i := range 20 {
		assert.Equal(t, event.ResultStarted, w.decision(fmt.Sprint(i+1)).Result)
	}
}

// A window whose trigger is deleted is closed, and those who wait for it are told.
func TestTriggerDeletedWhileEventsWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	w.trigger("t", "t.a", func(t *salvor.ActionTrigger) { t.Spec.Coalesce = "1h" })
	w.ready("t", "Watching")
	w.publish("1", "t.a", nil)
	w.waits("1")
	require.NoError(t, w.clients.ActionTriggers(w.namespace).Delete(t.Context(), "t", metav1.DeleteOptions{}))
	gone := w.decision("1")
	assert.Equal(t, event.ResultRejected, gone.Result)
	assert.Contains(t, gone.Reason, "deleted")
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		s, err := w.js.Stream(t.Context(), "KV_"+event.BucketTriggers)
		if assert.NoError(c, err) {
			assert.Zero(c, s.CachedInfo().State.Msgs)
		}
	}, patience, tick)
}

// A large event waits by reference.
func TestLargeEventWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	w.trigger("t", "t.a", func(t *salvor.ActionTrigger) {
		t.Spec.Coalesce = "100ms"
		t.Spec.Template.Metadata.Annotations = map[string]string{"x": "{{ len .Event.data.text }}"}
	})
	w.ready("t", "Watching")
	e := again(t, "1", "t.a")
	require.NoError(t, e.SetData(cloudevents.ApplicationJSON, map[string]string{"text": string(make([]byte, 100<<10))}))
	_, err := stream.NewEvents(w.js).Publish(t.Context(), w.namespace, e)
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprint(100<<10), w.made(1)[0].Annotations["x"])
}

// What others tell of a trigger is written, once a second, and none of it is lost.
func TestTellAndConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	w.trigger("t", "t.a", nil)
	w.ready("t", "Watching")
	for i := range 5 {
		w.publish(fmt.Sprint(i+1), "t.a", nil)
		// Somebody else writes in between.
		require.Eventually(t, func() bool {
			found, err := w.clients.ActionTriggers(w.namespace).Get(t.Context(), "t", metav1.GetOptions{})
			require.NoError(t, err)
			found.Labels = map[string]string{"n": fmt.Sprint(i)}
			_, err = w.clients.ActionTriggers(w.namespace).Update(t.Context(), found, metav1.UpdateOptions{})
			return err == nil
		}, patience, tick)
	}
	w.found("t", func(c *assert.CollectT, s *salvor.ActionTriggerStatus) {
		assert.Equal(c, salvor.TriggerCounts{Matched: 5, Started: 5}, *s.Counts)
		assert.Len(c, s.History, 5)
	})
}
