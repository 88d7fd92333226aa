package bridge_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/bridge"
)

func cloudEvent(id, typ string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/shop","type":%q}`, id, typ)
}

// http sends a request to the bridge's endpoint.
func (w *world) http(method, path string, header map[string]string, body string) (int, http.Header, []byte) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.bridge.EventsAddr().String()+path, strings.NewReader(body))
	require.NoError(w.t, err)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(w.t, err)
	defer func() { require.NoError(w.t, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	require.NoError(w.t, err)
	return response.StatusCode, response.Header, text
}

// waitFor sends an event and waits for what is decided about it.
func (w *world) waitFor(header map[string]string, body string) event.Outcome {
	w.t.Helper()
	all := map[string]string{"Content-Type": "application/cloudevents+json", "Prefer": "wait=60"}
	maps.Copy(all, header)
	code, _, text := w.http(http.MethodPost, "/events/"+w.namespace, all, body)
	require.Equal(w.t, http.StatusOK, code, string(text))
	var outcomes []event.Outcome
	require.NoError(w.t, json.Unmarshal(text, &outcomes))
	require.Len(w.t, outcomes, 1)
	return outcomes[0]
}

// A sender that waits is told the ActionSet, which exists by then, and can follow it
// to its end.
func TestSenderWaitsForTheOutcome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	w.trigger("nightly", "com.example.saved", nil)
	// The watch of triggers may be behind; what matters is that one is told.
	w.settle("com.example.saved")
	got := w.waitFor(nil, cloudEvent("1", "com.example.saved"))
	require.Len(t, got.Runs, 1)
	assert.Equal(t, event.ResultStarted, got.Runs[0].Result)
	assert.False(t, got.Done)
	as, err := w.clients.ActionSets(w.namespace).Get(t.Context(), got.Runs[0].ActionSet, metav1.GetOptions{})
	require.NoError(t, err)
	nothing := w.waitFor(nil, cloudEvent("2", "com.example.other"))
	assert.Empty(t, nothing.Runs)
	assert.True(t, nothing.Done)

	path := "/events/" + w.namespace + "/outcome?" + url.Values{"source": {"/shop"}, "id": {"1"}}.Encode()
	code, header, _ := w.http(http.MethodGet, path, nil, "")
	require.Equal(t, http.StatusOK, code)
	require.NoError(t, w.clients.ActionSets(w.namespace).Delete(t.Context(), as.Name, metav1.DeleteOptions{}))
	var outcome event.Outcome
	require.Eventually(t, func() bool {
		code, next, text := w.http(http.MethodGet, path, map[string]string{"Prefer": "wait=5", "If-None-Match": header.Get("ETag")}, "")
		if code != http.StatusOK {
			return false
		}
		header = next
		require.NoError(t, json.Unmarshal(text, &outcome))
		return outcome.Done
	}, patience, tick)
	assert.Equal(t, event.OutcomeDeleted, outcome.Runs[0].State)
}

// settle sends events until one finds the trigger for the type.
func (w *world) settle(typ string) {
	w.t.Helper()
	n := 0
	require.Eventually(w.t, func() bool {
		n++
		return len(w.waitFor(nil, cloudEvent(fmt.Sprint("settle-", n), typ)).Runs) > 0
	}, patience, tick)
}

