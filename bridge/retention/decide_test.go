package retention

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

var noon = time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)

// aBackup is complete and h hours old.
func aBackup(name string, h int) seen {
	return seen{name: name, uid: "uid-" + name, version: "1", at: noon.Add(-time.Duration(h) * time.Hour), state: good, marks: []mark{{name[0], name[len(name)-1]}}}
}

// aPrune of a backup, ended h hours ago.
func aPrune(of string, attempt int, s state, h int) seen {
	return seen{
		name: of + "-prune", uid: "uid-prune-" + of, version: "1", of: of, ofUID: "uid-" + of, attempt: attempt, state: s,
		at: noon.Add(-100 * time.Hour), ended: noon.Add(-time.Duration(h) * time.Hour), failure: "away",
	}
}

func by(action string, s seen) seen {
	s.action = action
	return s
}

func keepOne() *salvor.Retention { return &salvor.Retention{Count: new(int32(1))} }

func words(steps []step) string {
	var out []string
	for _, s := range steps {
		out = append(out, map[kind]string{begin: "begin ", again: "again ", remove: "remove ", finish: "finish ", discard: "discard "}[s.kind]+
			map[bool]string{true: s.backup.name, false: s.prune.name}[s.backup.name != ""])
	}
	return strings.Join(out, ", ")
}

// What is there says where a prune is, and what comes next.
func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name          string
		made, pruning []seen
		steps, wanted string
		reason        string
	}{
		{"oldest first", []seen{aBackup("a", 1), aBackup("b", 3), aBackup("c", 2)}, nil, "", "begin b, begin c", ""},
		{"under way", []seen{aBackup("a", 1), aBackup("b", 2)}, []seen{aPrune("b", 1, open, 0)}, "", "", ""},
		{"its data are gone", []seen{aBackup("a", 1), aBackup("b", 2)}, []seen{aPrune("b", 1, good, 0)}, "finish b", "", ""},
		{"its ActionSet too", []seen{aBackup("a", 1)}, []seen{aPrune("b", 1, good, 0)}, "discard b-prune", "", ""},
		{"failed, not due", []seen{aBackup("a", 1), aBackup("b", 2)}, []seen{aPrune("b", 9, bad, 1)}, "", "", reasonPruneFailed},
		{"failed, not due, and another action is named", []seen{aBackup("a", 1), aBackup("b", 2)}, []seen{by("purge", aPrune("b", 9, bad, 1))}, "", "again b", reasonPruneFailed},
		{"failed, not due, by the action that is named", []seen{aBackup("a", 1), aBackup("b", 2)}, []seen{by("delete", aPrune("b", 9, bad, 1))}, "", "", reasonPruneFailed},
		{"failed and due", []seen{aBackup("a", 1), aBackup("b", 2)}, []seen{aPrune("b", 1, bad, 1)}, "", "again b", reasonPruneFailed},
		{"failed, due, deleted by hand", []seen{aBackup("a", 1)}, []seen{aPrune("b", 1, bad, 1)}, "", "again b-prune", reasonPruneFailed},
		{"failed, due, and nothing else is left", []seen{aBackup("b", 2)}, []seen{aPrune("b", 1, bad, 1)}, "", "", reasonPruneFailed},
		{"two attempts", []seen{aBackup("a", 1), aBackup("b", 2)}, []seen{aPrune("b", 1, bad, 9), aPrune("b", 2, open, 0)}, "discard b-prune", "", ""},
		{"what is being pruned is no backup", []seen{aBackup("a", 1), aBackup("b", 2)}, []seen{aPrune("a", 1, bad, 0)}, "", "", reasonPruneFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := decide(input{keep: keepOne(), now: noon, slots: 2, made: c.made, pruning: c.pruning})
			assert.Equal(t, c.steps, words(p.steps))
			assert.Equal(t, c.wanted, words(p.wanted))
			assert.Equal(t, c.reason, p.report.reason, p.report.message)
		})
	}
}

// Each key has a last backup of its own.
func TestDecideByKey(t *testing.T) {
	other := aBackup("b", 9)
	other.key = "another"
	assert.Empty(t, words(decide(input{keep: keepOne(), now: noon, made: []seen{aBackup("a", 1), other}}).wanted))
}

