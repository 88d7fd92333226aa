package ingress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/bridge/status"
	"github.com/salvor-io/salvor/internal/stream"
)

// cluster holds ActionSets as the API server would; what it answers is the subject of
// bridge's own tests.
type cluster struct {
	mu    sync.Mutex
	sets  map[string]*kanister.ActionSet
	fault error
}

func (c *cluster) get(_ context.Context, namespace, name string) (*kanister.ActionSet, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fault != nil {
		return nil, c.fault
	}
	if found := c.sets[namespace+"/"+name]; found != nil {
		return found.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(kanister.ActionSets.GroupResource(), name)
}

func (c *cluster) put(name string, s *kanister.ActionSetStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sets == nil {
		c.sets = map[string]*kanister.ActionSet{}
	}
	c.sets["shop/"+name] = &kanister.ActionSet{Status: s}
}

func newOutcomes(t *testing.T, change func(*Config)) (*endpoint, *stream.Outcomes, *cluster) {
	t.Helper()
	objects := &cluster{}
	e := newEndpoint(t, func(c *Config) {
		c.Outcomes = &Outcomes{ActionSet: objects.get}
		if change != nil {
			change(c)
		}
	})
	store := stream.NewOutcomes(e.js)
	e.server.Outcomes.Decisions = store
	return e, store, objects
}

func decide(t *testing.T, store *stream.Outcomes, namespace, id string, triggers ...event.TriggerDecision) {
	t.Helper()
	require.NoError(t, store.Decide(t.Context(), &event.Decision{Namespace: namespace, Source: "/shop", ID: id, At: time.Now(), Triggers: triggers}))
}

func started(trigger, actionSet string) event.TriggerDecision {
	return event.TriggerDecision{Namespace: "shop", Trigger: trigger, Result: event.ResultStarted, ActionSet: actionSet}
}

func (e *endpoint) outcome(path string, header map[string]string) (int, http.Header, event.Outcome) {
	e.t.Helper()
	code, answer, body := e.send(http.MethodGet, path, header, "")
	var out event.Outcome
	if code == http.StatusOK {
		require.NoError(e.t, json.Unmarshal([]byte(body), &out))
	}
	return code, answer, out
}

// What became of an event is told trigger by trigger, with the ActionSets as they are
// now.
func TestOutcome(t *testing.T) {
	e, store, objects := newOutcomes(t, nil)
	code, _, body := e.send(http.MethodGet, "/events/shop/outcome?source=/shop&id=1", nil, "")
	assert.Equal(t, http.StatusNotFound, code)
	assert.Contains(t, body, `"reason":"undecided"`)
	decide(t, store, "shop", "1")
	_, _, nothing := e.outcome("/events/shop/outcome?source=/shop&id=1", nil)
	assert.Equal(t, event.Outcome{Namespace: "shop", Source: "/shop", ID: "1", Runs: []event.OutcomeRun{}, Done: true}, nothing)
	code, _, _ = e.outcome("/events/outcome?source=/shop&id=1", nil)
	assert.Equal(t, http.StatusNotFound, code, "sent to a namespace is another event")

	window := event.WindowKey("uid", "", "/shop", "2")
	decide(t, store, "", "2", started("a", "a-1"), started("b", "b-1"),
		event.TriggerDecision{Namespace: "shop", Trigger: "c", Result: event.ResultWaiting, Window: window},
		event.TriggerDecision{Namespace: "shop", Trigger: "d", Result: event.ResultRejected, Reason: "one runs"})
	objects.put("a-1", nil)
	const path = "/events/outcome?source=%2Fshop&id=2"
	look := func() (bool, map[string]string) {
		_, _, out := e.outcome(path, nil)
		states := map[string]string{}
		for _, run := range out.Runs {
			states[run.Trigger] = string(run.Result) + "/" + run.State
		}
		return out.Done, states
	}
	done, states := look()
	assert.False(t, done)
	assert.Equal(t, map[string]string{"a": "started/pending", "b": "started/deleted", "c": "waiting/", "d": "rejected/"}, states)

	objects.put("a-1", &kanister.ActionSetStatus{State: kanister.StateRunning, Progress: kanister.ActionProgress{
		RunningPhase: "dump", PhaseProgress: kanister.PhaseProgress{PercentCompleted: "50"},
	}})
	_, _, out := e.outcome(path, nil)
	assert.Equal(t, []string{"running", "50", "dump"}, []string{out.Runs[0].State, out.Runs[0].Percent, out.Runs[0].Phase})

	settled := started("c", "c-1")
	require.NoError(t, store.Settle(t.Context(), window, &settled))
	objects.put("a-1", &kanister.ActionSetStatus{State: kanister.StateFailed, Error: kanister.Error{Message: "no space"}})
	objects.put("c-1", &kanister.ActionSetStatus{State: kanister.StateFailed, Conditions: []metav1.Condition{{Type: status.ConditionCancelled, Status: metav1.ConditionTrue}}})
	done, states = look()
	assert.True(t, done)
	assert.Equal(t, map[string]string{"a": "started/failed", "b": "started/deleted", "c": "started/cancelled", "d": "rejected/"}, states)
	_, _, out = e.outcome(path, nil)
	assert.Equal(t, "no space", out.Runs[0].Error)
	assert.Equal(t, window, out.Runs[2].Window)

	objects.fault = errors.New("secret address of the API server")
	code, answer, body := e.send(http.MethodGet, path, nil, "")
	assert.Equal(t, http.StatusServiceUnavailable, code)
	assert.NotEmpty(t, answer.Get("Retry-After"))
	assert.NotContains(t, body, "secret")
}

// Who waits is answered when something changes, and told 304 when nothing does.
func TestLongPoll(t *testing.T) {
	e, store, objects := newOutcomes(t, nil)
	const path = "/events/outcome?source=/shop&id=1"
	type answer struct {
		code int
		tag  string
		out  event.Outcome
	}
	ask := func(seconds int, known string) <-chan answer {
		answers := make(chan answer, 1)
		go func() {
			header := map[string]string{"Prefer": fmt.Sprintf("respond-async, wait=%d", seconds)}
			if known != "" {
				header["If-None-Match"] = known
			}
			code, h, out := e.outcome(path, header)
			assert.Equal(t, "wait", h.Get("Preference-Applied"))
			answers <- answer{code, h.Get("ETag"), out}
		}()
		return answers
	}
	undecided := ask(60, "")
	require.Eventually(t, func() bool { return testutil.ToFloat64(e.metrics.waiting) == 1 }, 3*time.Minute, time.Millisecond)
	objects.put("a-1", nil)
	decide(t, store, "", "1", started("a", "a-1"))
	first := <-undecided
	assert.Equal(t, http.StatusOK, first.code)
	assert.Equal(t, http.StatusNotModified, (<-ask(1, first.tag)).code)
	next := ask(60, `W/`+first.tag)
	objects.put("a-1", &kanister.ActionSetStatus{State: kanister.StateComplete})
	second := <-next
	assert.Equal(t, http.StatusOK, second.code)
	assert.True(t, second.out.Done)
	assert.NotEqual(t, first.tag, second.tag)
	assert.Equal(t, http.StatusNotModified, (<-ask(60, second.tag)).code, "what is done does not change, so nobody waits for it")
	assert.InDelta(t, 0, testutil.ToFloat64(e.metrics.waiting), 0)
}

// Prefer: wait at POST: 200 with what was decided, 202 when it is not in time.
func TestPostWaits(t *testing.T) {
	e, store, objects := newOutcomes(t, nil)
	objects.put("a-1", nil)
	header := map[string]string{"Content-Type": "application/cloudevents-batch+json", "Prefer": "wait=60"}
	answered := make(chan string, 1)
	go func() {
		code, h, body := e.post("/events/shop", header, `[{"specversion":"1.0","id":"1","source":"/shop","type":"t"},{"specversion":"1.0","id":"2","source":"/shop","type":"t"}]`)
		answered <- fmt.Sprint(code, " ", h.Get("Preference-Applied"), " ", body)
	}()
	require.Eventually(t, func() bool { return testutil.ToFloat64(e.metrics.waiting) == 1 }, 3*time.Minute, time.Millisecond)
	decide(t, store, "shop", "2")
	decide(t, store, "shop", "1", started("a", "a-1"))
	got := <-answered
	require.True(t, strings.HasPrefix(got, "200 wait ["), got)
	var outcomes []event.Outcome
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(got, "200 wait ")), &outcomes))
	require.Len(t, outcomes, 2)
	assert.Equal(t, []string{"1", "2"}, []string{outcomes[0].ID, outcomes[1].ID}, "in the order of the request")
	assert.Equal(t, "pending", outcomes[0].Runs[0].State)
	assert.True(t, outcomes[1].Done)

	one := `{"specversion":"1.0","id":"3","source":"/shop","type":"t"}`
	header["Content-Type"] = "application/cloudevents+json"
	for _, wait := range []string{"wait=1", "wait=0", "wait=soon", "handling=strict", ""} {
		header["Prefer"] = wait
		code, h, body := e.post("/events/shop", header, one)
		assert.Equal(t, http.StatusAccepted, code, wait)
		assert.Empty(t, h.Get("Preference-Applied"))
		assert.Contains(t, body, `"accepted":1`)
	}
	// A fault in the answer is none of the event.
	objects.fault = errors.New("away")
	header["Prefer"] = "wait=60"
	code, _, _ := e.post("/events/shop", header, strings.Replace(one, `"3"`, `"1"`, 1))
	assert.Equal(t, http.StatusAccepted, code)
}

