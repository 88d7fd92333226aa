package cli_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

func (s *shell) get(name string) *kanister.ActionSet {
	s.t.Helper()
	as, err := s.clients.ActionSets(s.namespace).Get(s.t.Context(), name, metav1.GetOptions{})
	require.NoError(s.t, err)
	return as
}

// with adds a condition to a status.
func with(status kanister.ActionSetStatus, typ string, is metav1.ConditionStatus, message string) kanister.ActionSetStatus {
	status.Conditions = append(status.Conditions, metav1.Condition{
		Type: typ, Status: is, Reason: "Test", Message: message, LastTransitionTime: metav1.Now(),
	})
	return status
}

func cancelledStatus() kanister.ActionSetStatus {
	out := with(status(failed, complete, failed, complete), "Cancelled", metav1.ConditionTrue, "by hand")
	out.Error.Message = "cancelled: by hand"
	return out
}

func TestCancel(t *testing.T) {
	s := newShell(t)
	s.actionSet("a")
	s.actionSet("b")
	s.setStatus("a", status(running, running, pending, pending))
	got := s.run("cancel", "a", "b", "--reason", "wrong one")
	assert.Equal(t, result{0, "actionset a is being cancelled\nactionset b is being cancelled\n", ""}, got)
	assert.Equal(t, "wrong one", s.get("a").Annotations[salvor.AnnotationCancel])
	assert.Equal(t, "wrong one", s.get("b").Annotations[salvor.AnnotationCancel])
	assert.Equal(t, result{0, "actionset a is being cancelled already (wrong one)\n", ""}, s.run("cancel", "a"))

	s.setStatus("a", cancelledStatus())
	got = s.run("cancel", "a", "nobody", "b")
	assert.Equal(t, 3, got.code)
	assert.Contains(t, got.out, "actionset b is being cancelled already", "one that cannot be keeps no other from it")
	assert.Equal(t, "Error: ActionSet "+s.namespace+"/a has already ended: cancelled; there is no ActionSet nobody in namespace "+s.namespace+"\n", got.err)
	assert.Contains(t, s.run("cancel").err, "cancel takes the name of an ActionSet")
	assert.Contains(t, s.run("cancel", "a", "b", "--wait").err, "--wait follows one ActionSet")
}

func TestCancelAndWait(t *testing.T) {
	for name, c := range map[string]struct {
		end  kanister.ActionSetStatus
		code int
		err  string
	}{
		"cancelled":     {cancelledStatus(), 0, ""},
		"complete":      {status(complete, complete, complete, complete), 1, "was complete before it could be cancelled"},
		"failed itself": {status(failed, failed, pending, complete), 2, "failed: no reason is recorded"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t)
			s.actionSet("a")
			s.setStatus("a", status(running, running, pending, pending))
			out, done := s.background(t.Context(), "cancel", "a", "--wait")
			out.until(t, "quiesce running")
			s.setStatus("a", c.end)
			got := end(t, done)
			assert.Equal(t, c.code, got.code, got.err)
			assert.Contains(t, got.err, c.err)
		})
	}
}

func TestPauseAndResume(t *testing.T) {
	s := newShell(t)
	s.actionSet("a")
	assert.Equal(t, result{1, "", "Error: ActionSet " + s.namespace + "/a is not paused; there is nothing to resume\n"}, s.run("resume", "a"))
	assert.Equal(t, result{0, "actionset a paused\n", ""}, s.run("pause", "a", "--reason", "audit"))
	assert.Equal(t, "audit", s.get("a").Annotations[salvor.AnnotationPause])
	assert.Equal(t, result{0, "actionset a is paused already (audit)\n", ""}, s.run("pause", "a", "--reason", "other"))
	s.setStatus("a", with(status(running, running, pending, pending), "Paused", metav1.ConditionTrue, "audit"))
	assert.Contains(t, s.run("get", "a").out, "paused")

	out, done := s.background(t.Context(), "wait", "a")
	out.until(t, "paused: audit")
	assert.Equal(t, result{0, "actionset a resumed\n", ""}, s.run("resume", "a"))
	assert.NotContains(t, s.get("a").Annotations, salvor.AnnotationPause)
	s.setStatus("a", with(status(running, running, pending, pending), "Retrying", metav1.ConditionTrue, "attempt 2 of 3 at noon"))
	out.until(t, "resumed")
	out.until(t, "retrying: attempt 2 of 3 at noon")
	assert.Contains(t, s.run("get", "a").out, "retrying")
	s.setStatus("a", status(complete, complete, complete, complete))
	assert.Zero(t, end(t, done).code)
	assert.Contains(t, s.run("pause", "a").err, "has already ended: complete")
	assert.Equal(t, 3, s.run("resume", "nobody").code)
}

func TestRetryCommand(t *testing.T) {
	s := newShell(t)
	s.actionSet("a")
	assert.Contains(t, s.run("retry", "a").err, "has not ended: it has not started yet")
	s.setStatus("a", status(running, running, pending, pending))
	assert.Contains(t, s.run("retry", "a").err, "has not ended: it is running")
	s.setStatus("a", status(complete, complete, complete, complete))
	assert.Contains(t, s.run("retry", "a").err, "is complete; create a new one")
	assert.Equal(t, 3, s.run("retry", "nobody").code)
	assert.Contains(t, s.run("retry", "a", "b").err, "retry takes the name of one ActionSet")

	// One that was cancelled: the request to cancel is taken back with it.
	s.actionSet("c")
	require.Zero(t, s.run("cancel", "c").code)
	s.setStatus("c", cancelledStatus())
	assert.Equal(t, result{0, "actionset c is asked to go on\n", ""}, s.run("retry", "c"))
	as := s.get("c")
	first := as.Labels[salvor.LabelRetry]
	assert.Len(t, first, 10)
	assert.NotContains(t, as.Annotations, salvor.AnnotationCancel)
	require.Zero(t, s.run("retry", "c").code)
	assert.NotEqual(t, first, s.get("c").Labels[salvor.LabelRetry], "each request has a token of its own")
}

