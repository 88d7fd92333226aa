package frontdoor

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

const plain = `
spec:
  when: {event: {filters: [{exact: {type: com.example.frontdoor}}]}}
  template:
    spec: {actions: [{name: backup, blueprint: none, object: {kind: Namespace, name: none}}]}
`

const coalesced = `
spec:
  when: {event: {filters: [{exact: {type: com.example.frontdoor}}]}}
  key: '{{ .Event.subject }}'
  coalesce: 1s
  template:
    spec: {actions: [{name: backup, blueprint: none, object: {kind: Namespace, name: none}}]}
`

// TestEachEventMakesOneActionSet is the promise: exactly one each, whatever is killed.
func TestEachEventMakesOneActionSet(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.trigger(plain)
	stop := l.killing()
	l.sendAll()
	l.await(*events)
	stop()
	l.quiet()

	made := map[string]int{}
	for _, as := range l.actionSets() {
		made[as.Annotations[salvor.AnnotationEventID]]++
	}
	for n := range *events {
		assert.Equal(t, 1, made[eventID(n)], "ActionSets of event %s", eventID(n))
	}
	assert.Len(t, made, *events, "and of nothing else")
	assert.NotZero(t, l.kills, "the bridge was killed meanwhile")
	t.Logf("%d events, %d ActionSets, %d kills", *events, len(made), l.kills)
}

// TestCoalescedEventsAreCountedOnce: each event is part of one ActionSet, and there
// are fewer ActionSets by exactly those that joined another.
func TestCoalescedEventsAreCountedOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.trigger(coalesced)
	stop := l.killing()
	l.sendAll()
	stop()
	require.Eventually(t, l.ready, patience, 50*time.Millisecond)
	l.quiet()

	// What the bridge says of each event.
	members, last := map[string]int{}, map[string]string{}
	for n := range *events {
		run := l.outcome(eventID(n))
		require.Equal(t, event.ResultStarted, run.Result, "%s: %+v", eventID(n), run)
		members[run.ActionSet]++
		last[run.ActionSet] = subject(n)
	}
	// What the ActionSets say.
	made := l.actionSets()
	require.Len(t, made, len(members), "every ActionSet is that of some event")
	total := 0
	keyed := map[string]string{}
	for _, as := range made {
		count := 1
		if text := as.Annotations[salvor.AnnotationEvents]; text != "" {
			var err error
			count, err = strconv.Atoi(text)
			require.NoError(t, err)
		}
		assert.Equal(t, members[as.Name], count, "%s: as many events as it says", as.Name)
		total += count
		key := as.Labels[salvor.LabelTriggerKey]
		if other, ok := keyed[key]; ok {
			assert.Equal(t, other, last[as.Name], "one key, one subject")
		}
		keyed[key] = last[as.Name]
	}
	assert.Equal(t, *events, total, "each event is part of one ActionSet")
	assert.Len(t, keyed, keys)
	assert.Less(t, len(made), *events, "some were coalesced")
	assert.NotZero(t, l.kills, "the bridge was killed meanwhile")
	t.Logf("%d events in %d ActionSets, %d kills", total, len(made), l.kills)
}

// trigger creates the ActionTrigger, and lets the sender that signs fire it.
func (l *lab) trigger(text string) {
	l.t.Helper()
	var trigger salvor.ActionTrigger
	require.NoError(l.t, yaml.UnmarshalStrict([]byte(text), &trigger))
	trigger.Name = "frontdoor"
	_, err := l.clients.ActionTriggers(l.namespace).Create(l.t.Context(), &trigger, metav1.CreateOptions{})
	require.NoError(l.t, err)
	l.mayFire("frontdoor")
}

// mayFire lets the sender that signs fire triggers.
func (l *lab) mayFire(triggers ...string) {
	l.t.Helper()
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "fire"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"salvor.io"}, Resources: []string{"actiontriggers"}, ResourceNames: triggers, Verbs: []string{"fire"}}},
	}
	_, err := l.clients.Kube.RbacV1().Roles(l.namespace).Create(l.t.Context(), role, metav1.CreateOptions{})
	require.NoError(l.t, err)
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "fire"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "fire"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "salvor:hmac:" + signer}},
	}
	_, err = l.clients.Kube.RbacV1().RoleBindings(l.namespace).Create(l.t.Context(), binding, metav1.CreateOptions{})
	require.NoError(l.t, err)
}

func (l *lab) actionSets() []kanister.ActionSet {
	l.t.Helper()
	list, err := l.clients.ActionSets(l.namespace).List(l.t.Context(), metav1.ListOptions{})
	require.NoError(l.t, err)
	return list.Items
}

// await waits for a number of ActionSets.
func (l *lab) await(n int) {
	l.t.Helper()
	var got int
	if !assert.Eventually(l.t, func() bool {
		got = len(l.actionSets())
		return got >= n
	}, patience, 200*time.Millisecond, "%d ActionSets", n) {
		l.t.Logf("there are %d", got)
	}
}

// quiet waits until every message that somebody reads was read and acknowledged, and
// no gate holds anything.
func (l *lab) quiet() {
	l.t.Helper()
	var waits string
	if !assert.Eventually(l.t, func() bool {
		waits = l.pending(l.t.Context())
		return waits == ""
	}, patience, 200*time.Millisecond, "all is done") {
		l.t.Log(waits)
	}
}

// pending says what is not done.
func (l *lab) pending(ctx context.Context) string {
	for _, name := range []string{outside, event.StreamEvents} {
		stream, err := l.js.Stream(ctx, name)
		if err != nil {
			return err.Error()
		}
		consumers := stream.ListConsumers(ctx)
		seen := 0
		for info := range consumers.Info() {
			seen++
			if info.NumPending > 0 || info.NumAckPending > 0 {
				return name + "/" + info.Name + ": " + strconv.Itoa(info.NumAckPending) + " under way"
			}
		}
		if consumers.Err() != nil || seen == 0 {
			return name + " has no consumer that can be asked"
		}
	}
	return l.gates(ctx)
}

// gates looks whether a window waits or an ActionSet is being started.
func (l *lab) gates(ctx context.Context) string {
	bucket, err := l.js.KeyValue(ctx, event.BucketTriggers)
	if err != nil {
		return err.Error()
	}
	lister, err := bucket.ListKeys(ctx)
	if err != nil {
		return err.Error()
	}
	for key := range lister.Keys() {
		entry, err := bucket.Get(ctx, key)
		if err != nil {
			return err.Error()
		}
		var state struct {
			Window   json.RawMessage `json:"window"`
			Starting json.RawMessage `json:"starting"`
		}
		_ = json.Unmarshal(entry.Value(), &state)
		if len(state.Window) > 0 || len(state.Starting) > 0 {
			return key + " holds " + string(entry.Value())
		}
	}
	return ""
}

// outcome asks the bridge what became of an event: as the sender with an identity, who
// is told of its own events and of those that nobody was asked about.
func (l *lab) outcome(id string) event.OutcomeRun {
	l.t.Helper()
	query := url.Values{"source": {source}, "id": {id}}
	var outcome event.Outcome
	require.Eventually(l.t, func() bool {
		request, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, l.url+"/outcome?"+query.Encode(), http.NoBody)
		require.NoError(l.t, err)
		request.Header = signed([]byte(query.Encode()))
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		return response.StatusCode == http.StatusOK && json.NewDecoder(response.Body).Decode(&outcome) == nil
	}, patience, 100*time.Millisecond, "what became of %s", id)
	require.Len(l.t, outcome.Runs, 1, id)
	return outcome.Runs[0]
}