// onlyA may fire the trigger a.
type onlyA struct{}

func (onlyA) Allowed(_ context.Context, sender *event.Sender, right authorizationv1.ResourceAttributes) (bool, error) {
	return sender == nil || (right.Verb == "fire" && right.Namespace == "shop" && right.Name == "a"), nil
}

// someone lets everybody in as a sender with a name.
type someone struct{}

func (someone) Authenticate(context.Context, Credentials) (*Grant, error) {
	return &Grant{Sender: &event.Sender{User: "app"}, Key: "app"}, nil
}
func (someone) Challenge() (scheme, words string) { return "", "" }

// A sender is not told what triggers do which it may not fire.
func TestOutcomeOfOthers(t *testing.T) {
	e, store, objects := newOutcomes(t, func(c *Config) { c.Authorizer, c.Auth = onlyA{}, []Authenticator{someone{}} })
	objects.put("a-1", nil)
	objects.put("b-1", &kanister.ActionSetStatus{State: kanister.StateFailed, Error: kanister.Error{Message: "private"}})
	decide(t, store, "", "1", started("a", "a-1"), started("b", "b-1"))
	_, _, out := e.outcome("/events/outcome?source=/shop&id=1", nil)
	require.Len(t, out.Runs, 2)
	assert.Equal(t, "a-1", out.Runs[0].ActionSet)
	assert.Equal(t, event.OutcomeRun{TriggerDecision: event.TriggerDecision{
		Namespace: "shop", Trigger: "b", Result: event.ResultForbidden, Reason: "app may not fire this trigger",
	}}, out.Runs[1])
}

