package event_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// sampleEnded is a run that failed, with what must not be told of it.
func sampleEnded() *event.Run {
	run := sampleRun()
	end := at.Add(time.Minute)
	failure := &event.Failure{Reason: event.ReasonPodFailed, Message: "exit code 1"}
	run.State, run.UpdatedAt, run.Failure = event.StateFailed, end, failure
	run.Labels[salvor.LabelTrigger] = "orders-closed"
	run.Annotations = map[string]string{salvor.AnnotationChain: "1f5b,2a6c"}
	a := &run.Actions[0]
	a.Spec.Options["password"] = "canary-option"
	a.State, a.EndedAt = event.StateFailed, &end
	a.Phases[1].State, a.Phases[1].EndedAt, a.Phases[1].Failure = event.StateFailed, &end, failure
	a.Phases[1].Output = &event.Payload{Inline: json.RawMessage(`{"x":"canary-output"}`)}
	a.DeferPhase.State, a.DeferPhase.Attempt, a.DeferPhase.EndedAt = event.StateComplete, 1, &end
	a.Artifacts = map[string]kanister.Artifact{"dump": {KeyValue: map[string]string{"path": "canary-artifact"}}}
	return run
}

func lifecycleEvent(t *testing.T, run *event.Run) cloudevents.Event {
	t.Helper()
	told, ok := event.RunEnded(run)
	require.True(t, ok)
	e, err := event.NewLifecycleEvent(told.Type, told.ID, told.At, run.Traceparent, &told.Lifecycle)
	require.NoError(t, err)
	return e
}

func TestLifecycleNamesAndTellsNoContent(t *testing.T) {
	t.Parallel()
	e := lifecycleEvent(t, sampleEnded())
	assert.Equal(t, event.TypeRunFailed, e.Type())
	assert.Equal(t, map[string]any{
		event.ExtTraceparent: trace, event.ExtTrigger: "orders-closed", event.ExtChain: "1f5b,2a6c",
		event.ExtAction: "backup", event.ExtBlueprint: "postgresql",
	}, e.Extensions())
	assert.NotContains(t, string(e.Data()), "canary")
	var l event.Lifecycle
	require.NoError(t, e.DataAs(&l))
	assert.Equal(t, []string{"dump"}, l.Actions[0].Artifacts)
	require.Len(t, l.Actions[0].Phases, 3)
	assert.Equal(t, event.KindDefer, l.Actions[0].Phases[2].Kind)
	assert.Equal(t, event.ReasonPodFailed, l.Actions[0].Phases[1].Reason)
	assert.Equal(t, at, *l.StartedAt)
	assert.Equal(t, at.Add(time.Minute), *l.EndedAt)
	assert.False(t, l.Truncated)
}

func TestLifecycleOfAPhase(t *testing.T) {
	t.Parallel()
	run := sampleEnded()
	told, ok := event.PhaseEnded(run, sampleKey(), &run.Actions[0].Phases[1])
	require.True(t, ok)
	assert.Equal(t, event.TypePhaseFailed, told.Type)
	assert.Equal(t, sampleKey().String()+".failed", told.ID)
	l := told.Lifecycle
	assert.Equal(t, "dump", l.Phase)
	assert.Equal(t, event.KindCore, l.Kind)
	assert.Equal(t, "postgresql", l.Blueprint)
	assert.Empty(t, l.Actions)
	_, ok = event.PhaseEnded(run, sampleKey(), &event.Phase{State: event.StateRunning})
	assert.False(t, ok)
	_, ok = event.RunEnded(sampleRun())
	assert.False(t, ok)
}

// A run may hold many actions and names of any length; its event is small.
func TestLifecycleIsBounded(t *testing.T) {
	t.Parallel()
	run := sampleEnded()
	run.Failure = &event.Failure{Reason: event.ReasonFailed, Message: strings.Repeat("ä", event.MessageLimit)}
	action := run.Actions[0]
	action.Spec.Name = strings.Repeat("ü", 5000) + "\n"
	run.Actions = nil
	for range 200 {
		for range 20 {
			action.Phases = append(action.Phases, event.Phase{Name: strings.Repeat("x", 300), State: event.StateComplete})
		}
		run.Actions = append(run.Actions, action)
	}
	e := lifecycleEvent(t, run)
	require.NoError(t, e.Validate())
	assert.Less(t, len(e.Data()), 96<<10)
	var l event.Lifecycle
	require.NoError(t, e.DataAs(&l))
	assert.True(t, l.Truncated)
	assert.LessOrEqual(t, len(l.Action), event.LifecycleName)
	assert.True(t, utf8.ValidString(l.Action))
	assert.LessOrEqual(t, len(l.Failure.Message), event.MessageLimit)
	name, _ := e.Extensions()[event.ExtAction].(string)
	assert.NotContains(t, name, "\n")
}
