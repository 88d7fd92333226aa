package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/internal/telemetry"
	"github.com/salvor-io/salvor/runner/function"
)

func TestSuccessIsReportedAndAcknowledged(t *testing.T) {
	b := newBench(t, nil)
	task := returns(map[string]any{"path": "a/b"}, nil)
	b.start("r1", function.Registry{"KubeTask": task.factory}, nil)
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	c := within(t, task.began, "the call")
	assert.Equal(t, []any{"echo", "hello", "hunter2-and-more"}, c.Args["command"], "rendered")
	assert.Equal(t, map[string]string{"kanister.io/JobID": "7"}, c.Labels)
	assert.Equal(t, "dump", c.Phase)
	assert.Equal(t, "backup", c.Action)
	assert.Equal(t, telemetry.ForAttempt("", b.key(event.KindCore, 0)), c.Traceparent, "what the span of the attempt will be")
	r := b.report()
	assert.Equal(t, event.ReportSucceeded, r.Kind)
	assert.Equal(t, b.key(event.KindCore, 0), r.Key)
	assert.Equal(t, map[string]any{"path": "a/b"}, outputOf(t, r))
	assert.Nil(t, r.Excerpt)
	assert.Nil(t, r.Artifacts)
	b.settled()
}

func TestFailureIsRedacted(t *testing.T) {
	b := newBench(t, nil)
	task := returns(nil, function.Errorf(event.ReasonPodFailed, "psql: password hunter2-and-more is wrong"))
	b.start("r1", function.Registry{"KubeTask": task.factory}, nil)
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	r := b.report()
	assert.Equal(t, event.ReportFailed, r.Kind)
	assert.Equal(t, &event.Failure{Reason: event.ReasonPodFailed, Message: "psql: password *** is wrong"}, r.Failure)
	b.settled()
	assert.NotContains(t, b.log.String(), "hunter2-and-more")
}

func TestOutputThatGivesASecretAway(t *testing.T) {
	for name, tt := range map[string]struct {
		allowed bool
		value   string
		kind    event.ReportKind
	}{
		"the value":         {false, " hunter2-and-more\n", event.ReportFailed},
		"inside a text":     {false, "it is hunter2-and-more", event.ReportFailed},
		"a part of it":      {false, "hunter2", event.ReportSucceeded},
		"allowed by a flag": {true, "hunter2-and-more", event.ReportSucceeded},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			task := returns(map[string]any{"harmless": "x", "word": tt.value}, nil)
			b.start("r1", function.Registry{"KubeTask": task.factory}, func(_ *Deps, o *Options) { o.AllowSecretOutputs = tt.allowed })
			b.publish(event.Job{Key: b.key(event.KindCore, 0)})
			r := b.report()
			assert.Equal(t, tt.kind, r.Kind)
			if tt.kind == event.ReportSucceeded {
				return
			}
			assert.Equal(t, event.ReasonOutput, r.Failure.Reason)
			assert.Contains(t, r.Failure.Message, `output "word"`)
			assert.NotContains(t, r.Failure.Message, "hunter2")
			assert.Nil(t, r.Output)
			b.settled()
			assert.NotContains(t, b.log.String(), "hunter2")
		})
	}
}

func TestArgumentsThatCannotBeRendered(t *testing.T) {
	b := newBench(t, func(a *kanister.BlueprintAction) { a.Phases[0].Args["image"] = "{{ .Options.missing }}" })
	task := returns(nil, nil)
	b.start("r1", function.Registry{"KubeTask": task.factory}, nil)
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	r := b.report()
	assert.Equal(t, event.ReasonRender, r.Failure.Reason)
	assert.Contains(t, r.Failure.Message, "missing")
	assert.Empty(t, task.began)
}

