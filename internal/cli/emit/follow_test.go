package emit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/cli/app"
)

// bridge is an HTTP server that keeps the contract of the event endpoint: it takes
// events and tells one outcome after the other, each when the client has the one
// before.
type bridge struct {
	url string

	mu       sync.Mutex
	bodies   [][]byte
	headers  []http.Header
	outcomes []event.Outcome
	asked    []string
	// hurdles are the codes of the answers to the first requests, by method; 0 is
	// the answer as it should be, -1 a connection that breaks.
	hurdles map[string][]int
}

func serve(t *testing.T, outcomes ...event.Outcome) *bridge {
	t.Helper()
	b := &bridge{outcomes: outcomes, hurdles: map[string][]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /events/shop", b.take)
	mux.HandleFunc("GET /events/shop/outcome", b.outcome)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	b.url = s.URL + "/events/shop"
	return b
}

// hurdle answers the request itself if the script says so.
func (b *bridge) hurdle(w http.ResponseWriter, r *http.Request) bool {
	codes := b.hurdles[r.Method]
	if len(codes) == 0 {
		return false
	}
	b.hurdles[r.Method] = codes[1:]
	switch codes[0] {
	case 0:
		return false
	case -1:
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(codes[0])
	_, _ = io.WriteString(w, `{"error":"not now","reason":"unavailable"}`)
	return true
}

func (b *bridge) take(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bodies, b.headers = append(b.bodies, body), append(b.headers, r.Header.Clone())
	if b.hurdle(w, r) {
		return
	}
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"accepted":1,"duplicates":0}`)
}

func (b *bridge) outcome(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, r.URL.RawQuery+" "+r.Header.Get("Prefer")+" "+r.Header.Get("If-None-Match"))
	if b.hurdle(w, r) {
		return
	}
	next := 0
	if tag := strings.Trim(r.Header.Get("If-None-Match"), `"`); tag != "" {
		seen, _ := strconv.Atoi(tag)
		next = seen + 1
	}
	if next >= len(b.outcomes) {
		code := http.StatusNotModified
		if len(b.outcomes) == 0 {
			code = http.StatusNotFound
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, `{"error":"not decided yet","reason":"unknown"}`)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf("%q", strconv.Itoa(next)))
	_ = json.NewEncoder(w).Encode(b.outcomes[next])
}

// wait runs the command with a real clock: it has to pause.
func wait(t *testing.T, args ...string) (ending, error) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app.App{Out: &out, Err: &errs, Clock: clock.RealClock{}, Getenv: func(string) string { return "" }}
	cmd := Command(a)
	cmd.SetArgs(append([]string{"--wait", "--type", "x", "--source", "/a?b&c", "--id", "r/1&2"}, args...))
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return ending{out.String(), errs.String()}, err
}

func outcomeOf(done bool, runs ...event.OutcomeRun) event.Outcome {
	return event.Outcome{Namespace: "shop", Source: "/a?b&c", ID: "r/1&2", Runs: runs, Done: done}
}

func started(trigger, state, percent, phase, problem string) event.OutcomeRun {
	return event.OutcomeRun{
		TriggerDecision: event.TriggerDecision{Namespace: "shop", Trigger: trigger, Result: event.ResultStarted, ActionSet: trigger + "-1"},
		State:           state, Percent: percent, Phase: phase, Error: problem,
	}
}

func decided(trigger string, result event.Result, reason string) event.OutcomeRun {
	return event.OutcomeRun{TriggerDecision: event.TriggerDecision{Namespace: "shop", Trigger: trigger, Result: result, Reason: reason}}
}

