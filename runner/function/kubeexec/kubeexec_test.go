package kubeexec_test

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/output"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/kubeexec"
	"github.com/salvor-io/salvor/runner/functiontest"
	"github.com/salvor-io/salvor/runner/functiontest/exectest"
)

func newServer(t *testing.T, behave func(url.Values, exectest.Process) int) *exectest.Server {
	t.Helper()
	annotated := exectest.Pod("annotated", "side", "main")
	annotated.Annotations = map[string]string{"kubectl.kubernetes.io/default-container": "main"}
	ended := exectest.Pod("ended", "main")
	ended.Status.Phase = corev1.PodFailed
	secrets := map[string]*corev1.Secret{"password": {Data: map[string][]byte{"value": []byte("canary-7f3a")}}}
	return &exectest.Server{T: t, Behave: behave, Secrets: secrets, Pods: map[string]*corev1.Pod{
		"db-0": exectest.Pod("db-0", "main", "side"), "db-1": exectest.Pod("db-1", "main", "side"), "annotated": annotated, "ended": ended,
	}}
}

func newCall(t *testing.T, s *exectest.Server, name string, args map[string]any) *function.Call {
	t.Helper()
	return functiontest.NewCall(t, functiontest.Clients(t, s.Start()), functiontest.Phase{Func: name, Args: args})
}

func marker(t *testing.T, key, value string) string {
	t.Helper()
	line, err := output.Format(key, value)
	require.NoError(t, err)
	return line
}

// world is a command that publishes what it was called with, once it is released.
func world(t *testing.T, name string, args map[string]any, check func(*testing.T, map[string]any)) functiontest.World {
	t.Helper()
	busy, released := make(chan struct{}, 8), make(chan struct{})
	s := newServer(t, func(query url.Values, p exectest.Process) int {
		busy <- struct{}{}
		select {
		case <-released:
		case <-p.Gone:
			return 0
		}
		p.Out("working\n", marker(t, strings.ReplaceAll(p.Pod, "-", "_"), strings.Join(query["command"], " ")), marker(t, "last", p.Pod+"/"+query.Get("container")))
		return 0
	})
	return functiontest.World{
		Call: newCall(t, s, name, args), Busy: busy, Release: sync.OnceFunc(func() { close(released) }), Check: check,
	}
}

func TestKubeExec(t *testing.T) {
	functiontest.Run(t, functiontest.Harness{
		Name: kubeexec.Name,
		New:  kubeexec.New,
		World: func(t *testing.T) functiontest.World {
			t.Helper()
			args := map[string]any{"namespace": "db", "pod": "db-0", "command": []any{"echo", "{{ len \"ab\" }}"}}
			return world(t, kubeexec.Name, args, func(t *testing.T, output map[string]any) {
				t.Helper()
				assert.Equal(t, map[string]any{"db_0": "echo 2", "last": "db-0/main"}, output)
			})
		},
		Bad: []functiontest.Bad{
			{Name: "nothing", Set: map[string]any{"namespace": nil, "pod": nil}, Want: `argument "pod" is missing`},
			{Name: "empty text", Set: map[string]any{"namespace": "", "command": []any{}}, Want: "argument \"command\" is empty\nargument \"namespace\" is empty"},
			{Name: "a map as command", Set: map[string]any{"command": []any{map[string]any{}}}, Want: `argument "command[0]" must be text`},
			{Name: "an unknown pod", Set: map[string]any{"pod": "nope"}, Want: "find pod db/nope", Reason: event.ReasonNotFound},
			{Name: "an unknown container", Set: map[string]any{"container": "nope"}, Want: `pod db/db-0 has no container "nope"; it has main, side`, Reason: event.ReasonNotFound},
			{Name: "a pod that has ended", Set: map[string]any{"pod": "ended"}, Want: "pod db/ended has ended (Failed)", Reason: event.ReasonPodFailed},
		},
	})
}