func TestSecretThatIsGone(t *testing.T) {
	b := newBench(t, nil)
	require.NoError(t, b.kube.CoreV1().Secrets("shop").Delete(t.Context(), "db", metav1.DeleteOptions{}))
	b.start("r1", nil, nil)
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	assert.Equal(t, event.ReasonNotFound, b.report().Failure.Reason)
}

func TestOutputsOfEarlierPhases(t *testing.T) {
	b := newBench(t, func(a *kanister.BlueprintAction) {
		a.DeferPhase.Args["command"] = []any{"{{ .Phases.dump.Output.path }}"}
	})
	b.update(func(r *event.Run) {
		large, err := stream.NewBlobs(b.js).Put(t.Context(), map[string]any{"path": strings.Repeat("x", 2*event.InlineLimit)})
		require.NoError(t, err)
		require.Nil(t, large.Inline)
		r.Actions[0].Phases[0].State, r.Actions[0].Phases[0].Output = event.StateComplete, &large
	})
	task := returns(nil, nil)
	b.start("r1", function.Registry{"KubeTask": task.factory}, nil)
	b.publish(event.Job{Key: b.key(event.KindDefer, 0)})
	c := within(t, task.began, "the call")
	assert.Equal(t, []any{strings.Repeat("x", 2*event.InlineLimit)}, c.Args["command"])
	assert.Nil(t, b.report().Output, "nothing published")
}

func TestLargeOutputGoesToTheObjectStore(t *testing.T) {
	b := newBench(t, nil)
	value := strings.Repeat("v", 3<<20)
	b.start("r1", function.Registry{"KubeTask": returns(map[string]any{"big": value, "small": "s"}, nil).factory}, nil)
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	r := b.report()
	require.Equal(t, event.ReportSucceeded, r.Kind)
	assert.Nil(t, r.Output.Inline)
	assert.Equal(t, "s", r.Excerpt["small"])
	assert.Less(t, len(fmt.Sprint(r.Excerpt["big"])), 300)
	var output map[string]any
	require.NoError(t, stream.NewBlobs(b.js).Get(t.Context(), *r.Output, &output))
	assert.Equal(t, value, output["big"])
}

func TestArtifacts(t *testing.T) {
	artifacts := func(text string) func(*kanister.BlueprintAction) {
		return func(a *kanister.BlueprintAction) {
			a.OutputArtifacts = map[string]kanister.Artifact{"dump": {KeyValue: map[string]string{"path": text}}}
		}
	}
	t.Run("after the last phase", func(t *testing.T) {
		b := newBench(t, artifacts("{{ .Phases.dump.Output.path }}"))
		b.start("r1", function.Registry{"KubeTask": returns(map[string]any{"path": "a/b"}, nil).factory}, nil)
		b.publish(event.Job{Key: b.key(event.KindCore, 0), RenderArtifacts: true})
		r := b.report()
		assert.Equal(t, map[string]kanister.Artifact{"dump": {KeyValue: map[string]string{"path": "a/b"}}}, r.Artifacts)
		assert.Nil(t, r.ArtifactsFailure)
	})
	t.Run("that cannot be rendered", func(t *testing.T) {
		b := newBench(t, artifacts("{{ .Phases.dump.Output.nope }}"))
		b.start("r1", function.Registry{"KubeTask": returns(map[string]any{"path": "a/b"}, nil).factory}, nil)
		b.publish(event.Job{Key: b.key(event.KindCore, 0), RenderArtifacts: true})
		r := b.report()
		assert.Equal(t, event.ReportSucceeded, r.Kind, "the phase itself ended well")
		assert.Equal(t, event.ReasonRender, r.ArtifactsFailure.Reason)
		assert.Nil(t, r.Artifacts)
	})
	t.Run("too large for a status", func(t *testing.T) {
		b := newBench(t, artifacts("{{ .Phases.dump.Output.path }}"))
		b.start("r1", function.Registry{"KubeTask": returns(map[string]any{"path": strings.Repeat("x", 512<<10)}, nil).factory}, nil)
		b.publish(event.Job{Key: b.key(event.KindCore, 0), RenderArtifacts: true})
		r := b.report()
		assert.Equal(t, event.ReasonOutput, r.ArtifactsFailure.Reason)
		assert.Contains(t, r.ArtifactsFailure.Message, "kando location push")
	})
	t.Run("of an action without phases", func(t *testing.T) {
		b := newBench(t, artifacts("{{ .Options.word }}"))
		b.start("r1", nil, nil)
		b.publish(event.Job{Key: b.key(event.KindRender, 0)})
		r := b.report()
		assert.Equal(t, event.ReportSucceeded, r.Kind)
		assert.Equal(t, "hello", r.Artifacts["dump"].KeyValue["path"])
	})
}