func TestWaitFollowsToTheEnd(t *testing.T) {
	b := serve(t,
		outcomeOf(false, started("pg", "", "", "", ""), decided("files", event.ResultWaiting, "")),
		outcomeOf(false, started("pg", "running", "0", "quiesce", ""), decided("files", event.ResultWaiting, "")),
		outcomeOf(false, started("pg", "running", "50", "dump", ""), started("files", "running", "", "", "")),
		outcomeOf(true, started("pg", "complete", "100", "", ""), started("files", "complete", "100", "", "")))
	got, err := wait(t, "--to", b.url)
	require.NoError(t, err)
	assert.Equal(t, "event r/1&2 accepted\n{\"accepted\":1,\"duplicates\":0}\n", got.out)
	lines := strings.Split(strings.TrimSpace(got.err), "\n")
	for i := range lines {
		assert.Regexp(t, `^\d\d:\d\d  `, lines[i])
		lines[i] = lines[i][7:]
	}
	assert.Equal(t, []string{
		"trigger shop/pg: ActionSet shop/pg-1 not started yet",
		"trigger shop/files: waits for its window or for another ActionSet to end",
		"trigger shop/pg: ActionSet shop/pg-1 running, phase quiesce",
		"trigger shop/pg: ActionSet shop/pg-1 running 50%, phase dump",
		"trigger shop/files: ActionSet shop/files-1 running",
		"trigger shop/pg: ActionSet shop/pg-1 complete",
		"trigger shop/files: ActionSet shop/files-1 complete",
	}, lines)
	assert.Equal(t, "id=r%2F1%262&source=%2Fa%3Fb%26c wait=20 ", b.asked[0])
	assert.Equal(t, `id=r%2F1%262&source=%2Fa%3Fb%26c wait=20 "0"`, b.asked[1], "the next answer is held back until something changed")
}

func TestTheExitCodeIsTheOutcome(t *testing.T) {
	complete := started("pg", "complete", "100", "", "")
	for name, c := range map[string]struct {
		outcome event.Outcome
		code    int
		says    string
	}{
		"complete":            {outcomeOf(true, complete), app.ExitOK, ""},
		"failed":              {outcomeOf(true, complete, started("b", "failed", "", "", "phase \"dump\":\n no space")), app.ExitFailed, "1 of 2 did not end well: trigger shop/b: ActionSet shop/b-1 failed: phase \"dump\": no space"},
		"cancelled":           {outcomeOf(true, started("b", event.OutcomeCancelled, "", "", "")), app.ExitFailed, "shop/b-1 cancelled"},
		"why cancelled":       {outcomeOf(true, started("b", event.OutcomeCancelled, "", "", "cancelled: replaced")), app.ExitFailed, "shop/b-1 cancelled: replaced"},
		"deleted":             {outcomeOf(true, started("b", event.OutcomeDeleted, "", "", "")), app.ExitFailed, "shop/b-1 deleted"},
		"rejected":            {outcomeOf(true, decided("b", event.ResultRejected, "pg-1 runs")), app.ExitFailed, "trigger shop/b: rejected: pg-1 runs"},
		"refused":             {outcomeOf(true, complete, decided("b", event.ResultRefused, "quota")), app.ExitFailed, "trigger shop/b: refused: quota"},
		"forbidden":           {outcomeOf(true, decided("b", event.ResultForbidden, "eve may not fire it")), app.ExitFailed, "forbidden: eve may not fire it"},
		"nothing matched":     {outcomeOf(true), app.ExitNotFound, "no ActionTrigger matches event r/1&2; nothing was started (one that is suspended or invalid does not count)"},
		"a state of tomorrow": {outcomeOf(true, started("b", "resting", "", "", "")), app.ExitFailed, "shop/b-1 resting"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := wait(t, "--to", serve(t, c.outcome).url)
			assert.Equal(t, c.code, app.Code(err), "%v", err)
			if c.says != "" {
				require.ErrorContains(t, err, c.says)
			}
		})
	}
}

func TestNothingMatchedMayBeAllowed(t *testing.T) {
	got, err := wait(t, "--allow-unmatched", "--to", serve(t, outcomeOf(true)).url)
	require.NoError(t, err)
	assert.Contains(t, got.err, "Warning: no ActionTrigger matches event")
	_, err = wait(t, "--allow-unmatched", "--to", serve(t, outcomeOf(true, started("b", "failed", "", "", "full"))).url)
	assert.Equal(t, app.ExitFailed, app.Code(err), "it excuses nothing else")
}

