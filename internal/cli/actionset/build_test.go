package actionset

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// everything uses each flag that makes up a new ActionSet.
func everything() Flags {
	return Flags{
		Action: "backup", Blueprint: "postgres", Profile: "s3", Kind: kindAll,
		StatefulSets: []string{"db/pg"}, Deployments: []string{"db/web"}, DeploymentConfigs: []string{"db/old"},
		PVCs: []string{"db/data"}, NamespaceTargets: []string{"shop"}, Objects: []string{"apps/v1/statefulsets/db/other", "v1/secrets/db/s"},
		Secrets: []string{"admin=db/pg-admin"}, ConfigMaps: []string{"location=db/where"},
		Options: []string{"keep=7,tables=a,b"}, Labels: "team=db, tier=1", PodLabels: "net=open", PodAnnotations: "note=a b c",
	}
}

func TestBuildNew(t *testing.T) {
	flags := everything()
	request, err := flags.Parse("db")
	require.NoError(t, err)
	as, err := Build(request, nil, "x7k2p")
	require.NoError(t, err)
	golden(t, "new.yaml", as)
}

func TestBuildFromParent(t *testing.T) {
	flags := Flags{From: "backup-x7k2p", Action: "restore", Kind: kindAll, Options: []string{"pitr=now,keep=9"}}
	request, err := flags.Parse("db")
	require.NoError(t, err)
	as, err := Build(request, parent(), "q9f4z")
	require.NoError(t, err)
	golden(t, "restore.yaml", as)
}

func TestWhatIsGivenGoesBeforeTheParents(t *testing.T) {
	flags := Flags{
		From: "backup-x7k2p", Kind: kindAll, Name: "mine", Blueprint: "other", Profile: "vault/gcs",
		StatefulSets: []string{"db/a", "db/b", "db/a"}, Secrets: []string{"x=db/x"}, ConfigMaps: []string{"y=db/y"},
	}
	request, err := flags.Parse("db")
	require.NoError(t, err)
	as, err := Build(request, parent(), "q9f4z")
	require.NoError(t, err)
	assert.Equal(t, "mine", as.Name)
	require.Len(t, as.Spec.Actions, 2)
	for i, name := range []string{"a", "b"} {
		action := as.Spec.Actions[i]
		assert.Equal(t, "backup", action.Name, "without --action the parent's")
		assert.Equal(t, "other", action.Blueprint)
		assert.Equal(t, kanister.ObjectReference{Kind: "statefulset", Namespace: "db", Name: name}, action.Object)
		assert.Equal(t, &kanister.ObjectReference{Namespace: "vault", Name: "gcs"}, action.Profile)
		assert.Equal(t, map[string]kanister.ObjectReference{"x": {Namespace: "db", Name: "x"}}, action.Secrets)
		assert.Equal(t, map[string]kanister.ObjectReference{"y": {Namespace: "db", Name: "y"}}, action.ConfigMaps)
		assert.Equal(t, parent().Status.Actions[0].Artifacts, action.Artifacts)
	}
	as.Spec.Actions[0].Artifacts["dump"].KeyValue["path"] = "changed"
	assert.Equal(t, "pg/2026.sql", as.Spec.Actions[1].Artifacts["dump"].KeyValue["path"], "the actions share nothing")
}

func TestOnlyACompleteParentCounts(t *testing.T) {
	for want, change := range map[string]func(*kanister.ActionSet){
		"db/backup-x7k2p has not been started yet":                                                   func(p *kanister.ActionSet) { p.Status = nil },
		"db/backup-x7k2p is pending, not complete; wait for it with: salvor wait backup-x7k2p -n db": func(p *kanister.ActionSet) { p.Status.State = kanister.StatePending },
		"db/backup-x7k2p is running, not complete":                                                   func(p *kanister.ActionSet) { p.Status.State = kanister.StateRunning },
		"db/backup-x7k2p failed, so its artifacts cannot be used: phase dump: disk full":             func(p *kanister.ActionSet) { p.Status.State = kanister.StateFailed },
		`in state "odd", not complete`:                                                               func(p *kanister.ActionSet) { p.Status.State = "odd" },
		"does not match its actions":                                                                 func(p *kanister.ActionSet) { p.Spec.Actions = append(p.Spec.Actions, p.Spec.Actions[0]) },
	} {
		p := parent()
		p.Status.Error.Message = "phase dump: disk full"
		change(p)
		_, err := Build(&Request{Namespace: "db", From: p.Name, Action: "restore"}, p, "q9f4z")
		require.ErrorContains(t, err, want)
	}
}

func TestNames(t *testing.T) {
	for want, r := range map[string]Request{
		"backup-x7k2p":                      {Action: "backup"},
		"restore-backup-q2w3e-x7k2p":        {Action: "restore", From: "backup-q2w3e"},
		"backup-q2w3e-x7k2p":                {From: "backup-q2w3e"},
		"post-restore-hook.v2-x7k2p":        {Action: "Post Restore_Hook.v2"},
		"x7k2p":                             {Action: "–"},
		strings.Repeat("a", 247) + "-x7k2p": {Action: strings.Repeat("a", 300)},
	} {
		assert.Equal(t, want, r.newName("x7k2p"))
	}
}

func parent() *kanister.ActionSet {
	return &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "db", Name: "backup-x7k2p"},
		Spec: &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{
			Name: "backup", Blueprint: "postgres", Object: kanister.ObjectReference{Kind: "statefulset", Namespace: "db", Name: "pg"},
			Secrets:     map[string]kanister.ObjectReference{"admin": {Namespace: "db", Name: "pg-admin"}},
			ConfigMaps:  map[string]kanister.ObjectReference{"location": {Namespace: "db", Name: "where"}},
			Profile:     &kanister.ObjectReference{Namespace: "db", Name: "s3"},
			Options:     map[string]string{"keep": "7", "tables": "a,b"},
			PodOverride: kanister.JSONMap{"hostNetwork": true}, PreferredVersion: "v0.0.1",
		}}},
		Status: &kanister.ActionSetStatus{State: kanister.StateComplete, Actions: []kanister.ActionStatus{{
			Name: "backup", Blueprint: "postgres", Object: kanister.ObjectReference{Kind: "statefulset", Namespace: "db", Name: "pg"},
			Artifacts: map[string]kanister.Artifact{"dump": {KeyValue: map[string]string{"path": "pg/2026.sql"}}},
		}}},
	}
}

// golden compares with a file, and writes it when UPDATE_GOLDEN is set.
func golden(t *testing.T, name string, object any) {
	t.Helper()
	got, err := yaml.Marshal(object)
	require.NoError(t, err)
	path := "testdata/" + name
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(path, got, 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got))
}