func TestPanicFailsItsPhaseOnly(t *testing.T) {
	b := newBench(t, nil)
	task := newCall(func(context.Context, *function.Call) (map[string]any, error) { panic("hunter2-and-more") })
	exec := returns(nil, nil)
	b.start("r1", function.Registry{"KubeTask": task.factory, "KubeExec": exec.factory}, nil)
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	r := b.report()
	assert.Equal(t, event.ReasonInternal, r.Failure.Reason)
	assert.NotContains(t, r.Failure.Message, "hunter2-and-more")
	assert.NotContains(t, r.Failure.Message, "goroutine")
	assert.Contains(t, b.log.String(), "runner_test.go", "the stack is in the log")
	assert.NotContains(t, b.log.String(), "hunter2-and-more")
	b.publish(event.Job{Key: b.key(event.KindCore, 1)})
	assert.Equal(t, event.ReportSucceeded, b.report().Kind, "the runner goes on")
	b.settled()
}

// leftover is the pod of the first phase, as a runner that is lost leaves it.
func (b *bench) leftover() {
	b.t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", UID: "pod-1", Name: b.key(event.KindCore, 0).PodName(), Labels: map[string]string{
		"salvor.io/run": "u1", "salvor.io/actionset-namespace": "shop", "salvor.io/action": "0", "salvor.io/phase": "core-0", "salvor.io/attempt": "1",
	}}}
	_, err := b.kube.CoreV1().Pods("shop").Create(b.t.Context(), pod, metav1.CreateOptions{})
	require.NoError(b.t, err)
}

