package schema_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/salvor-io/salvor/internal/schema"
)

func compile(t *testing.T, kind string) *jsonschema.Schema {
	t.Helper()
	text, err := schema.Of(kind)
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("salvor.json", document))
	s, err := c.Compile("salvor.json")
	require.NoError(t, err)
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	content, err := yaml.YAMLToJSON([]byte(text))
	require.NoError(t, err)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	require.NoError(t, err)
	return s.Validate(value)
}

func TestTheFilesAreOfTheCRDs(t *testing.T) {
	t.Parallel()
	files, err := schema.Generate(filepath.Join("..", ".."))
	require.NoError(t, err)
	assert.Len(t, files, len(schema.Kinds()))
	for path, content := range files {
		there, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(path)))
		require.NoError(t, err)
		assert.Equal(t, string(content), string(there), "run `make generate`")
	}
}

func TestEveryBlueprintOfKanistersIsValid(t *testing.T) {
	t.Parallel()
	one, all := compile(t, "Blueprint"), compile(t, "")
	paths, err := filepath.Glob("../blueprint/testdata/kanister/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, validate(t, one, string(text)), path)
		require.NoError(t, validate(t, all, string(text)), path)
	}
}

const head = "apiVersion: cr.kanister.io/v1alpha1\nmetadata: {name: a}\n"

func TestWhatEditorsMark(t *testing.T) {
	t.Parallel()
	all := compile(t, "")
	bp := func(phase string) string { return head + "kind: Blueprint\nactions: {a: {phases: [" + phase + "]}}" }
	const when = "when: {schedule: {cron: '@daily'}}, "
	for name, tc := range map[string]struct {
		text string
		good bool
	}{
		"a call":                  {bp("{name: p, func: KubeTask, args: {image: i, command: [x, 1, true]}}"), true},
		"templates":               {bp("{name: p, func: ScaleWorkload, args: {replicas: '{{ .Options.n }}', waitForReady: '{{ .Options.w }}'}}"), true},
		"one value for a list":    {bp("{name: p, func: KubeTask, args: {image: 3, command: ls}}"), true},
		"a deferPhase":            {head + "kind: Blueprint\nactions: {a: {phases: [], deferPhase: {func: ScaleWorkload, args: {replicas: 1}}}}", true},
		"an unknown function":     {bp("{name: p, func: KubTask, args: {image: i, command: [x]}}"), false},
		"in the deferPhase":       {head + "kind: Blueprint\nactions: {a: {phases: [], deferPhase: {func: ScaleWorkload, args: {}}}}", false},
		"an unknown argument":     {bp("{name: p, func: KubeTask, args: {image: i, command: [x], imag: z}}"), false},
		"a missing argument":      {bp("{name: p, func: KubeTask, args: {image: i}}"), false},
		"no arguments":            {bp("{name: p, func: KubeTask}"), false},
		"a wrong type":            {bp("{name: p, func: KubeTask, args: {image: [i], command: [x]}}"), false},
		"a null":                  {bp("{name: p, func: KubeTask, args: {image: i, command: [x], namespace: null}}"), false},
		"not a number":            {bp("{name: p, func: ScaleWorkload, args: {replicas: many}}"), false},
		"an unknown field":        {bp("{name: p, func: KubeTask, arg: {}, args: {image: i, command: [x]}}"), false},
		"an ActionSet":            {head + "kind: ActionSet\nspec: {actions: [{name: backup, blueprint: b, object: {kind: StatefulSet, name: a}, options: {a: b}, profile: null, podOverride: {a: 1}}]}", true},
		"without actions":         {head + "kind: ActionSet\nspec: {actions: []}", false},
		"an option that is none":  {head + "kind: ActionSet\nspec: {actions: [{name: backup, object: {}, options: {a: 1}}]}", false},
		"a Profile":               {head + "kind: Profile\nlocation: {type: s3Compliant, bucket: b}", true},
		"a location that is none": {head + "kind: Profile\nlocation: {type: s3, bucket: b}", false},
		"a trigger":               {"apiVersion: salvor.io/v1alpha1\nkind: ActionTrigger\nmetadata: {name: a}\nspec: {" + when + "template: {spec: {actions: [{name: b, object: {}}]}}}", true},
		"a trigger with a typo":   {"apiVersion: salvor.io/v1alpha1\nkind: ActionTrigger\nmetadata: {name: a}\nspec: {" + when + "templat: {}, template: {spec: {actions: [{name: b, object: {}}]}}}", false},
		"another kind":            {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}", false},
		"of another version":      {"apiVersion: cr.kanister.io/v1\nkind: Blueprint\nmetadata: {name: a}", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := validate(t, all, tc.text)
			assert.Equal(t, tc.good, err == nil, "%v", err)
		})
	}
}

func TestOfSaysWhichKindsThereAre(t *testing.T) {
	t.Parallel()
	_, err := schema.Of("Pod")
	require.EqualError(t, err, `"Pod" is not one of ActionSet, ActionTrigger, Blueprint, Profile`)
	for _, kind := range schema.Kinds() {
		compile(t, kind)
	}
}
