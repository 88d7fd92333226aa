package events

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/fixture/outtest"
)

func run(ctx context.Context, env map[string]string, args ...string) (out, errs *outtest.Buffer, err error) {
	out, errs = &outtest.Buffer{}, &outtest.Buffer{}
	a := &app.App{Out: out, Err: errs, Clock: clock.RealClock{}, Getenv: func(name string) string { return env[name] }}
	a.Kube.Namespace = "shop"
	cmd := Command(a)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	return out, errs, cmd.ExecuteContext(ctx)
}

var at = time.Date(2026, 11, 22, 3, 4, 5, 0, time.UTC)

// line is an event as the feed writes it.
func line(t *testing.T, id, sequence string, l event.Lifecycle) string {
	t.Helper()
	e, err := event.NewLifecycleEvent(event.TypeRunFailed, id, at, "", &l)
	require.NoError(t, err)
	e.SetExtension("sequence", sequence)
	text, err := e.MarshalJSON()
	require.NoError(t, err)
	return string(text) + "\n"
}

func lifecycle(name string) event.Lifecycle {
	return event.Lifecycle{UID: "u", Namespace: "shop", ActionSet: name, State: event.StateFailed, Action: "backup"}
}

// feed answers with the given bodies, one for each request, and keeps what was asked.
type feed struct {
	*httptest.Server

	mu      sync.Mutex
	asked   []string
	answers []func(w http.ResponseWriter)
}

func newFeed(t *testing.T, answers ...func(w http.ResponseWriter)) *feed {
	t.Helper()
	f := &feed{answers: answers}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		n := len(f.asked)
		f.asked = append(f.asked, r.URL.RequestURI()+" "+r.Header.Get("Authorization"))
		f.mu.Unlock()
		if n >= len(f.answers) {
			<-r.Context().Done()
			return
		}
		f.answers[n](w)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *feed) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.asked...)
}

func says(text string) func(w http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Salvor-Sequence", "7")
		_, _ = w.Write([]byte(text))
	}
}

func refuses(code int, text string) func(w http.ResponseWriter) {
	return func(w http.ResponseWriter) { http.Error(w, text, code) }
}

func TestPrint(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("secret\n"), 0o600))
	end := at.Add(time.Minute)
	l := lifecycle("backup-x7k2p")
	l.Blueprint, l.Object, l.Trigger = "postgresql", &event.LifecycleObject{Kind: "StatefulSet", Namespace: "shop", Name: "db"}, "closed"
	l.StartedAt, l.EndedAt = &at, &end
	l.Failure = &event.Failure{Reason: event.ReasonPodFailed, Message: "exit\ncode \x1b[31m1"}
	l.Actions = []event.LifecycleAction{{Name: "backup"}, {Name: "verify"}}
	phase := lifecycle("backup-x7k2p")
	phase.Kind, phase.Phase, phase.Attempt = event.KindCore, "dump", 2
	f := newFeed(t, says(line(t, "1", "3", l)+"\n"+line(t, "2", "4", phase)), says(line(t, "1", "3", l)))
	out, errs, err := run(t.Context(), nil, "--to", f.URL+"/events", "--type", "run", "--since", "2h", "--token-file", token)
	require.NoError(t, err)
	assert.Empty(t, errs.String())
	assert.Equal(t, "2026-11-22 03:04:05Z  shop/backup-x7k2p  run failed: backup StatefulSet shop/db with postgresql and 1 more, took 1m0s, by closed: PodFailed: exit code  [31m1\n"+
		"2026-11-22 03:04:05Z  shop/backup-x7k2p  phase failed: backup dump (attempt 2)\n", out.String())
	out, _, err = run(t.Context(), map[string]string{envURL: f.URL + "/gw/events/shop"}, "-A", "-o", "json")
	require.NoError(t, err)
	var e cloudevents.Event
	require.NoError(t, e.UnmarshalJSON([]byte(out.String())))
	assert.Equal(t, "1", e.ID())
	assert.Equal(t, []string{"/lifecycle/shop?since=2h&type=run Bearer secret", "/gw/lifecycle "}, f.requests())
}

// A connection that breaks is made again where it was, and nothing is shown twice.
func TestFollowGoesOn(t *testing.T) {
	t.Parallel()
	f := newFeed(t,
		says("\n"),
		refuses(http.StatusServiceUnavailable, `{"error":"not now","reason":"full"}`),
		says(line(t, "1", "8", lifecycle("one"))),
		says(line(t, "1", "8", lifecycle("one"))+line(t, "2", "9", lifecycle("two"))),
	)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs *outtest.Buffer
	done := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		a := &app.App{Clock: clock.RealClock{}, Getenv: func(string) string { return "" }}
		out, errs = &outtest.Buffer{}, &outtest.Buffer{}
		a.Out, a.Err = out, errs
		cmd := Command(a)
		cmd.SetArgs([]string{"-A", "-f", "--to", f.URL})
		close(started)
		done <- cmd.ExecuteContext(ctx)
	}()
	<-started
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "shop/two") && len(f.requests()) == 5 }, 3*time.Minute, 20*time.Millisecond)
	cancel()
	require.NoError(t, <-done, "the end that was asked for")
	assert.Equal(t, 1, strings.Count(out.String(), "shop/one"))
	assert.Equal(t, 1, strings.Count(out.String(), "shop/two"))
	assert.Contains(t, errs.String(), "not now")
	assert.Equal(t, []string{
		"/lifecycle?follow=true ", "/lifecycle?after=7&follow=true ", "/lifecycle?after=7&follow=true ",
		"/lifecycle?after=8&follow=true ", "/lifecycle?after=9&follow=true ",
	}, f.requests())
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for want, answer := range map[string]func(w http.ResponseWriter){
		"403 Forbidden: no":    refuses(http.StatusForbidden, `{"error":"no"}`),
		"check --token-file":   refuses(http.StatusUnauthorized, `{"error":"no"}`),
		"302 Found":            refuses(http.StatusFound, ""),
		"503 Service":          refuses(http.StatusServiceUnavailable, "later"),
		"does not answer with": says("<html>\n"),
	} {
		_, _, err := run(t.Context(), nil, "--to", newFeed(t, answer).URL)
		require.ErrorContains(t, err, want)
	}
	// What would be refused again ends also who follows.
	_, _, err := run(t.Context(), nil, "-f", "--to", newFeed(t, refuses(http.StatusForbidden, "no")).URL)
	require.ErrorContains(t, err, "403 Forbidden")
	for _, args := range [][]string{
		{},
		{"--to", "ftp://x"},
		{"--to", "http://me:pw@x"},
		{"--to", "http://x", "-o", "xml"},
		{"--to", "http://x", "--ca-file", "/nowhere"},
		{"--to", "http://x", "--token-file", "/nowhere"},
		{"--to", "http://127.0.0.1:1"},
	} {
		_, _, err := run(t.Context(), nil, args...)
		require.Error(t, err, args)
	}
}

func TestSchemas(t *testing.T) {
	t.Parallel()
	out, _, err := run(t.Context(), nil, "schema")
	require.NoError(t, err)
	assert.Contains(t, out.String(), event.TypeRunFailed+"\n")
	out, _, err = run(t.Context(), nil, "schema", event.TypeRunFailed)
	require.NoError(t, err)
	assert.Contains(t, out.String(), `"title": "Run failed"`)
	_, _, err = run(t.Context(), nil, "schema", "../events")
	require.ErrorContains(t, err, "there is no type")
}
