package cli_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/fixture/outtest"
)

// screen is an output that a test reads while the command writes.
type screen struct{ outtest.Buffer }

// until waits until the text is on the screen.
func (s *screen) until(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(s.String(), text) }, 3*time.Minute, 5*time.Millisecond, text)
}

var times = regexp.MustCompile(`(?m)^\d\d:\d\d  `)

// lines are what the screen says, without the times.
func (s *screen) lines() []string {
	return strings.Split(strings.TrimSpace(times.ReplaceAllString(s.String(), "")), "\n")
}

func (s *shell) actionSet(name string) {
	s.t.Helper()
	_, err := s.clients.ActionSets(s.namespace).Create(s.t.Context(), &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{
			Name: "backup", Blueprint: "postgres", Object: kanister.ObjectReference{Kind: "statefulset", Namespace: "db", Name: "pg"},
		}}},
	}, metav1.CreateOptions{})
	require.NoError(s.t, err)
}

// status of a run of two phases and a deferPhase.
func status(state kanister.State, quiesce, dump, deferred kanister.State) kanister.ActionSetStatus {
	return kanister.ActionSetStatus{State: state, Actions: []kanister.ActionStatus{{
		Name: "backup", Blueprint: "postgres", Object: kanister.ObjectReference{Kind: "statefulset", Namespace: "db", Name: "pg"},
		Phases:     []kanister.Phase{{Name: "quiesce", State: quiesce}, {Name: "dump", State: dump}},
		DeferPhase: &kanister.Phase{Name: "release", State: deferred},
	}}}
}

const (
	pending  = kanister.StatePending
	running  = kanister.StateRunning
	complete = kanister.StateComplete
	failed   = kanister.StateFailed
)

// background runs a command line and returns its screen and its end.
func (s *shell) background(ctx context.Context, args ...string) (*screen, <-chan result) {
	out, done := &screen{}, make(chan result, 1)
	go func() { done <- s.stream(ctx, out, args...) }()
	return out, done
}

func end(t *testing.T, done <-chan result) result {
	t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(3 * time.Minute):
		require.FailNow(t, "the command did not end")
		return result{}
	}
}

func TestWaitShowsPhasesUntilComplete(t *testing.T) {
	s := newShell(t)
	s.actionSet("b")
	out, done := s.background(t.Context(), "wait", "b")
	out.until(t, "not started yet")
	s.setStatus("b", status(running, running, pending, pending))
	out.until(t, "quiesce running")
	half := status(running, complete, running, pending)
	half.Actions[0].Phases[1].Progress.PercentCompleted = "45"
	s.setStatus("b", half)
	out.until(t, "45%")
	s.setStatus("b", status(running, complete, complete, running))
	out.until(t, "release running")
	s.setStatus("b", status(complete, complete, complete, complete))
	got := end(t, done)
	assert.Equal(t, 0, got.code, got.err)
	assert.Empty(t, got.err)
	assert.Equal(t, []string{
		"not started yet",
		"running",
		"backup pg: quiesce running",
		"backup pg: quiesce complete",
		"backup pg: dump running 45%",
		"backup pg: dump complete",
		"backup pg: deferPhase release running",
		"backup pg: deferPhase release complete",
		"complete",
	}, out.lines())
}

func TestWaitTellsWhyItFailed(t *testing.T) {
	s := newShell(t)
	s.actionSet("b")
	out, done := s.background(t.Context(), "wait", "b", "--timeout", "0")
	out.until(t, "not started yet")
	bad := status(failed, complete, failed, complete)
	bad.Error.Message = "phase dump: disk full"
	s.setStatus("b", bad)
	got := end(t, done)
	assert.Equal(t, 2, got.code)
	assert.Equal(t, "Error: ActionSet "+s.namespace+"/b failed: phase dump: disk full\n", got.err)
	assert.Contains(t, out.lines(), "backup pg: dump failed")

	again := s.run("wait", "b")
	assert.Equal(t, 2, again.code, "one that has ended is not waited for")
	assert.Equal(t, got.err, again.err)
}

func TestWaitForWhatIsNotThere(t *testing.T) {
	s := newShell(t)
	got := s.run("wait", "b")
	assert.Equal(t, 3, got.code)
	assert.Equal(t, "Error: ActionSet "+s.namespace+"/b does not exist\n", got.err)

	s.actionSet("b")
	s.actionSet("other")
	out, done := s.background(t.Context(), "wait", "b")
	out.until(t, "not started yet")
	require.NoError(t, s.clients.ActionSets(s.namespace).Delete(t.Context(), "other", metav1.DeleteOptions{}))
	s.setStatus("b", status(running, running, pending, pending))
	out.until(t, "quiesce running")
	require.NoError(t, s.clients.ActionSets(s.namespace).Delete(t.Context(), "b", metav1.DeleteOptions{}))
	got = end(t, done)
	assert.Equal(t, 3, got.code)
	assert.Equal(t, "Error: ActionSet "+s.namespace+"/b was deleted before it had ended\n", got.err)
}

func TestWaitEndsWithTheTime(t *testing.T) {
	s := newShell(t)
	s.actionSet("b")
	got := s.run("wait", "b", "--timeout", "300ms")
	assert.Equal(t, 4, got.code)
	assert.Equal(t, "Error: ActionSet "+s.namespace+"/b: waited 300ms: it had not ended when the time was over; it goes on\n", got.err)
}

func TestWaitIsInterrupted(t *testing.T) {
	s := newShell(t)
	s.actionSet("b")
	ctx, stop := context.WithCancel(t.Context())
	out, done := s.background(ctx, "wait", "b")
	out.until(t, "not started yet")
	stop()
	got := end(t, done)
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.err, "interrupted")
}

func TestWaitWithoutAServer(t *testing.T) {
	s := newShell(t)
	s.config = strings.Replace(s.config, "kubeconfig", "nothing-there", 1)
	got := s.run("wait", "b")
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.err, "nothing-there: no such file or directory")
}

func TestCreateAndWait(t *testing.T) {
	s := newShell(t)
	s.shop()
	out, done := s.background(t.Context(), "create", "actionset", "-a", "backup", "-b", "postgres", "-t", s.namespace+"/pg", "-A", "mine", "--wait")
	out.until(t, "not started yet")
	bad := status(failed, failed, pending, complete)
	bad.Error.Message = "image x: not found"
	s.setStatus("mine", bad)
	got := end(t, done)
	assert.Equal(t, 2, got.code)
	assert.Contains(t, got.err, "image x: not found")
	assert.Equal(t, "actionset mine created", out.lines()[0])
}
