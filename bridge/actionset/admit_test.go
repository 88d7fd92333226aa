package actionset

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/status"
)

func anActionSet(state kanister.State, change func(as *kanister.ActionSet)) *kanister.ActionSet {
	as := &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "as", UID: "u"},
		Spec:       &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{Name: "backup", Blueprint: "bp"}}},
	}
	if state != "" {
		as.Status = &kanister.ActionSetStatus{State: state}
	}
	if change != nil {
		change(as)
	}
	return as
}

func owned(as *kanister.ActionSet) {
	as.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}, {Manager: status.FieldManager, Subresource: "status"}}
}

func TestJudge(t *testing.T) {
	now := metav1.Now()
	deleted := func(as *kanister.ActionSet) { as.DeletionTimestamp = &now }
	for name, c := range map[string]struct {
		as   *kanister.ActionSet
		want verdict
	}{
		"new":                  {anActionSet("", nil), admit},
		"status without state": {anActionSet("", func(as *kanister.ActionSet) { as.Status = &kanister.ActionSetStatus{} }), admit},
		"ours, pending":        {anActionSet(kanister.StatePending, owned), admit},
		"ours, running":        {anActionSet(kanister.StateRunning, owned), admit},
		"another's, pending":   {anActionSet(kanister.StatePending, nil), foreign},
		"another's, running":   {anActionSet(kanister.StateRunning, nil), foreign},
		"complete":             {anActionSet(kanister.StateComplete, nil), ended},
		"ours, failed":         {anActionSet(kanister.StateFailed, owned), ended},
		"being deleted":        {anActionSet("", deleted), leaving},
		"ended and deleted":    {anActionSet(kanister.StateFailed, deleted), ended},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, judge(c.as)) })
	}
}

func TestRecoverable(t *testing.T) {
	now := time.Date(2026, 1, 9, 0, 0, 0, 0, time.UTC)
	wrote := func(ago time.Duration) *kanister.ActionSet {
		return anActionSet(kanister.StateRunning, func(as *kanister.ActionSet) {
			owned(as)
			as.ManagedFields[1].Time = &metav1.Time{Time: now.Add(-ago)}
		})
	}
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		as    *kanister.ActionSet
		since time.Time
		want  bool
	}{
		"the store is new":                   {wrote(8 * day), now.Add(-time.Minute), true},
		"the end of the store was lost":      {wrote(time.Hour), now.Add(-90 * day), true},
		"the record was cleared away":        {wrote(8 * day), now.Add(-90 * day), false},
		"nobody knows when it was written":   {anActionSet(kanister.StateRunning, owned), now.Add(-90 * day), true},
		"another's write says nothing of it": {anActionSet(kanister.StateRunning, nil), now.Add(-90 * day), true},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, recoverable(c.as, c.since, now)) })
	}
}

func TestCheckNamesTheField(t *testing.T) {
	second := func(change func(a *kanister.ActionSpec)) *kanister.ActionSet {
		return anActionSet("", func(as *kanister.ActionSet) {
			a := kanister.ActionSpec{Name: "b", Blueprint: "bp"}
			change(&a)
			as.Spec.Actions = append(as.Spec.Actions, a)
		})
	}
	for name, c := range map[string]struct {
		as   *kanister.ActionSet
		want string
	}{
		"good":          {anActionSet("", nil), ""},
		"good version":  {second(func(a *kanister.ActionSpec) { a.PreferredVersion = "v0.0.0" }), ""},
		"short version": {second(func(a *kanister.ActionSpec) { a.PreferredVersion = "1" }), ""},
		"no spec":       {anActionSet("", func(as *kanister.ActionSet) { as.Spec = nil }), "spec.actions is empty"},
		"no actions":    {anActionSet("", func(as *kanister.ActionSet) { as.Spec.Actions = nil }), "spec.actions is empty"},
		"no name":       {second(func(a *kanister.ActionSpec) { a.Name = "" }), "spec.actions[1].name is empty"},
		"no blueprint":  {second(func(a *kanister.ActionSpec) { a.Blueprint = "" }), "spec.actions[1].blueprint is empty"},
		"bad version":   {second(func(a *kanister.ActionSpec) { a.PreferredVersion = "new" }), `spec.actions[1].preferredVersion "new" is not`},
	} {
		t.Run(name, func(t *testing.T) {
			got := check(c.as)
			if c.want == "" {
				assert.Nil(t, got)
				return
			}
			require.NotNil(t, got)
			assert.Equal(t, event.ReasonInvalid, got.Reason)
			assert.True(t, strings.HasPrefix(got.Message, c.want), got.Message)
		})
	}
}

func TestNewRun(t *testing.T) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	as := anActionSet("", func(as *kanister.ActionSet) {
		as.Labels = map[string]string{"kanister.io/job": "1"}
		as.Annotations = map[string]string{salvor.AnnotationTraceparent: trace}
	})
	assert.Equal(t, &event.Run{
		Version: event.RunVersion, UID: "u", Namespace: "ns", Name: "as", Labels: as.Labels, Traceparent: trace,
		CreatedAt: now, UpdatedAt: now, State: event.StatePending,
		Actions: []event.Action{{Spec: as.Spec.Actions[0], State: event.StatePending}},
	}, newRun(as, now))
	as.Annotations[salvor.AnnotationTraceparent] = "not a trace"
	assert.Empty(t, newRun(as, now).Traceparent)
}

// What is kept of an ActionSet is what somebody reads.
func TestSlim(t *testing.T) {
	as := anActionSet(kanister.StateRunning, func(as *kanister.ActionSet) {
		owned(as)
		as.ManagedFields[1].FieldsV1 = metav1.NewFieldsV1("{}")
		as.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: "x", "kept": "y"}
		as.Status.Actions = []kanister.ActionStatus{{
			Artifacts:  map[string]kanister.Artifact{"a": {}},
			Phases:     []kanister.Phase{{Name: "p", State: kanister.StateRunning, Output: kanister.JSONMap{"big": "x"}}},
			DeferPhase: &kanister.Phase{Output: kanister.JSONMap{"big": "x"}},
		}}
	})
	kept, err := slim(as)
	require.NoError(t, err)
	got, ok := kept.(*kanister.ActionSet)
	require.True(t, ok)
	assert.True(t, ours(got))
	assert.Equal(t, []metav1.ManagedFieldsEntry{{Manager: status.FieldManager, Subresource: "status"}}, got.ManagedFields)
	assert.Equal(t, map[string]string{"kept": "y"}, got.Annotations)
	assert.NotNil(t, got.Spec)
	assert.Equal(t, []kanister.ActionStatus{{
		Phases: []kanister.Phase{{Name: "p", State: kanister.StateRunning}}, DeferPhase: &kanister.Phase{},
	}}, got.Status.Actions)

	kept, err = slim(anActionSet(kanister.StateComplete, owned))
	require.NoError(t, err)
	got, ok = kept.(*kanister.ActionSet)
	require.True(t, ok)
	assert.Nil(t, got.Spec)
	assert.Equal(t, kanister.StateComplete, state(got))
}