// What is complete and left nothing pushes no backup out.
func TestDecideWithoutArtifacts(t *testing.T) {
	none := func(name string, h int) seen {
		s := aBackup(name, h)
		s.marks = nil
		return s
	}
	p := decide(input{keep: keepOne(), now: noon, made: []seen{none("a", 1), none("b", 2), aBackup("c", 3), aBackup("d", 4)}})
	assert.Equal(t, "remove b", words(p.steps))
	assert.Equal(t, "begin d", words(p.wanted))
}

func TestDecideFailedActionSets(t *testing.T) {
	failed := func(name string, h int, left bool) seen {
		s := aBackup(name, h)
		s.state = bad
		if !left {
			s.marks = nil
		}
		return s
	}
	keep := keepOne()
	keep.Failed = new(int32(1))
	p := decide(input{keep: keep, now: noon, made: []seen{failed("a", 1, true), failed("b", 2, false), failed("c", 3, false), aBackup("d", 4)}})
	assert.Equal(t, "remove c", words(p.steps), "what left artifacts neither goes nor counts")
	assert.Empty(t, p.wanted)
}

func TestDecideStopsWhenManyFail(t *testing.T) {
	in := input{keep: keepOne(), now: noon, slots: 2, made: []seen{aBackup("a", 1), aBackup("b", 2)}}
	for i := range mostFailing {
		in.pruning = append(in.pruning, aPrune("x"+string(rune('a'+i)), 9, bad, 0))
	}
	assert.Empty(t, decide(in).wanted)
}

func TestBackoff(t *testing.T) {
	assert.Equal(t, time.Minute, backoff(0))
	assert.Equal(t, time.Minute, backoff(1))
	assert.Equal(t, 4*time.Minute, backoff(3))
	assert.Equal(t, 6*time.Hour, backoff(1000))
}

// Of several that share all, the newest is removed with the data, and the others
// without; what shares in part stays.
func TestSettle(t *testing.T) {
	a, b, c := aBackup("a", 3), aBackup("b", 2), aBackup("c", 1)
	x, y := mark{'x'}, mark{'y'}
	a.marks, b.marks, c.marks = []mark{x}, []mark{x}, []mark{x, y}
	in := func(all ...seen) others {
		o := others{holders: map[mark][]holder{}, users: map[mark]string{}}
		for _, s := range all {
			for _, m := range s.marks {
				o.holders[m] = append(o.holders[m], holder{seen: s})
			}
		}
		return o
	}
	begins := func(all ...seen) (out []step) {
		for _, s := range all {
			out = append(out, step{kind: begin, backup: s})
		}
		return out
	}
	steps, r := settle(begins(a, b), in(a, b), 2)
	assert.Equal(t, "remove a", words(steps))
	assert.Equal(t, 1, r.waiting)
	steps, _ = settle(begins(b), in(b), 2)
	assert.Equal(t, "begin b", words(steps))

	steps, r = settle(begins(c), in(b, c), 2)
	assert.Empty(t, steps)
	assert.Equal(t, reasonShared, r.reason)
	assert.Contains(t, r.message, "with b")

	used := in(b)
	used.users[x] = "restore"
	steps, r = settle(begins(b), used, 2)
	assert.Empty(t, steps)
	assert.Equal(t, 1, r.waiting)

	d, e := aBackup("d", 5), aBackup("e", 4)
	steps, r = settle(begins(d, e), in(d, e), 1)
	assert.Equal(t, "begin d", words(steps))
	assert.Equal(t, 2, r.removing)
}

