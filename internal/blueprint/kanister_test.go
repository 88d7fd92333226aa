package blueprint

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// examples reads the blueprints that Kanister's users have.
func examples(tb testing.TB) map[string]string {
	tb.Helper()
	files, err := filepath.Glob("testdata/kanister/*.yaml")
	require.NoError(tb, err)
	require.Len(tb, files, 12)
	texts := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(tb, err)
		texts[strings.TrimSuffix(filepath.Base(file), "-blueprint.yaml")] = string(text)
	}
	return texts
}

// The only things that Check may find in them are the names that two phases share.
func TestCheckFindsNothingInKanistersBlueprints(t *testing.T) {
	var warnings []string
	for name, text := range examples(t) {
		bp := parseBlueprint(t, text)
		for _, problem := range Check(bp, "") {
			if problem.Severity == SeverityWarning {
				warnings = append(warnings, problem.Message)
				continue
			}
			assert.Fail(t, "problem", "%s: %s", name, problem)
		}
	}
	const twice = `"setupNodeKeyStore" is the name of a phase of action backup too`
	assert.Equal(t, []string{twice, twice}, warnings)
}

// Every phase of every action renders, with sample parameters made from the names
// that the blueprint itself uses.
func TestKanistersBlueprintsRender(t *testing.T) {
	for name, text := range examples(t) {
		t.Run(name, func(t *testing.T) {
			bp := parseBlueprint(t, text)
			for action := range bp.Actions {
				renderAction(t, bp, action)
			}
		})
	}
}

func renderAction(t *testing.T, bp *kanister.Blueprint, action string) {
	t.Helper()
	a, c := newAPI(t, appManifests()...)
	a.anySecret = map[string][]byte{"postgres-password": []byte(canary), "username": []byte(canary), "password": []byte(canary)}
	used := namesIn(t, bp.Actions[action])
	outputs := map[string]map[string]any{}
	for i := range bp.Actions[action].Phases {
		phase := bp.Actions[action].Phases[i].Name
		v, err := Load(t.Context(), c, Scope{Params: used.params, Blueprint: bp, Action: action, Kind: event.KindCore, Phase: i, Outputs: outputs})
		require.NoError(t, err)
		args, err := v.RenderAny(withoutVerbatim(&bp.Actions[action].Phases[i]))
		require.NoError(t, err)
		assertRendered(t, args)
		if _, ok := Lookup(bp.Actions[action].Phases[i].Func); ok {
			_, err = v.Args()
			require.NoError(t, err)
		}
		outputs[phase] = used.outputs[phase]
		if i < len(bp.Actions[action].Phases)-1 {
			continue
		}
		artifacts, err := v.Artifacts(outputs[phase])
		require.NoError(t, err)
		assert.Len(t, artifacts, len(bp.Actions[action].OutputArtifacts))
	}
	if phase := bp.Actions[action].DeferPhase; phase != nil {
		v, err := Load(t.Context(), c, Scope{Params: used.params, Blueprint: bp, Action: action, Kind: event.KindDefer, Outputs: outputs})
		require.NoError(t, err)
		_, err = v.Args()
		require.NoError(t, err)
	}
}

func withoutVerbatim(phase *kanister.BlueprintPhase) map[string]any {
	signature, _ := Lookup(phase.Func)
	args := map[string]any{}
	maps.Copy(args, phase.Args)
	maps.DeleteFunc(args, func(name string, _ any) bool { return signature.Verbatim(name) })
	return args
}

func assertRendered(t *testing.T, x any) {
	t.Helper()
	switch x := x.(type) {
	case string:
		assert.NotContains(t, x, "{{")
		assert.NotContains(t, x, "<no value>")
	case []any:
		for _, item := range x {
			assertRendered(t, item)
		}
	case map[string]any:
		for key, item := range x {
			assertRendered(t, key)
			assertRendered(t, item)
		}
	}
}

// sample is what an action needs to be rendered.
type sample struct {
	params  *Params
	outputs map[string]map[string]any
}