// The end of the first round is not taken for the end of the second.
func TestRetryAndWait(t *testing.T) {
	s := newShell(t)
	s.actionSet("a")
	s.setStatus("a", status(failed, complete, failed, complete))
	out, done := s.background(t.Context(), "retry", "a", "--wait")
	out.until(t, "is asked to go on")
	answer := "token " + s.get("a").Labels[salvor.LabelRetry] + ": the run goes on where it ended, round 1"
	s.setStatus("a", with(status(running, complete, running, pending), "Retried", metav1.ConditionTrue, answer))
	out.until(t, "dump running")
	s.setStatus("a", with(status(complete, complete, complete, complete), "Retried", metav1.ConditionTrue, answer))
	got := end(t, done)
	assert.Equal(t, 0, got.code, got.err)
	assert.Equal(t, []string{
		"actionset a is asked to go on", "running", "goes on: " + answer, "backup pg: quiesce complete", "backup pg: dump running",
		"backup pg: dump complete", "backup pg: deferPhase release complete", "complete",
	}, out.lines())
}

func TestRetryAndWaitIsRefused(t *testing.T) {
	s := newShell(t)
	s.actionSet("a")
	s.setStatus("a", status(failed, complete, failed, complete))
	out, done := s.background(t.Context(), "retry", "a", "--wait")
	out.until(t, "is asked to go on")
	s.setStatus("a", with(status(failed, complete, failed, complete), "Retried", metav1.ConditionFalse,
		"token "+s.get("a").Labels[salvor.LabelRetry]+": its record was removed"))
	got := end(t, done)
	assert.Equal(t, 2, got.code)
	assert.Equal(t, "Error: ActionSet "+s.namespace+"/a cannot go on: its record was removed\n", got.err)
}

func TestDeadLetters(t *testing.T) {
	s := newShell(t)
	assert.Equal(t, result{0, "", "No dead letters in namespace " + s.namespace + ".\n"}, s.run("dlq", "list"))
	s.actionSet("fine")
	s.actionSet("bad")
	s.setStatus("bad", with(status(failed, complete, failed, complete), "DeadLettered", metav1.ConditionTrue,
		"action \"backup\", phase \"dump\", function KubeTask, attempt 1: three runners were lost:\n r-0 at 10:00\n r-1 at 10:01"))
	got := s.run("dlq", "list")
	require.Zero(t, got.code, got.err)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	require.Len(t, lines, 2)
	assert.Equal(t, []string{"bad", "failed"}, strings.Fields(lines[1])[:2])
	assert.Contains(t, lines[1], `action "backup", phase "dump"`)
	got = s.run("dlq", "list", "-A")
	assert.Contains(t, got.out, "NAMESPACE")
	assert.Contains(t, got.out, s.namespace)

	got = s.run("dlq", "show", "bad")
	require.Zero(t, got.code, got.err)
	for _, want := range []string{
		"ActionSet:  " + s.namespace + "/bad", "State:      failed", "function KubeTask, attempt 1: three runners were lost:",
		"r-1 at 10:01", "backup: dump failed", "salvor dlq replay bad -n " + s.namespace,
	} {
		assert.Contains(t, got.out, want)
	}
	assert.Contains(t, s.run("dlq", "show", "fine").err, "has no dead letter")
	assert.Equal(t, 3, s.run("dlq", "show", "nobody").code)

	assert.Contains(t, s.run("dlq", "replay", "fine").err, "has no dead letter")
	assert.Equal(t, result{0, "actionset bad is asked to go on\n", ""}, s.run("dlq", "replay", "bad"))
	assert.NotEmpty(t, s.get("bad").Labels[salvor.LabelRetry])
	assert.Equal(t, 1, s.run("dlq").code)
}

// An ActionSet that Kanister left running is handed over by name, and by nothing else.
func TestAdoptCommand(t *testing.T) {
	s := newShell(t)
	s.actionSet("left")
	assert.Contains(t, s.run("adopt", "left").err, "was not begun by anybody")
	s.setStatusAs("controller", "left", status(running, complete, running, pending))
	for _, verb := range []string{"retry", "cancel"} {
		got := s.run(verb, "left")
		assert.Equal(t, 1, got.code)
		assert.Contains(t, got.err, "was begun by another engine", verb)
		assert.Contains(t, got.err, "salvor adopt", verb)
	}
	assert.Equal(t, result{0, "actionset left is handed to Salvor, which goes on with it\n", ""}, s.run("adopt", "left"))
	assert.Equal(t, salvor.AdoptContinue, s.get("left").Annotations[salvor.AnnotationAdopt])
	assert.Equal(t, result{0, "actionset left is handed to Salvor, which ends it\n", ""}, s.run("adopt", "left", "--fail"))
	assert.Equal(t, salvor.AdoptFail, s.get("left").Annotations[salvor.AnnotationAdopt])

	s.setStatusAs("controller", "left", status(failed, complete, failed, complete))
	assert.Contains(t, s.run("adopt", "left").err, "has already ended")
	assert.Equal(t, 3, s.run("adopt", "nobody").code)
	assert.Contains(t, s.run("adopt").err, "adopt takes the name of an ActionSet")
}