// A signed event fires what RBAC lets its sender fire, and its signature counts once,
// also for the bridge after this one.
func TestSignedEventFiresWhatItMay(t *testing.T) {
	t.Parallel()
	dir, key := t.TempDir(), bytes.Repeat([]byte("k"), 32)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shop"), []byte("whsec_"+base64.StdEncoding.EncodeToString(key)), 0o600))
	w := newWorld(t, func(o *bridge.Options) { o.Ingress.HMACKeys = dir }).start()
	w.trigger("allowed", "com.example.saved", nil)
	w.trigger("denied", "com.example.saved", nil)
	w.allowFire("shop", "allowed")
	sign := func(body string) map[string]string {
		stamp := fmt.Sprint(time.Now().Unix())
		h := hmac.New(sha256.New, key)
		_, _ = h.Write([]byte("msg." + stamp + "." + body))
		return map[string]string{
			"webhook-id": "msg", "webhook-timestamp": stamp, "webhook-signature": "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil)),
		}
	}
	results := func(o event.Outcome) map[string]event.Result {
		out := map[string]event.Result{}
		for _, run := range o.Runs {
			out[run.Trigger] = run.Result
		}
		return out
	}
	n, header, body := 0, map[string]string(nil), ""
	require.Eventually(t, func() bool { // until the triggers and the right are seen
		n++
		body = cloudEvent(fmt.Sprint("signed-", n), "com.example.saved")
		header = sign(body)
		got := results(w.waitFor(header, body))
		return got["allowed"] == event.ResultStarted && got["denied"] == event.ResultForbidden
	}, patience, tick)
	assert.NotEmpty(t, w.actionSetsOf("allowed"))
	assert.Empty(t, w.actionSetsOf("denied"))

	// It may ask what became of its event, each question signed anew.
	query := fmt.Sprint("source=%2Fshop&id=signed-", n)
	question, asking := "/events/"+w.namespace+"/outcome?"+query, sign(query)
	code, _, text := w.http(http.MethodGet, question, asking, "")
	require.Equal(t, http.StatusOK, code, string(text))
	var outcome event.Outcome
	require.NoError(t, json.Unmarshal(text, &outcome))
	assert.Equal(t, map[string]event.Result{"allowed": event.ResultStarted, "denied": event.ResultForbidden}, results(outcome))
	code, _, _ = w.http(http.MethodGet, question, asking, "")
	assert.Equal(t, http.StatusUnauthorized, code, "a question counts once too")

	w.stop()
	w.start()
	header["Content-Type"] = "application/cloudevents+json"
	code, _, text = w.http(http.MethodPost, "/events/"+w.namespace, header, body)
	assert.Equal(t, http.StatusUnauthorized, code)
	assert.Contains(t, string(text), `"reason":"replayed"`)
	assert.NotContains(t, w.log.String(), "anybody who can reach")
}

// allowFire lets an HMAC sender fire a trigger.
func (w *world) allowFire(sender, trigger string) {
	w.t.Helper()
	_, err := w.clients.Kube.RbacV1().Roles(w.namespace).Create(w.t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "fire"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"salvor.io"}, Resources: []string{"actiontriggers"}, ResourceNames: []string{trigger}, Verbs: []string{"fire"}}},
	}, metav1.CreateOptions{})
	require.NoError(w.t, err)
	_, err = w.clients.Kube.RbacV1().RoleBindings(w.namespace).Create(w.t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "fire"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "salvor:hmac:" + sender}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "fire"},
	}, metav1.CreateOptions{})
	require.NoError(w.t, err)
}

// actionSetsOf are those that a trigger made.
func (w *world) actionSetsOf(trigger string) []kanister.ActionSet {
	w.t.Helper()
	list, err := w.clients.ActionSets(w.namespace).List(w.t.Context(), metav1.ListOptions{LabelSelector: "salvor.io/trigger=" + trigger})
	require.NoError(w.t, err)
	return list.Items
}

// Events from NATS fire triggers too; the same event over HTTP is no second one.
func TestEventFromNATSFires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *bridge.Options) { o.NATS.Subjects = []string{"salvor.in.*"} }).start()
	w.trigger("nightly", "com.example.saved", nil)
	var reply *nats.Msg
	require.Eventually(t, func() bool {
		var err error
		reply, err = w.js.Conn().Request("salvor.in."+w.namespace, []byte(cloudEvent("1", "com.example.saved")), patience)
		return err == nil
	}, patience, tick)
	assert.JSONEq(t, `{"accepted":1,"duplicates":0}`, string(reply.Data))
	require.Eventually(t, func() bool { return len(w.actionSetsOf("nightly")) == 1 }, patience, tick)
	code, _, text := w.http(http.MethodPost, "/events/"+w.namespace, map[string]string{"Content-Type": "application/cloudevents+json"}, cloudEvent("1", "com.example.saved"))
	assert.Equal(t, http.StatusAccepted, code)
	assert.JSONEq(t, `{"accepted":1,"duplicates":1}`, string(text))
	w.settle("com.example.saved") // an event behind it was decided
	assert.Len(t, w.actionSetsOf("nightly"), 2)
}