func TestStaleJobsAreDropped(t *testing.T) {
	for name, change := range map[string]func(*event.Run){
		"run has ended":   func(r *event.Run) { r.State = event.StateComplete },
		"phase has ended": func(r *event.Run) { r.Actions[0].Phases[0].State = event.StateFailed },
		"later attempt":   func(r *event.Run) { r.Actions[0].Phases[0].Attempt = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			task := returns(nil, nil)
			b.update(change)
			b.leftover()
			r := b.start("r1", function.Registry{"KubeTask": task.factory}, nil)
			require.Eventually(t, func() bool { return r.Ready() == nil }, patience, 10*time.Millisecond)
			b.publish(event.Job{Key: b.key(event.KindCore, 0)})
			b.settled()
			b.noReport()
			assert.Empty(t, task.began)
			assert.Zero(t, b.pods(), "a pod left over by a lost runner goes too")
		})
	}
	t.Run("end is reported, not decided upon", func(t *testing.T) {
		b := newBench(t, nil)
		task := returns(nil, nil)
		b.leftover()
		reports := stream.NewReports(b.js, event.SourceRunner)
		report := &event.Report{Kind: event.ReportSucceeded, Key: b.key(event.KindCore, 0), At: time.Unix(1, 0).UTC()}
		require.NoError(t, reports.Publish(t.Context(), report, ""))
		b.start("r1", function.Registry{"KubeTask": task.factory}, nil)
		b.publish(event.Job{Key: b.key(event.KindCore, 0)})
		b.settled()
		assert.Empty(t, task.began, "the effect would happen twice")
		waiting, err := reports.Pending(t.Context(), "shop", "u1")
		require.NoError(t, err)
		assert.Len(t, waiting, 1)
	})
	for name, tt := range map[string]struct {
		answer any
		code   int
		pods   int
	}{
		"run and ActionSet are gone": {&metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: 404, Reason: metav1.StatusReasonNotFound,
		}, http.StatusNotFound, 0},
		"record is lost, ActionSet goes on": {&kanister.ActionSet{
			TypeMeta:   metav1.TypeMeta{APIVersion: "cr.kanister.io/v1alpha1", Kind: "ActionSet"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "backup-1", UID: "u1"},
			Status:     &kanister.ActionSetStatus{State: kanister.StateRunning},
		}, http.StatusOK, 1},
	} {
		t.Run(name, func(t *testing.T) {
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.code)
				assert.NoError(t, json.NewEncoder(w).Encode(tt.answer))
			}))
			t.Cleanup(api.Close)
			clients, err := kube.New(&rest.Config{Host: api.URL})
			require.NoError(t, err)
			b := newBench(t, nil)
			clients.Kube = b.kube
			require.NoError(t, b.runs.Delete(t.Context(), "shop", "u1"))
			b.leftover()
			r := b.start("r1", nil, func(d *Deps, _ *Options) { d.Clients = clients })
			require.Eventually(t, func() bool { return r.Ready() == nil }, patience, 10*time.Millisecond)
			b.publish(event.Job{Key: b.key(event.KindCore, 0)})
			b.settled()
			b.noReport()
			assert.Equal(t, tt.pods, b.pods())
		})
	}
	t.Run("not known yet is no proof", func(t *testing.T) {
		b := newBench(t, nil)
		b.update(func(r *event.Run) {
			r.Actions[0].Phases[0].State, r.Actions[0].Phases[0].Attempt = event.StatePending, 0
		})
		b.start("r1", function.Registry{"KubeTask": returns(nil, nil).factory}, nil)
		b.publish(event.Job{Key: b.key(event.KindCore, 0)})
		b.update(func(r *event.Run) {
			r.Actions[0].Phases[0].State, r.Actions[0].Phases[0].Attempt = event.StateRunning, 1
		})
		assert.Equal(t, event.ReportSucceeded, b.report().Kind)
	})
}

func TestFunctionThatMayRunOnceIsNotRunAgain(t *testing.T) {
	b := newBench(t, nil)
	exec := returns(nil, nil)
	require.NoError(t, b.leases.MarkStarted(t.Context(), b.key(event.KindCore, 1), "an earlier runner"))
	b.start("r1", function.Registry{"KubeExec": exec.factory}, nil)
	b.publish(event.Job{Key: b.key(event.KindCore, 1)})
	r := b.report()
	assert.Equal(t, event.ReportFailed, r.Kind)
	assert.Equal(t, event.ReasonInterrupted, r.Failure.Reason)
	assert.Contains(t, r.Failure.Message, "create the ActionSet anew")
	assert.Empty(t, exec.began)
}

func TestFunctionIsMarkedBeforeItRuns(t *testing.T) {
	b := newBench(t, nil)
	exec := newCall(func(ctx context.Context, _ *function.Call) (map[string]any, error) {
		return nil, b.leases.MarkStarted(ctx, b.key(event.KindCore, 1), "another")
	})
	b.start("r1", function.Registry{"KubeExec": exec.factory}, nil)
	b.publish(event.Job{Key: b.key(event.KindCore, 1)})
	require.ErrorIs(t, within(t, exec.ended, "the call"), stream.ErrExists)
	b.report()
}

func TestUnknownFunction(t *testing.T) {
	b := newBench(t, nil)
	b.start("r1", nil, func(d *Deps, _ *Options) { d.Functions = function.Registry{} })
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	r := b.report()
	assert.Equal(t, event.ReasonInvalid, r.Failure.Reason)
	assert.Contains(t, r.Failure.Message, `"KubeTask"`)
}

