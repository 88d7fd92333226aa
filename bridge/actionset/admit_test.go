package actionset

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/status"
	"github.com/salvor-io/salvor/internal/telemetry"
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
		t.Run(name, func(t *testing.T) {
			in := New(Config{Clock: clocktesting.NewFakeClock(now), RunRetention: 168 * time.Hour})
			assert.Equal(t, c.want, in.recoverable(c.as, c.since, now))
		})
	}
	short := New(Config{Clock: clocktesting.NewFakeClock(now), RunRetention: 30 * time.Minute})
	assert.False(t, short.recoverable(wrote(time.Hour), now.Add(-90*day), now), "a short retention clears records away sooner")
}

// An ActionSet without a status is run unless its record may have come and gone.
func TestPerhapsDone(t *testing.T) {
	now := time.Date(2026, 1, 9, 0, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		age, store time.Duration
		want       bool
	}{
		"new":                             {time.Minute, 90 * day, false},
		"waited, but not for long":        {6 * day, 90 * day, false},
		"waited longer than records live": {8 * day, 90 * day, true},
		"older than the store":            {8 * day, 5 * day, false},
		"created in the moment the store": {8 * day, 8 * day, true},
	} {
		t.Run(name, func(t *testing.T) {
			as := anActionSet("", func(as *kanister.ActionSet) { as.CreationTimestamp = metav1.NewTime(now.Add(-c.age)) })
			assert.Equal(t, c.want, perhapsDone(as, now.Add(-c.store), now, 7*day))
		})
	}
}

func TestDue(t *testing.T) {
	pause, stop := map[string]string{salvor.AnnotationPause: " night "}, map[string]string{salvor.AnnotationCancel: ""}
	both := map[string]string{salvor.AnnotationPause: "x", salvor.AnnotationCancel: "y"}
	for name, c := range map[string]struct {
		annotations map[string]string
		known       status.Knowledge
		last        event.ReportKind
		want        event.ReportKind
		reason      string
	}{
		"nothing":                         {want: ""},
		"pause":                           {annotations: pause, want: event.ReportPause, reason: "night"},
		"paused already":                  {annotations: pause, known: status.Knowledge{Paused: true}},
		"pause is on its way":             {annotations: pause, last: event.ReportPause},
		"resume":                          {known: status.Knowledge{Paused: true}, want: event.ReportResume},
		"resume is on its way":            {known: status.Knowledge{Paused: true}, last: event.ReportResume},
		"taken back before it was there":  {last: event.ReportPause, want: event.ReportResume},
		"and put back again":              {annotations: pause, known: status.Knowledge{Paused: true}, last: event.ReportResume, want: event.ReportPause, reason: "night"},
		"cancel":                          {annotations: stop, want: event.ReportCancel, reason: noReason},
		"cancel goes first":               {annotations: both, want: event.ReportCancel, reason: "y"},
		"cancelling":                      {annotations: both, known: status.Knowledge{Cancelling: true}},
		"cancel is on its way":            {annotations: both, last: event.ReportCancel},
		"a cancel cannot be taken back":   {known: status.Knowledge{Cancelling: true, Paused: true}},
		"a retry says nothing of a pause": {annotations: pause, last: event.ReportRetry, want: event.ReportPause, reason: "night"},
	} {
		t.Run(name, func(t *testing.T) {
			kind, reason := due(c.annotations, c.known, c.last)
			assert.Equal(t, c.want, kind)
			assert.Equal(t, c.reason, reason)
		})
	}
	_, long := due(map[string]string{salvor.AnnotationPause: strings.Repeat("ß", 5000)}, status.Knowledge{}, "")
	assert.Less(t, len(long), 1100)
}

// What a status says of a lost run is taken over, but for outputs of which it has
// only the beginning.
func TestRecall(t *testing.T) {
	as := anActionSet(kanister.StateRunning, func(as *kanister.ActionSet) {
		as.Spec.Actions = append(as.Spec.Actions, kanister.ActionSpec{Name: "other", Blueprint: "bp"})
	})
	run := newRun(as, time.Now())
	run.Actions[0].Phases = []event.Phase{
		{Name: "small", State: event.StateComplete, Output: &event.Payload{Inline: []byte(`{"a":"b"}`)}},
		{Name: "large", State: event.StateComplete, Output: &event.Payload{Digest: "sha256:x", Size: 1 << 20}, Excerpt: map[string]any{"a": "beg"}},
	}
	run.Retry = &event.Retry{Token: "x7: y", Round: 2, At: time.Unix(1000, 0)}
	said := status.Project(run)
	said.Actions = said.Actions[:1]
	again := newRun(as, time.Now())
	recall(said, again)
	require.NotNil(t, again.Retry, "a retry that was granted is not granted once more")
	assert.Equal(t, "x7: y", again.Retry.Token)
	assert.Equal(t, 2, again.Retry.Round)
	assert.True(t, again.Retry.At.Equal(run.Retry.At))
	require.NotNil(t, again.Actions[0].Recovered)
	assert.Equal(t, kanister.JSONMap{"a": "b"}, again.Actions[0].Recovered.Phases[0].Output)
	assert.Equal(t, kanister.StateComplete, again.Actions[0].Recovered.Phases[1].State)
	assert.Nil(t, again.Actions[0].Recovered.Phases[1].Output)
	assert.NotNil(t, said.Actions[0].Phases[1].Output, "the status itself is left as it is")
	assert.Nil(t, again.Actions[1].Recovered, "nothing was recorded of it")
	recall(nil, again)

	said.Actions[0].Name = "another"
	again = newRun(as, time.Now())
	recall(said, again)
	assert.Nil(t, again.Actions[0].Recovered, "the record is of something else")
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
		Annotations: map[string]string{salvor.AnnotationTraceparent: trace},
		CreatedAt:   now, UpdatedAt: now, State: event.StatePending,
		Actions: []event.Action{{Spec: as.Spec.Actions[0], State: event.StatePending}},
	}, newRun(as, now))
	as.Annotations[salvor.AnnotationTraceparent] = "not a trace"
	assert.Equal(t, telemetry.ForRun("u"), newRun(as, now).Traceparent, "one that is made from the UID")

	// Policies stay with the run; requests do not.
	as.Labels[salvor.LabelRetry] = "t"
	as.Annotations = map[string]string{
		"salvor.io/attempts": "3", salvor.AnnotationPause: "", salvor.AnnotationCancel: "x", "example.com/mine": "y",
	}
	got := newRun(as, now)
	assert.Equal(t, map[string]string{"salvor.io/attempts": "3"}, got.Annotations)
	assert.Equal(t, map[string]string{"kanister.io/job": "1"}, got.Labels)
	assert.Equal(t, &event.Pause{Reason: noReason, At: now}, got.Pause, "paused from its first moment")
	assert.Contains(t, as.Labels, salvor.LabelRetry, "the ActionSet itself is left as it is")
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