// Each action that left artifacts is removed with its own; the rest is as it was.
func TestNewPrune(t *testing.T) {
	artifact := func(path string) map[string]kanister.Artifact {
		return map[string]kanister.Artifact{"dump": {KeyValue: map[string]string{"path": path}}}
	}
	backup := &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Name: "nightly-x", Namespace: "shop", UID: "u1", Annotations: map[string]string{salvor.AnnotationTriggerUID: "t1", salvor.AnnotationChain: "t0,t1"}},
		Spec: &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{
			{Name: "backup", Blueprint: "pg", Options: map[string]string{"a": "1"}, Artifacts: artifact("given")},
			{Name: "check", Blueprint: "pg"},
			{Name: "backup", Blueprint: "mongo", PodOverride: kanister.JSONMap{"serviceAccountName": "s"}},
		}},
		Status: &kanister.ActionSetStatus{State: kanister.StateComplete, Actions: []kanister.ActionStatus{
			{Name: "backup", Artifacts: artifact("p1")}, {Name: "check"}, {Name: "backup", Artifacts: artifact("p2")},
		}},
	}
	trigger := &salvor.ActionTrigger{ObjectMeta: metav1.ObjectMeta{Name: "nightly", UID: "t1"}, Spec: salvor.ActionTriggerSpec{Keep: &salvor.Retention{Action: "purge"}}}
	prune, err := newPrune(trigger, backup)
	require.NoError(t, err)
	assert.Equal(t, []kanister.ActionSpec{
		{Name: "purge", Blueprint: "pg", Options: map[string]string{"a": "1"}, Artifacts: artifact("p1")},
		{Name: "purge", Blueprint: "mongo", PodOverride: kanister.JSONMap{"serviceAccountName": "s"}, Artifacts: artifact("p2")},
	}, prune.Spec.Actions)
	assert.Equal(t, "t0,t1", prune.Annotations[salvor.AnnotationChain])
	assert.Empty(t, prune.Labels[salvor.LabelTrigger], "it is no backup of the trigger")
	assert.True(t, removed(prune, backup))
	again := nextPrune(prune)
	assert.NotEqual(t, prune.Name, again.Name)
	assert.Equal(t, "2", again.Annotations[salvor.AnnotationPruneAttempt])
	assert.True(t, removed(again, backup))
	assert.False(t, same(again, prune))
	again.Spec.Actions[1].Artifacts = artifact("p3")
	assert.False(t, removed(again, backup))

	backup.Status.Actions = backup.Status.Actions[:2]
	_, err = newPrune(trigger, backup)
	require.ErrorContains(t, err, "status.actions")
}

// Kanister's own blueprints delete with the namespace as the object, whatever they
// backed up.
func TestAdaptToKanistersBlueprints(t *testing.T) {
	const dir = "../../internal/blueprint/testdata/kanister"
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	require.NoError(t, err)
	namespaced := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var bp kanister.Blueprint
		require.NoError(t, yaml.Unmarshal(text, &bp))
		action := bp.Actions["delete"]
		if action == nil {
			continue
		}
		a := kanister.ActionSpec{Object: kanister.ObjectReference{Kind: "StatefulSet", Name: "db", Namespace: "data"}}
		adapt(&a, action, "shop")
		uses := strings.Contains(string(text), "{{ .Namespace.Name }}")
		assert.Equal(t, uses, a.Object.Kind == "Namespace", file)
		if uses {
			namespaced++
			assert.Equal(t, kanister.ObjectReference{Kind: "Namespace", Name: "data", Namespace: "data"}, a.Object)
		}
	}
	assert.GreaterOrEqual(t, namespaced, 5)

	// And what was adapted is known for what it is.
	spec := kanister.ActionSpec{Name: "backup", Object: kanister.ObjectReference{Kind: "StatefulSet", Name: "db"}}
	backup := &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "shop"}, Spec: &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{spec}},
		Status: &kanister.ActionSetStatus{Actions: []kanister.ActionStatus{{
			Name: "backup", Artifacts: map[string]kanister.Artifact{"a": {KopiaSnapshot: "{}"}},
		}}},
	}
	prune, err := newPrune(&salvor.ActionTrigger{Spec: salvor.ActionTriggerSpec{Keep: &salvor.Retention{}}}, backup)
	require.NoError(t, err)
	prune.Annotations = nil
	prune.Spec.Actions[0].Object = namespaceOf(spec.Object, "shop")
	assert.True(t, removed(prune, backup))
	prune.Spec.Actions[0].Object.Namespace = "another"
	assert.False(t, removed(prune, backup))
}

func TestPruneNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z0-9]([a-z0-9.-]{0,200}[a-z0-9])?`).Draw(t, "name")
		got := pruneName("t", name, "u", 1)
		assert.Empty(t, validation.IsDNS1123Label(got), got)
		assert.NotEqual(t, got, pruneName("t", name, "u", 2))
		assert.NotEqual(t, got, pruneName("t", name, "v", 1))
	})
}

// One that is asked to go on has not ended, until that was answered.
func TestStateOfOneThatIsAskedToGoOn(t *testing.T) {
	as := &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{salvor.LabelRetry: "x7"}},
		Status:     &kanister.ActionSetStatus{State: kanister.StateFailed},
	}
	assert.Equal(t, open, look(as).state)
	as.Status.Conditions = []metav1.Condition{{Type: "Retried", Status: metav1.ConditionFalse, Message: "token x7: it was deleted"}}
	assert.Equal(t, bad, look(as).state)
}