// namesIn makes parameters with everything that the action's templates name.
func namesIn(t *testing.T, a *kanister.BlueprintAction) sample {
	t.Helper()
	workload := &Workload{
		Name: "w", Namespace: "app", Pods: []string{"w-0", "w-1"}, Containers: [][]string{{"c"}, {"c"}},
		PersistentVolumeClaims: map[string]map[string]string{"w-0": {"data-w-0": "/data"}, "w-1": {"data-w-1": "/data"}},
	}
	s := sample{outputs: map[string]map[string]any{}, params: &Params{
		Version: ParamsVersion, Namespace: "app", Time: "2026-10-24T09:05:07.123456789Z",
		StatefulSet: workload, Deployment: workload, DeploymentConfig: workload,
		TargetNamespace: &Named{Name: "app", Namespace: "app"}, PVC: &Named{Name: "p", Namespace: "app"},
		Profile: &ProfileRef{
			Namespace: "app", Name: "s3", Location: kanister.Location{Type: "s3Compliant", Bucket: "bk", Endpoint: "http://e", Region: "r"},
			Credential: &kanister.Credential{Type: "keyPair", KeyPair: &kanister.KeyPair{IDField: "id", SecretField: "secret", Secret: kanister.ObjectReference{Name: "s3-keys"}}},
		},
		Object: kanister.JSONMap{
			"kind":     "Thing",
			"metadata": map[string]any{"name": "o", "namespace": "app", "uid": "u", "labels": map[string]any{"app.kubernetes.io/instance": "rel", "app": "x"}},
			"data":     map[string]any{"aws.secret": "s", "aws.region": "r", "postgres.secret": "p", "postgres.instanceid": "i", "postgres.databases": "[d]"},
			"spec": map[string]any{
				"clusterName": "cl",
				"nodeSets":    []any{map[string]any{"name": "default", "count": int64(1)}},
				"template":    map[string]any{"spec": map[string]any{"volumes": []any{map[string]any{"persistentVolumeClaim": map[string]any{"claimName": "c"}}}}},
			},
		},
		Secrets: map[string]SecretRef{}, ConfigMaps: nil, ArtifactsIn: map[string]kanister.Artifact{}, Options: map[string]string{},
	}}
	for _, text := range textsOf(a) {
		tmpl, err := newEngine().parse(text)
		require.NoError(t, err)
		for _, path := range paths(tmpl) {
			s.add(path)
		}
	}
	return s
}

func (s sample) add(path []string) {
	switch {
	case len(path) == 4 && path[0] == "Phases" && path[2] == "Output":
		if s.outputs[path[1]] == nil {
			s.outputs[path[1]] = map[string]any{}
		}
		s.outputs[path[1]][path[3]] = "out-" + path[3]
	case len(path) == 4 && path[0] == "ArtifactsIn" && path[2] == "KeyValue":
		artifact := s.params.ArtifactsIn[path[1]]
		if artifact.KeyValue == nil {
			artifact.KeyValue = map[string]string{}
		}
		artifact.KeyValue[path[3]] = "in-" + path[3]
		s.params.ArtifactsIn[path[1]] = artifact
	case len(path) == 3 && path[0] == "ArtifactsIn":
		s.params.ArtifactsIn[path[1]] = kanister.Artifact{KopiaSnapshot: "{}"}
	case len(path) > 1 && path[0] == "Secrets":
		s.params.Secrets[path[1]] = SecretRef{Namespace: "app", Name: path[1]}
	case len(path) == 2 && path[0] == "Options":
		s.params.Options[path[1]] = "2026-01-01T00:00:00Z"
	}
}

// textsOf returns all the templates of an action.
func textsOf(a *kanister.BlueprintAction) []string {
	var texts []string
	var collect func(x any)
	collect = func(x any) {
		switch x := x.(type) {
		case string:
			texts = append(texts, x)
		case []any:
			for _, item := range x {
				collect(item)
			}
		case map[string]any:
			for key, item := range x {
				collect(key)
				collect(item)
			}
		}
	}
	phases := a.Phases
	if a.DeferPhase != nil {
		phases = append(slices.Clip(phases), *a.DeferPhase)
	}
	for i := range phases {
		collect(withoutVerbatim(&phases[i]))
		for _, ref := range phases[i].ObjectRefs {
			texts = append(texts, ref.Name, ref.Namespace)
		}
	}
	for _, artifact := range a.OutputArtifacts {
		texts = append(texts, artifact.KopiaSnapshot)
		for _, value := range artifact.KeyValue {
			texts = append(texts, value)
		}
	}
	return texts
}