func TestReportThatCannotBeStoredIsNotLost(t *testing.T) {
	b := newBench(t, nil)
	task := newCall(func(ctx context.Context, _ *function.Call) (map[string]any, error) {
		assert.NoError(t, b.js.DeleteStream(ctx, event.StreamReports))
		return nil, errTest
	})
	b.start("r1", function.Registry{"KubeTask": task.factory}, nil)
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	require.ErrorIs(t, within(t, task.ended, "the call"), errTest)
	require.Eventually(t, func() bool { return strings.Contains(b.log.String(), "cannot store the report") }, patience, 10*time.Millisecond)
	require.NoError(t, stream.Ensure(t.Context(), b.js, stream.DefaultSettings()))
	var err error
	b.got, err = stream.NewReports(b.js, event.SourceRunner).Consumer(t.Context(), time.Minute)
	require.NoError(t, err)
	assert.Equal(t, "it is broken", b.report().Failure.Message)
	b.settled()
}

func TestProgressIsTold(t *testing.T) {
	b := newBench(t, nil)
	resume := make(chan struct{})
	task := newCall(func(_ context.Context, c *function.Call) (map[string]any, error) {
		c.Progress(kanister.PhaseProgress{PercentCompleted: "40"})
		<-resume
		return nil, nil
	})
	b.start("r1", function.Registry{"KubeTask": task.factory}, nil)
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	r := b.report()
	assert.Equal(t, event.ReportProgress, r.Kind)
	assert.Equal(t, "40", r.Progress.PercentCompleted)
	close(resume)
	assert.Equal(t, event.ReportSucceeded, b.report().Kind)
}

func TestNoMoreJobsThanSlots(t *testing.T) {
	b := newBench(t, nil)
	task := blocks()
	b.start("r1", function.Registry{"KubeTask": task.factory}, func(_ *Deps, o *Options) { o.Slots = 1 })
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	within(t, task.began, "the first call")
	b.publish(event.Job{Key: b.key(event.KindCore, 1)})
	consumer, err := b.jobs.Consumer(t.Context(), event.DefaultPool, DefaultOptions().AckWait)
	require.NoError(t, err)
	// What was published a moment ago may not be counted yet.
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		info, err := consumer.Info(t.Context())
		require.NoError(c, err)
		assert.Equal(c, 1, info.NumAckPending, "the second job stays in the queue for others")
		assert.EqualValues(c, 1, info.NumPending)
	}, patience, 10*time.Millisecond)
	b.cancel()
	assert.Equal(t, 0, b.report().Key.Phase)
	assert.Equal(t, 1, b.report().Key.Phase, "in the slot of the first")
}

func (b *bench) pods() int {
	b.t.Helper()
	list, err := b.kube.CoreV1().Pods("").List(b.t.Context(), metav1.ListOptions{})
	require.NoError(b.t, err)
	return len(list.Items)
}

// Kanister, too, falls back and says so.
func TestVersionThatAFunctionDoesNotHave(t *testing.T) {
	b := newBench(t, nil)
	b.update(func(run *event.Run) { run.Actions[0].Spec.PreferredVersion = "v1.2.3" })
	f := returns(map[string]any{"k": "v"}, nil)
	b.start("r1", function.Registry{"KubeTask": f.factory}, nil)
	b.publish(event.Job{Key: b.key(event.KindCore, 0)})
	assert.Equal(t, event.ReportSucceeded, b.report().Kind)
	assert.Contains(t, b.log.String(), `"preferredVersion":"v1.2.3"`)
	assert.Contains(t, b.log.String(), "KubeTask has no such version; it runs as v0.0.0")
	assert.Contains(t, b.log.String(), `"kanister.io/JobID":"7"`, "an ActionSet's labels of Kanister's are in its logs, under their whole names")
	assert.NotContains(t, b.log.String(), `"other":"x"`)
	b.settled()
}