// What another sender sends under the same source and id is no answer to who waits:
// it could say in advance that nothing matches.
func TestOutcomeIsTheSenders(t *testing.T) {
	e, store, objects := newOutcomes(t, func(c *Config) { c.Authorizer, c.Auth = onlyA{}, []Authenticator{someone{}} })
	objects.put("a-1", nil)
	const path = "/events/shop/outcome?source=/shop&id=1"
	for _, triggers := range [][]event.TriggerDecision{nil, {{Namespace: "shop", Trigger: "a", Result: event.ResultForbidden, Reason: "mallory may not"}}} {
		require.NoError(t, store.Decide(t.Context(), &event.Decision{Namespace: "shop", Source: "/shop", ID: "1", Sender: "mallory", Triggers: triggers}))
		code, _, _ := e.outcome(path, nil)
		assert.Equal(t, http.StatusNotFound, code)
	}
	require.NoError(t, store.Decide(t.Context(), &event.Decision{
		Namespace: "shop", Source: "/shop", ID: "1", Sender: "app", Triggers: []event.TriggerDecision{started("a", "a-1")},
	}))
	code, _, out := e.outcome(path, nil)
	assert.Equal(t, http.StatusOK, code)
	require.Len(t, out.Runs, 1)
	assert.Equal(t, event.ResultStarted, out.Runs[0].Result)
}

// The source is asked for as it was sent; one that the SDK writes in another way is
// found all the same.
func TestOutcomeFindsTheSource(t *testing.T) {
	e, store, _ := newOutcomes(t, nil)
	code, _, body := e.post("/events", map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "HTTPS://example.com/a%20b?x=1", "Ce-Type": "t"}, "")
	require.Equal(t, http.StatusAccepted, code, body)
	msg := e.stored()[0]
	got, err := stream.Decode(msg.Header, msg.Data)
	require.NoError(t, err)
	require.NoError(t, store.Decide(t.Context(), &event.Decision{Source: got.Source(), ID: got.ID()}))
	code, _, _ = e.outcome("/events/outcome?id=1&source=HTTPS%3A%2F%2Fexample.com%2Fa%2520b%3Fx%3D1", nil)
	assert.Equal(t, http.StatusOK, code)
	for _, query := range []string{"", "?source=/a", "?id=1"} {
		code, _, body = e.send(http.MethodGet, "/events/outcome"+query, nil, "")
		assert.Equal(t, http.StatusBadRequest, code, body)
	}
	code, answer, _ := e.send(http.MethodPost, "/events/shop/outcome", nil, "")
	assert.Equal(t, http.StatusMethodNotAllowed, code)
	assert.Equal(t, "GET", answer.Get("Allow"))
	code, _, _ = e.post("/events/outcome", map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/a", "Ce-Type": "t"}, "")
	assert.Equal(t, http.StatusAccepted, code, "a namespace may have that name")
}
