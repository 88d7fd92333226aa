package emit

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/internal/cli/app"
)

// received is what the receiver of the CloudEvents SDK made of a request.
type received struct {
	event  *cloudevents.Event
	header http.Header
	path   string
}

// receiver is a real HTTP server that reads events with the SDK and answers as
// told.
func receiver(t *testing.T, code int, answer string) (string, <-chan received) {
	t.Helper()
	events := make(chan received, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e, err := cehttp.NewEventFromHTTPRequest(r)
		if !assert.NoError(t, err) || !assert.NoError(t, e.Validate()) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		events <- received{event: e, header: r.Header, path: r.URL.Path}
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/events", events
}

var moment = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

type ending struct{ out, err string }

func run(t *testing.T, env map[string]string, args ...string) (ending, error) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app.App{
		In: strings.NewReader(`{"from":"stdin"}`), Out: &out, Err: &errs, Clock: clocktesting.NewFakeClock(moment),
		Getenv: func(name string) string { return env[name] },
	}
	cmd := Command(a)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return ending{out.String(), errs.String()}, err
}

func TestBothModesArriveAlike(t *testing.T) {
	for mode, extra := range map[string][]string{"binary": nil, "structured": {"--structured"}} {
		t.Run(mode, func(t *testing.T) {
			url, events := receiver(t, http.StatusAccepted, `{"accepted":1,"duplicates":0}`)
			got, err := run(t, nil, append([]string{
				"--type", "com.example.closed", "--source", "/shop", "--id", "release-42", "--subject", "pg",
				"--data", `{"n": 1, "text": "a=b,c"}`, "--extension", "team=db=1", "--extension", "n=5", "--to", url, "--namespace-address", "shop",
			}, extra...)...)
			require.NoError(t, err)
			assert.Equal(t, ending{out: "event release-42 accepted\n{\"accepted\":1,\"duplicates\":0}\n"}, got)
			r := <-events
			assert.Equal(t, "/events/shop", r.path)
			assert.Equal(t, mode == "structured", strings.HasPrefix(r.header.Get("Content-Type"), "application/cloudevents+json"))
			assert.Empty(t, r.header.Get("Authorization"))
			assert.Equal(t, "com.example.closed", r.event.Type())
			assert.Equal(t, "/shop", r.event.Source())
			assert.Equal(t, "release-42", r.event.ID())
			assert.Equal(t, "pg", r.event.Subject())
			assert.Equal(t, moment, r.event.Time())
			assert.Equal(t, "application/json", r.event.DataContentType())
			assert.Equal(t, map[string]any{"team": "db=1", "n": "5"}, r.event.Extensions())
			assert.JSONEq(t, `{"n":1,"text":"a=b,c"}`, string(r.event.Data()))
		})
	}
}

func TestTheIDIsRandomAndTheURLMayComeFromTheEnvironment(t *testing.T) {
	url, events := receiver(t, http.StatusAccepted, "")
	env := map[string]string{"SALVOR_EVENTS_URL": url}
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("t0ken\n"), 0o600))
	seen := map[string]bool{}
	for range 2 {
		got, err := run(t, env, "--type", "x.y", "--source", "/x", "--data", "@-", "--token-file", token)
		require.NoError(t, err)
		r := <-events
		assert.Equal(t, "event "+r.event.ID()+" accepted\n", got.out)
		assert.Equal(t, "/events", r.path)
		assert.Equal(t, "Bearer t0ken", r.header.Get("Authorization"))
		assert.JSONEq(t, `{"from":"stdin"}`, string(r.event.Data()))
		assert.Regexp(t, `^[0-9a-f-]{36}$`, r.event.ID())
		seen[r.event.ID()] = true
	}
	assert.Len(t, seen, 2)
}

func TestOtherDataTravelsAsItIs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.WriteFile(file, []byte{0, 1, 0xff}, 0o600))
	for _, extra := range [][]string{nil, {"--structured"}} {
		url, events := receiver(t, http.StatusOK, "")
		_, err := run(t, nil, append([]string{
			"--type", "x", "--source", "/x", "--to", url, "--data", "@" + file, "--data-content-type", "application/octet-stream",
		}, extra...)...)
		require.NoError(t, err)
		assert.Equal(t, []byte{0, 1, 0xff}, (<-events).event.Data())
	}
}

func TestARefusalIsAnErrorThatSaysWhy(t *testing.T) {
	problem, err := json.Marshal(map[string]string{"error": "there is no room\nfor events now"})
	require.NoError(t, err)
	for _, c := range []struct {
		code   int
		answer string
		want   string
	}{
		{400, `{"error":"attribute type is missing","attribute":"type"}`, "refused the event with 400 Bad Request: attribute type is missing"},
		{401, "", "refused the event with 401 Unauthorized: it gave no reason; check --token-file"},
		{404, "page not found\n", "404 Not Found: page not found; check the path of --to"},
		{429, string(problem), "429 Too Many Requests: there is no room for events now; send it again later with --id e1 (Retry-After: 5)"},
		{302, "", "refused the event with 302 Found"},
	} {
		url, _ := receiver(t, c.code, c.answer)
		got, err := run(t, nil, "--type", "x", "--source", "/x", "--id", "e1", "--to", url, "--timeout", "400ms")
		require.ErrorContains(t, err, c.want)
		assert.Equal(t, 1, app.Code(err))
		assert.Empty(t, got.out)
	}
}

func TestNobodyThere(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	url := s.URL
	s.Close()
	_, err := run(t, nil, "--type", "x", "--source", "/x", "--id", "e1", "--to", url, "--timeout", "400ms")
	require.ErrorContains(t, err, "connection refused")
	require.ErrorContains(t, err, "send it again with --id e1")
}

func TestATimeoutEndsTheWait(t *testing.T) {
	stop := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(stop) })
	_, err := run(t, nil, "--type", "x", "--source", "/x", "--to", s.URL, "--timeout", "10ms")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestBadFlags(t *testing.T) {
	good := []string{"--type", "x", "--source", "/x", "--to", "http://127.0.0.1:1"}
	for want, args := range map[string][]string{
		"--type is required":                  {"--source", "/x", "--to", "http://h"},
		"--source is required":                {"--type", "x", "--to", "http://h"},
		"set --to or SALVOR_EVENTS_URL":       {"--type", "x", "--source", "/x"},
		`"ftp://h" is not an http or https`:   append(good, "--to", "ftp://h"),
		"put no password into the URL":        append(good, "--to", "http://u:p@h"),
		"--data is not valid JSON":            append(good, "--data", "{"),
		`--extension: "x" is not name=value`:  append(good, "--extension", "x"),
		`"Ab" is not a name that CloudEvents`: append(good, "--extension", "Ab=1"),
		"--extension: id is not an extension": append(good, "--extension", "id=1"),
		"--data: read the file":               append(good, "--data", "@/nonexistent"),
		"--data-content-type":                 append(good, "--data", "x", "--data-content-type", "/"),
		"--ca-file":                           append(good, "--ca-file", "/nonexistent"),
		"--token-file":                        append(good, "--token-file", "/nonexistent"),
		"not a valid CloudEvent":              append(good, "--source", "%zz"),
	} {
		_, err := run(t, nil, args...)
		require.ErrorContains(t, err, want)
	}
}