func TestTheTimeIsOver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		outcomes []event.Outcome
		hurdles  map[string][]int
		says     string
	}{
		"nothing decided": {nil, nil, "the bridge had not decided yet what event r/1&2 starts"},
		"running":         {[]event.Outcome{outcomeOf(false, started("pg", "running", "50", "dump", ""))}, nil, "ActionSet shop/pg-1 running 50%, phase dump"},
		"never accepted":  {nil, map[string][]int{"POST": {503, 503, 503, 503}}, "503 Service Unavailable: not now"},
		"out of reach":    {nil, map[string][]int{"GET": {-1, -1, -1, -1}}, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := serve(t, c.outcomes...)
			if c.hurdles != nil {
				b.hurdles = c.hurdles
			}
			_, err := wait(t, "--to", b.url, "--timeout", "1200ms")
			assert.Equal(t, app.ExitTimeout, app.Code(err), "%v", err)
			require.ErrorContains(t, err, "not ended within 1.2s (--timeout)")
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestFaultsThatPassDoNotEndTheCommand(t *testing.T) {
	b := serve(t, outcomeOf(true, started("pg", "complete", "", "", "")))
	b.hurdles = map[string][]int{"POST": {-1, 503}, "GET": {-1, 429}}
	got, err := wait(t, "--to", b.url)
	require.NoError(t, err, got.err)
	require.Len(t, b.bodies, 3)
	for i := range b.bodies {
		assert.Equal(t, b.headers[0].Get("Ce-Id"), b.headers[i].Get("Ce-Id"), "each attempt is the same event")
		assert.Equal(t, b.headers[0].Get("Ce-Time"), b.headers[i].Get("Ce-Time"))
	}
	assert.Contains(t, got.err, "trying again in 500ms")
	assert.Contains(t, got.err, "503 Service Unavailable: not now")
}

func TestFaultsThatStayDo(t *testing.T) {
	for code, says := range map[int]string{400: "400 Bad Request: not now", 401: "check --token-file", 403: "403 Forbidden", 413: "413"} {
		b := serve(t)
		b.hurdles = map[string][]int{"POST": {code}}
		_, err := wait(t, "--to", b.url)
		require.ErrorContains(t, err, says)
		assert.Equal(t, app.ExitError, app.Code(err))
		assert.Len(t, b.bodies, 1)
	}
	b := serve(t)
	b.hurdles = map[string][]int{"GET": {403}}
	_, err := wait(t, "--to", b.url)
	require.ErrorContains(t, err, "it was accepted, and what it starts goes on")
	assert.Equal(t, app.ExitError, app.Code(err))
}

func TestABridgeThatCannotTellOutcomes(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"error":"POST CloudEvents to /events","reason":"path"}`)
	}))
	t.Cleanup(s.Close)
	_, err := wait(t, "--to", s.URL+"/events/shop")
	require.ErrorContains(t, err, "404 Not Found: POST CloudEvents to /events")
	assert.Equal(t, app.ExitError, app.Code(err))
}

// TestRequestsAreSigned checks the signature of each request as a receiver does that
// was written after the specification.
func TestRequestsAreSigned(t *testing.T) {
	key := []byte("a key of more than 24 bytes, raw")
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte("whsec_"+base64.StdEncoding.EncodeToString(key)+"\n"), 0o600))
	b := serve(t, outcomeOf(true, started("pg", "complete", "", "", "")))
	b.hurdles = map[string][]int{"POST": {408}}
	before := time.Now().Unix()
	_, err := wait(t, "--to", b.url, "--sign-key-file", file, "--data", `{"a":1}`)
	require.NoError(t, err)
	require.Len(t, b.bodies, 2)
	ids := map[string]bool{}
	for i, body := range b.bodies {
		h := b.headers[i]
		assert.Equal(t, "application/cloudevents+json", strings.SplitN(h.Get("Content-Type"), ";", 2)[0], "only the body is signed, so all is in it")
		at, err := strconv.ParseInt(h.Get("Webhook-Timestamp"), 10, 64)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, at, before)
		mac := hmac.New(sha256.New, key)
		_, _ = fmt.Fprintf(mac, "%s.%d.%s", h.Get("Webhook-Id"), at, body)
		assert.Equal(t, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)), h.Get("Webhook-Signature"))
		ids[h.Get("Webhook-Id")] = true
	}
	assert.Len(t, ids, 2, "what is sent again does not look replayed")
	assert.Equal(t, b.bodies[0], b.bodies[1])
}

func TestBadKeys(t *testing.T) {
	for text, says := range map[string]string{
		"plain":      "a key is written as whsec_<base64>",
		"whsec_%%%%": "what follows whsec_ is not base64",
		"whsec_":     "the key is empty",
		"":           "is empty",
	} {
		file := filepath.Join(t.TempDir(), "key")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := wait(t, "--to", "http://127.0.0.1:1", "--sign-key-file", file)
		require.ErrorContains(t, err, says)
		assert.NotContains(t, err.Error(), "%%%%", "no part of a key is printed")
	}
}