func TestKubeExecAll(t *testing.T) {
	functiontest.Run(t, functiontest.Harness{
		Name: kubeexec.NameAll,
		New:  kubeexec.NewAll,
		World: func(t *testing.T) functiontest.World {
			t.Helper()
			args := map[string]any{"namespace": "db", "pods": " db-1 db-0 db-1 ", "containers": "side main", "command": []any{"id"}}
			return world(t, kubeexec.NameAll, args, func(t *testing.T, output map[string]any) {
				t.Helper()
				assert.Equal(t, map[string]any{"db_0": "id", "db_1": "id", "last": "db-1/side"}, output, "the last in order wins, not the last in time")
			})
		},
		Bad: []functiontest.Bad{
			{Name: "no pods", Set: map[string]any{"pods": "  "}, Want: `argument "pods" is empty`},
			{Name: "no containers", Set: map[string]any{"containers": nil}, Want: `argument "containers" is missing`},
		},
	})
}

func TestTheDefaultContainerIsThePods(t *testing.T) {
	s := newServer(t, func(query url.Values, p exectest.Process) int {
		p.Out(marker(t, "in", query.Get("container")))
		return 0
	})
	values, err := kubeexec.New().Execute(t.Context(), newCall(t, s, kubeexec.Name, map[string]any{"namespace": "db", "pod": "annotated", "command": []any{"x"}}))
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"in": "main"}, values)
	assert.Equal(t, []string{"POST"}, s.Methods(), "SPDY")
}

func TestWebSocketWhereSPDYIsRefused(t *testing.T) {
	s := newServer(t, func(_ url.Values, p exectest.Process) int {
		p.Out(marker(t, "k", "v"))
		return 0
	})
	s.NoSPDY = true
	values, err := kubeexec.New().Execute(t.Context(), newCall(t, s, kubeexec.Name, map[string]any{"namespace": "db", "pod": "db-0", "command": []any{"x"}}))
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"k": "v"}, values)
	assert.Equal(t, []string{"POST", "GET"}, s.Methods())
}

// Kanister takes each frame for whole lines and fails here.
func TestMarkersMayBeSplitAcrossFrames(t *testing.T) {
	big := strings.Repeat("0123456789", 30_000)
	s := newServer(t, func(_ url.Values, p exectest.Process) int {
		for _, b := range []byte("before" + marker(t, "small", "v")) {
			p.Out(string(b))
		}
		text := marker(t, "big", big)
		for len(text) > 0 {
			n := min(len(text), 32<<10-1)
			p.Out(text[:n])
			text = text[n:]
		}
		p.Err(marker(t, "stderr", "does not count"))
		return 0
	})
	values, err := kubeexec.New().Execute(t.Context(), newCall(t, s, kubeexec.Name, map[string]any{"namespace": "db", "pod": "db-0", "command": []any{"x"}}))
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"small": "v", "big": big}, values)
}

func TestFailure(t *testing.T) {
	s := newServer(t, func(_ url.Values, p exectest.Process) int {
		for i := range 20 {
			p.Out(fmt.Sprintf("line %d\n", i))
		}
		p.Out(marker(t, "k", "v"))
		return 3
	})
	_, err := kubeexec.New().Execute(t.Context(), newCall(t, s, kubeexec.Name, map[string]any{"namespace": "db", "pod": "db-0", "command": []any{"x"}}))
	require.ErrorContains(t, err, "the command in container main of pod db/db-0 ended with exit code 3; its last lines:\nline 10\n")
	assert.True(t, strings.HasSuffix(err.Error(), "line 19"), err)
	assert.Equal(t, event.ReasonPodFailed, functiontest.ReasonOf(err))
}

// Nobody can know how far the command came, so it must not count as done.
func TestALostConnectionIsAFailure(t *testing.T) {
	for name, noSPDY := range map[string]bool{"WebSocket": true, "SPDY": false} {
		t.Run(name, func(t *testing.T) {
			var s *exectest.Server
			s = newServer(t, func(_ url.Values, p exectest.Process) int {
				p.Out("begun\n", marker(t, "k", "v"))
				s.Cut()
				<-p.Gone
				return 0
			})
			s.NoSPDY = noSPDY
			_, err := kubeexec.New().Execute(t.Context(), newCall(t, s, kubeexec.Name, map[string]any{"namespace": "db", "pod": "db-0", "command": []any{"x"}}))
			require.ErrorContains(t, err, "run the command in container main of pod db/db-0")
			assert.Equal(t, event.ReasonInterrupted, functiontest.ReasonOf(err), "a retry policy must not run it again by itself")
		})
	}
}

