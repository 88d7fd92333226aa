package blueprint

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

func TestCheckSaysWhereWhatAndWhatToDo(t *testing.T) {
	const task = "{name: p, func: KubeTask, args: {image: i, command: [x]}}"
	for name, tc := range map[string]struct {
		// phases of action backup, and what else it has.
		phases, more string
		want         []string
	}{
		"fine":                 {phases: task},
		"no phases":            {phases: "", want: []string{"actions.backup: has no phases, so it does nothing; give it phases"}},
		"unnamed deferPhase":   {phases: task, more: "deferPhase: {func: KubeOps, args: {operation: delete}}"},
		"name of another case": {phases: "{name: p, func: kubetask, args: {image: i, command: [x]}}", want: []string{`actions.backup.phases[0].func: function "kubetask" is unknown; did you mean KubeTask?`}},
		"unknown function":     {phases: "{name: p, func: Frobnicate}", want: []string{`actions.backup.phases[0].func: function "Frobnicate" is unknown; Salvor has BackupData, `}},
		"no function":          {phases: "{name: p, func: ''}", want: []string{`actions.backup.phases[0].func: no function is given; name one of`}},
		"unknown argument":     {phases: "{name: p, func: KubeTask, args: {image: i, command: [x], imag: z, zzzzzz: 1}}", want: []string{`actions.backup.phases[0].args.imag: argument imag is not supported by KubeTask; did you mean image?`, `args.zzzzzz: argument zzzzzz is not supported by KubeTask; KubeTask takes command, image, namespace, podAnnotations, podLabels, podOverride`}},
		"missing argument":     {phases: "{name: p, func: KubeTask, args: {image: i}}", want: []string{`actions.backup.phases[0].args.command: required argument of KubeTask is missing; add it`}},
		"null argument":        {phases: "{name: p, func: KubeTask, args: {image: i, command: [x], namespace: null}}", want: []string{`actions.backup.phases[0].args.namespace: is null; give it a value, or leave it out`}},
		"null deep down":       {phases: "{name: p, func: KubeTask, args: {image: i, command: [x, null], podOverride: {a: [{b: null}]}}}", want: []string{`args.command[1]: is null`, `args.podOverride.a[0].b: is null`}},
		"null when verbatim":   {phases: "{name: p, func: Wait, args: {timeout: 1m, conditions: {anyOf: [null]}}}", want: []string{`args.conditions.anyOf[0]: is null`}},
		"not a map":            {phases: "{name: p, func: KubeTask, args: {image: i, command: [x], podLabels: a}}", want: []string{`args.podLabels: must be a map, not text`}},
		"same name twice":      {phases: task + ", " + task, want: []string{`actions.backup.phases[1].name: "p" is the name of phases[0] too, and .Phases holds one of them only; give each phase of an action a name of its own`}},
		"template syntax":      {phases: "{name: p, func: KubeTask, args: {image: '{{ .Time', command: [x]}}", want: []string{`actions.backup.phases[0].args.image: template does not parse: 1: unclosed action`}},
		"syntax in a key":      {phases: "{name: p, func: PrepareData, args: {namespace: n, image: i, command: [x], volumes: {'{{ if }}': /x}}}", want: []string{`args.volumes.{{ if }} (the key): template does not parse`}},
		"unknown func":         {phases: "{name: p, func: KubeTask, args: {image: '{{ uper .Time }}', command: [x]}}", want: []string{`args.image: template does not parse: 1: function "uper" not defined; did you mean upper?`}},
		"environment":          {phases: "{name: p, func: KubeTask, args: {image: '{{ env \"HOME\" }}', command: [x]}}", want: []string{`function "env" not defined; templates cannot read Salvor's environment`}},
		"unknown field":        {phases: "{name: p, func: KubeTask, args: {image: '{{ .Tim }}', command: [x]}}", want: []string{`args.image: template names .Tim, which does not exist; did you mean .Time?`}},
		"field of a range":     {phases: "{name: p, func: KubeTask, args: {image: '{{ range .Object.spec.x }}{{ .anything }}{{ $.Time }}{{ end }}', command: [x]}}"},
		"unknown phase":        {phases: "{name: p, func: KubeTask, args: {image: '{{ .Phases.q.Output.x }}', command: [x]}}", want: []string{`args.image: template names .Phases.q.Output.x, which is not a phase of this action; its phases are: p`}},
		"later phase":          {phases: "{name: p, func: KubeTask, args: {image: '{{ $.Phases.q.Output.x }}', command: [x]}}, {name: q, func: KubeTask, args: {image: i, command: [x]}}", want: []string{`phases[0].args.image: template names .Phases.q.Output.x, which has not run by then`}},
		"own secrets":          {phases: "{name: p, func: KubeTask, objects: {s: {kind: Secret, name: s}}, args: {image: '{{ .Phases.p.Secrets.s.Name }}', command: [x]}}"},
		"itself in objects":    {phases: "{name: p, func: KubeTask, objects: {s: {kind: Secret, name: '{{ .Phases.p.Output.x }}'}}, args: {image: i, command: [x]}}", want: []string{`objects.s.name: template names .Phases.p.Output.x, which has not run by then`}},
		"object of a kind":     {phases: "{name: p, func: KubeTask, objects: {s: {kind: Pod, name: s}}, args: {image: i, command: [x]}}", want: []string{`actions.backup.phases[0].objects.s.kind: an object of kind "Pod" is not given to a phase, so templates cannot name it; use Secret or ConfigMap`}},
		"defer sees all":       {phases: task, more: "deferPhase: {func: KubeOps, args: {operation: '{{ .Phases.p.Output.x }}'}}"},
		"defer":                {phases: task, more: "deferPhase: {func: KubeOps, args: {operation: '{{ .Phases.r.Output.x }}', xx: 1}}", want: []string{`actions.backup.deferPhase.args.xx: argument xx is not supported by KubeOps`, `actions.backup.deferPhase.args.operation: template names .Phases.r`}},
		"artifact":             {phases: task, more: "outputArtifacts: {a: {keyValue: {k: '{{ end }}'}, kopiaSnapshot: '{{ .Phases.r.Output.x }}'}}", want: []string{`actions.backup.outputArtifacts.a.keyValue.k: template does not parse`, `actions.backup.outputArtifacts.a.kopiaSnapshot: template names .Phases.r`}},
		"wait condition":       {phases: `{name: p, func: Wait, args: {timeout: 1m, conditions: {anyOf: [{condition: '{{ if "{$.status.x}" }}{{ nofunc }}{{ end', objectReference: {name: '{{ .Nope }}'}}]}}}`, want: []string{`args.conditions.anyOf[0].objectReference.name: template names .Nope`}},
		"waitV2 timeout":       {phases: `{name: p, func: WaitV2, args: {timeout: '{{ as written', conditions: {anyOf: []}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			bp := parseBlueprint(t, "metadata: {name: bp}\nactions:\n  backup:\n    phases: ["+tc.phases+"]\n    "+tc.more+"\n  restore:\n    phases: ["+task+"]\n")
			problems := Check(bp, "backup")
			require.Len(t, problems, len(tc.want), "%v", problems)
			for i, want := range tc.want {
				assert.Contains(t, problems[i].Error(), want)
			}
		})
	}
}

func TestCheckUnknownAction(t *testing.T) {
	bp := parseBlueprint(t, "metadata: {name: bp}\nactions: {backup: {phases: []}, restore: {phases: []}, empty: null}")
	problems := Check(bp, "bakup")
	require.Len(t, problems, 1)
	require.EqualError(t, problems[0], `actions.bakup: blueprint "bp" has no action "bakup"; did you mean backup? It has: backup, restore`)
	assert.Empty(t, Errors(Check(bp, "backup")))
	require.Len(t, Errors(Check(bp, "")), 1, "an action without content")
	require.Len(t, Check(&kanister.Blueprint{}, "x"), 1)
}

func TestSignaturesAreOfKanistersFunctions(t *testing.T) {
	assert.Len(t, Signatures(), 28)
	for _, s := range Signatures() {
		found, ok := Lookup(s.Name)
		require.True(t, ok)
		assert.Equal(t, s, found)
		assert.NotEmpty(t, s.Summary, s.Name)
		assert.NotEmpty(t, s.Resume, s.Name)
		names := s.Names()
		slices.Sort(names)
		assert.Len(t, slices.Compact(names), len(s.Args), "%s has an argument twice", s.Name)
		for _, a := range s.Args {
			assert.NotEmpty(t, a.Type, "%s %s", s.Name, a.Name)
			assert.NotEmpty(t, a.Doc, "%s %s", s.Name, a.Name)
			assert.False(t, a.Required && a.Default != "", "%s %s is required and has a default", s.Name, a.Name)
		}
	}
	_, ok := Lookup("kubetask")
	assert.False(t, ok)
}