// Whoever was away before the command began is asked again, and it runs once.
func TestAKubeletThatIsAwayIsAskedAgain(t *testing.T) {
	ran := 0
	s := newServer(t, func(_ url.Values, p exectest.Process) int {
		ran++
		p.Out(marker(t, "k", "v"))
		return 0
	})
	s.Away = []string{
		"error dialing backend: dial tcp 10.0.0.1:10250: connect: connection refused", // the API server, of the kubelet
		"pod does not exist", // a kubelet that has just started
	}
	values, err := kubeexec.New().Execute(t.Context(), newCall(t, s, kubeexec.Name, map[string]any{"namespace": "db", "pod": "db-0", "command": []any{"x"}}))
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"k": "v"}, values)
	assert.Equal(t, 1, ran)
	assert.Equal(t, []string{"POST", "POST", "POST"}, s.Methods())
}

func TestBadOutput(t *testing.T) {
	s := newServer(t, func(_ url.Values, p exectest.Process) int {
		p.Out(output.Marker + `{"key":"k","value":1}`)
		return 0
	})
	_, err := kubeexec.New().Execute(t.Context(), newCall(t, s, kubeexec.Name, map[string]any{"namespace": "db", "pod": "db-0", "command": []any{"x"}}))
	require.ErrorContains(t, err, `ended well, but: phase output in line 1 of the log: key "k": "value" must be a string`)
	assert.Equal(t, event.ReasonOutput, functiontest.ReasonOf(err))
}

// One that fails does not stop the others, and all failures are told.
func TestAllFailuresAreJoined(t *testing.T) {
	var lock sync.Mutex
	ran := 0
	s := newServer(t, func(query url.Values, p exectest.Process) int {
		lock.Lock()
		defer lock.Unlock()
		ran++
		if query.Get("container") == "side" {
			return 7
		}
		return 0
	})
	_, err := kubeexec.NewAll().Execute(t.Context(), newCall(t, s, kubeexec.NameAll, map[string]any{
		"namespace": "db", "pods": "db-0 db-1", "containers": "main side", "command": []any{"x"},
	}))
	require.ErrorContains(t, err, "container side of pod db/db-0 ended with exit code 7\n")
	require.ErrorContains(t, err, "container side of pod db/db-1 ended with exit code 7")
	assert.Equal(t, event.ReasonPodFailed, functiontest.ReasonOf(err))
	assert.Equal(t, 4, ran)
}

func TestTheLogHasTheLinesButNoOutputs(t *testing.T) {
	s := newServer(t, func(_ url.Values, p exectest.Process) int {
		p.Out("to stdout\n", "pre", marker(t, "k", "published"))
		p.Err("to stderr\n")
		return 0
	})
	call := newCall(t, s, kubeexec.Name, map[string]any{"namespace": "db", "pod": "db-0", "command": []any{"x"}})
	var log bytes.Buffer
	call.Log = zerolog.New(zerolog.SyncWriter(&log))
	_, err := kubeexec.New().Execute(t.Context(), call)
	require.NoError(t, err)
	assert.Contains(t, log.String(), `"pod":"db/db-0","container":"main","stream":"stdout","message":"to stdout"`)
	assert.Contains(t, log.String(), `"stream":"stderr","message":"to stderr"`)
	assert.Contains(t, log.String(), `"message":"pre"`)
	assert.NotContains(t, log.String(), "published")
}

func TestSecretsStayOutOfLogsAndErrors(t *testing.T) {
	s := newServer(t, func(query url.Values, p exectest.Process) int {
		assert.Equal(t, "canary-7f3a", query.Get("command"))
		p.Out("psql: canary-", "7f3a is wrong\n")
		p.Err("also canary-7f3a")
		return 1
	})
	call := functiontest.NewCall(t, functiontest.Clients(t, s.Start()), functiontest.Phase{
		Func:    kubeexec.Name,
		Objects: map[string]kanister.ObjectReference{"db": {Kind: "Secret", Namespace: "db", Name: "password"}},
		Args: map[string]any{
			"namespace": "db", "pod": "db-0", "command": []any{"{{ .Phases.phase.Secrets.db.Data.value | toString }}"},
		},
	})
	var log bytes.Buffer
	call.Log = zerolog.New(zerolog.SyncWriter(&log))
	_, err := kubeexec.New().Execute(t.Context(), call)
	require.ErrorContains(t, err, "psql: *** is wrong")
	assert.Contains(t, err.Error(), "also ***")
	assert.NotContains(t, err.Error()+log.String(), "canary-7f3a")
}
