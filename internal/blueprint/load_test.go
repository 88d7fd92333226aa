package blueprint

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

const pgSecret = "/api/v1/namespaces/app/secrets/my-release-postgresql"

func TestLaterPhasesSeeWhatWasBefore(t *testing.T) {
	_, c := newAPI(t, appManifests()...)
	s := Scope{
		Params: resolved(t, c, appInput()), Blueprint: parseBlueprint(t, testBlueprint), Action: "backup", Kind: event.KindCore, Phase: 1,
		Outputs: map[string]map[string]any{"first": {"snapshot": "snap", "count": float64(3000000)}},
	}
	v, err := Load(t.Context(), c, s)
	require.NoError(t, err)
	args, err := v.Args()
	require.NoError(t, err)
	assert.Equal(t, []any{canary + "-pg", "snap"}, args["command"])
	got, err := v.Render(`{{ .Phases.first.Output.count }} {{ add .Phases.first.Output.count 1 }} {{ .DeferPhase }}`)
	require.NoError(t, err)
	assert.Equal(t, "3000000 3000001 <nil>", got, "whole numbers stay whole on their way through JSON")
	_, err = v.Render(`{{ .Phases.third.Output.x }}`)
	require.ErrorContains(t, err, `"third" not found in .Phases; it has first, second`)
}

func TestDeferPhase(t *testing.T) {
	_, c := newAPI(t, appManifests()...)
	s := Scope{Params: resolved(t, c, appInput()), Blueprint: parseBlueprint(t, testBlueprint), Action: "backup", Kind: event.KindDefer}
	for name, tc := range map[string]struct {
		outputs map[string]map[string]any
		see     string
	}{
		"first failed":  {nil, "first"},
		"second failed": {map[string]map[string]any{"first": nil}, "first second"},
		"all ended":     {map[string]map[string]any{"first": nil, "second": {"a": "b"}}, "first second"},
	} {
		t.Run(name, func(t *testing.T) {
			s.Outputs = tc.outputs
			v, err := Load(t.Context(), c, s)
			require.NoError(t, err)
			got, err := v.Render(`{{ range $name, $_ := .Phases }}{{ $name }} {{ end }}{{ with .CurrentPhase }}!{{ end }}`)
			require.NoError(t, err)
			assert.Equal(t, tc.see+" ", got)
			args, err := v.Args()
			require.NoError(t, err)
			assert.Equal(t, map[string]any{"replicas": "1", "name": canary + "-pg"}, args)
		})
	}
}

func TestArtifacts(t *testing.T) {
	_, c := newAPI(t, appManifests()...)
	s := Scope{
		Params: resolved(t, c, appInput()), Blueprint: parseBlueprint(t, testBlueprint), Action: "backup", Kind: event.KindCore, Phase: 1,
		Outputs: map[string]map[string]any{"first": {"snapshot": "snap"}},
	}
	v, err := Load(t.Context(), c, s)
	require.NoError(t, err)
	artifacts, err := v.Artifacts(map[string]any{"path": "p"})
	require.NoError(t, err)
	assert.Equal(t, map[string]kanister.Artifact{"dump": {KeyValue: map[string]string{"path": "p", "cleaned": ""}, KopiaSnapshot: "snap"}}, artifacts)

	// After the deferPhase, its output can be used.
	s.Kind, s.Phase = event.KindDefer, 0
	s.Outputs["second"] = map[string]any{"path": "p"}
	v, err = Load(t.Context(), c, s)
	require.NoError(t, err)
	artifacts, err = v.Artifacts(map[string]any{"cleaned": true})
	require.NoError(t, err)
	assert.Equal(t, "true", artifacts["dump"].KeyValue["cleaned"])

	// The render job has neither; the output comes with the scope.
	s.Kind, s.DeferOutput = event.KindRender, map[string]any{"cleaned": "later"}
	v, err = Load(t.Context(), c, s)
	require.NoError(t, err)
	artifacts, err = v.Artifacts(nil)
	require.NoError(t, err)
	assert.Equal(t, "later", artifacts["dump"].KeyValue["cleaned"])
	_, err = v.Args()
	require.ErrorContains(t, err, "has no phase")

	// A template that fails names artifact and key.
	delete(s.Outputs, "second")
	v, err = Load(t.Context(), c, s)
	require.NoError(t, err)
	_, err = v.Artifacts(nil)
	require.ErrorContains(t, err, `actions.backup.outputArtifacts.dump.keyValue.path: failed to render template: line 1: "path" not found in .Phases.second.Output; it has none`)
}

func TestArtifactsShowNoSecret(t *testing.T) {
	_, c := newAPI(t, appManifests()...)
	p := resolved(t, c, appInput())
	for name, tc := range map[string]struct {
		template string
		refused  bool
	}{
		"secret of the ActionSet": {`{{ .Secrets.aws.Data.key | toString }}`, true},
		"encoded":                 {`x-{{ .Secrets.aws.Data.key | toString | b64enc }}`, true},
		"phase's":                 {`{{ index .Phases.first.Secrets.pg.Data "postgres-password" | toString }}`, true},
		"by with":                 {`{{ with .Phases.first }}{{ .Secrets.pg.Data }}{{ toJson .Secrets.pg }}{{ end }}`, true},
		"profile":                 {`{{ toJson .Profile }}`, true},
		"everything":              {`{{ toJson . }}`, true},
		"name of a secret":        {`{{ .Secrets.aws.Name }}`, false},
		"location":                {`{{ .Profile.Location.Bucket }}/x`, false},
		"published by the phase":  {`{{ .Phases.first.Output.user }}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			bp := parseBlueprint(t, testBlueprint)
			bp.Actions["backup"].OutputArtifacts = map[string]kanister.Artifact{"a": {KeyValue: map[string]string{"k": tc.template}}}
			v, err := Load(t.Context(), c, Scope{Params: p, Blueprint: bp, Action: "backup", Kind: event.KindCore})
			require.NoError(t, err)
			_, err = v.Artifacts(map[string]any{"user": "AKIA-ID"})
			if !tc.refused {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "actions.backup.outputArtifacts.a.keyValue.k: holds a value of a Secret")
			assert.NotContains(t, err.Error(), canary)
		})
	}
}

// What is deleted half-way is an error for those who use it, and for no one else.
func TestDeletedSince(t *testing.T) {
	a, c := newAPI(t, appManifests()...)
	s := Scope{
		Params: resolved(t, c, appInput()), Blueprint: parseBlueprint(t, testBlueprint), Action: "backup", Kind: event.KindCore, Phase: 1,
		Outputs: map[string]map[string]any{"first": {"snapshot": "snap"}},
	}
	for _, path := range []string{"/api/v1/namespaces/app/secrets/aws", "/api/v1/namespaces/app/secrets/s3-keys", pgSecret} {
		a.remove(path)
	}
	v, err := Load(t.Context(), c, s)
	require.NoError(t, err)
	got, err := v.Render(`{{ .StatefulSet.Name }}{{ .Phases.first.Output.snapshot }}{{ .ConfigMaps.location.Data.bucket }}`)
	require.NoError(t, err)
	assert.Equal(t, "pgsnapfrom-config-map", got)
	for template, want := range map[string]string{
		`{{ .Secrets.aws.Data.key }}`:                                         `.Secrets.aws: Secret "app/aws" does not exist`,
		`{{ index .Secrets "aws" }}`:                                          `Secret "app/aws" does not exist`,
		`{{ toJson .Profile }}`:                                               `Secret "app/s3-keys" does not exist`,
		`{{ .Phases.first.Secrets.pg.Name }}`:                                 `actions.backup.phases[0].objects.pg: Secret "app/my-release-postgresql" does not exist`,
		`{{ with $.Phases.first.Secrets }}{{ (index . "pg").Name }}{{ end }}`: `Secret "app/my-release-postgresql" does not exist`,
	} {
		_, err := v.Render(template)
		require.ErrorContains(t, err, want, template)
		var known *Error
		require.ErrorAs(t, err, &known)
		assert.Equal(t, event.ReasonNotFound, known.Reason)
	}
	_, err = v.Profile()
	require.ErrorContains(t, err, "s3-keys")

	// The phase's own are needed.
	s.Phase = 0
	_, err = Load(t.Context(), c, s)
	require.ErrorContains(t, err, `actions.backup.phases[0].objects.pg: Secret "app/my-release-postgresql" does not exist; create it`)
}

func TestLoadErrors(t *testing.T) {
	a, c := newAPI(t, appManifests()...)
	good := Scope{Params: resolved(t, c, appInput()), Blueprint: parseBlueprint(t, testBlueprint), Action: "backup", Kind: event.KindCore}
	for name, tc := range map[string]struct {
		change func(s *Scope)
		want   string
	}{
		"no params":     {func(s *Scope) { s.Params = nil }, "parameters or blueprint are missing"},
		"newer params":  {func(s *Scope) { s.Params.Version = 9 }, "parameters are of version 9, this runner knows 1"},
		"no action":     {func(s *Scope) { s.Action = "x" }, `has no action "x"; name one of: backup`},
		"no phase":      {func(s *Scope) { s.Phase = 5 }, "has 2 phases, none with index 5"},
		"no deferPhase": {func(s *Scope) { s.Kind = event.KindDefer; s.Blueprint.Actions["backup"].DeferPhase = nil }, "has no deferPhase"},
		"unknown kind":  {func(s *Scope) { s.Kind = "other" }, `unknown kind of phase "other"`},
		"bad template": {func(s *Scope) {
			s.Blueprint.Actions["backup"].Phases[0].ObjectRefs["pg"] = kanister.ObjectReference{Kind: "Secret", Name: "{{ .Options.nope }}"}
		}, `actions.backup.phases[0].objects.pg.name: failed to render template: line 1: "nope" not found in .Options; it has pitr`},
		"empty name": {func(s *Scope) {
			s.Blueprint.Actions["backup"].Phases[0].ObjectRefs["pg"] = kanister.ObjectReference{Kind: "Secret"}
		}, `objects.pg.name: is empty; name the Secret`},
		"secret in the name of another": {func(s *Scope) {
			s.Blueprint.Actions["backup"].Phases[0].ObjectRefs["pg"] = kanister.ObjectReference{Kind: "Secret", Name: "{{ .Secrets.aws.Data.key | toString }}"}
		}, `Secret "app/***" does not exist`},
		"forbidden": {func(*Scope) { a.forbidden[pgSecret] = true }, `objects.pg: Secret "app/my-release-postgresql" may not be read`},
	} {
		t.Run(name, func(t *testing.T) {
			clear(a.forbidden)
			s := good
			params := *good.Params
			s.Params, s.Blueprint = &params, good.Blueprint.DeepCopy()
			tc.change(&s)
			_, err := Load(t.Context(), c, s)
			require.ErrorContains(t, err, tc.want)
			assert.NotContains(t, err.Error(), canary)
			var known *Error
			require.ErrorAs(t, err, &known)
		})
	}
}

func TestArgsAreChecked(t *testing.T) {
	_, c := newAPI(t, appManifests()...)
	bp := parseBlueprint(t, testBlueprint)
	s := Scope{Params: resolved(t, c, appInput()), Blueprint: bp, Action: "backup", Kind: event.KindCore}
	for name, tc := range map[string]struct {
		phase kanister.BlueprintPhase
		want  string
	}{
		"null":     {kanister.BlueprintPhase{Func: "KubeTask", Args: kanister.JSONMap{"image": nil, "command": []any{}}}, "actions.backup.phases[0].args.image: is null"},
		"unknown":  {kanister.BlueprintPhase{Func: "KubeTask", Args: kanister.JSONMap{"image": "i", "command": []any{}, "x": 1}}, "argument x is not supported by KubeTask"},
		"missing":  {kanister.BlueprintPhase{Func: "KubeTask", Args: kanister.JSONMap{"image": "i"}}, "args.command: required argument of KubeTask is missing"},
		"function": {kanister.BlueprintPhase{Func: "Kube"}, `function "Kube" is unknown`},
		"template": {kanister.BlueprintPhase{Func: "KubeTask", Args: kanister.JSONMap{"image": "i", "command": []any{"a", "{{ .Options.x }}"}}}, `actions.backup.phases[0].args.command[1]: failed to render template: line 1: "x" not found in .Options; it has pitr`},
	} {
		t.Run(name, func(t *testing.T) {
			bp.Actions["backup"].Phases[0] = tc.phase
			v, err := Load(t.Context(), c, s)
			require.NoError(t, err)
			_, err = v.Args()
			require.ErrorContains(t, err, tc.want)
		})
	}
	verbatim := map[string]any{"anyOf": []any{map[string]any{"condition": "{{ if }}", "objectReference": map[string]any{"name": "{{ .Time }}"}}}}
	bp.Actions["backup"].Phases[0] = kanister.BlueprintPhase{Func: "Wait", Args: kanister.JSONMap{"timeout": "{{ .Options.pitr }}", "conditions": verbatim}}
	v, err := Load(t.Context(), c, s)
	require.NoError(t, err)
	args, err := v.Args()
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"timeout": "2026-01-01T00:00:00Z", "conditions": verbatim}, args)
}

// The object of the action can be a Secret: its values go to no parameters.
func TestObjectIsASecret(t *testing.T) {
	_, c := newAPI(t, appManifests()...)
	in := appInput()
	in.Spec.Object = kanister.ObjectReference{APIVersion: "v1", Resource: "secrets", Name: "aws", Namespace: "app"}
	p := resolved(t, c, in)
	assert.Equal(t, &SecretRef{Namespace: "app", Name: "aws"}, p.ObjectSecret)
	assert.Nil(t, p.Object)
	bp := parseBlueprint(t, "actions: {backup: {phases: [{name: a, func: KubeTask, args: {image: '{{ .Object.kind }}', command: ['{{ .Object.data.key | b64dec }}', '{{ .Object.metadata.name }}']}}]}}")
	v, err := Load(t.Context(), c, Scope{Params: p, Blueprint: bp, Action: "backup", Kind: event.KindCore})
	require.NoError(t, err)
	args, err := v.Args()
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"image": "Secret", "command": []any{canary + "-aws", "aws"}}, args)
	assert.Equal(t, "*** and ***", v.Redact(canary+"-aws and "+canary+"-s3"))
	_, err = v.Render(`{{ .Object.data.nope }}`)
	require.ErrorContains(t, err, `"nope" not found in .Object.data; it has key`)
}

// Without a credential it is the identity of the pod that does the work; the shape
// is Kanister's, and the authorities come with it only when the Profile names some.
func TestProfileWithoutACredential(t *testing.T) {
	const profile = "apiVersion: cr.kanister.io/v1alpha1\nkind: Profile\nlocation: {type: s3Compliant, bucket: bk}\nmetadata: {name: s3, namespace: app"
	const shape = `{"Location":{"type":"s3Compliant","bucket":"bk","endpoint":"","prefix":"","region":""},"Credential":{"Type":"","KeyPair":null,"Secret":null,"KopiaServerSecret":null},"SkipSSLVerify":false`
	const ca = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ca, namespace: app}\ndata: {ca.crt: PEM-1, other: PEM-2}"
	for manifest, want := range map[string]string{
		profile + "}":                                               shape + "}",
		profile + "}\ncredential: {}":                               shape + "}",
		profile + "}\ncredential: null":                             shape + "}",
		profile + ", annotations: {salvor.io/ca-bundle: ca}}":       shape + `,"CABundle":"PEM-1"}`,
		profile + ", annotations: {salvor.io/ca-bundle: ca/other}}": shape + `,"CABundle":"PEM-2"}`,
	} {
		_, c := newAPI(t, append(appManifests(), manifest, ca)...)
		v, err := Load(t.Context(), c, Scope{Params: resolved(t, c, appInput()), Blueprint: parseBlueprint(t, testBlueprint), Action: "backup", Kind: event.KindCore})
		require.NoError(t, err)
		got, err := v.Render(`{{ toJson .Profile }}`)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	_, c := newAPI(t, append(appManifests(), profile+", annotations: {salvor.io/ca-bundle: ca/none}}", ca)...)
	_, err := Resolve(t.Context(), c, appInput())
	require.ErrorContains(t, err, `(Profile "app/s3").metadata.annotations[salvor.io/ca-bundle]: ConfigMap "app/ca" has no key "none"`)
}

// The credential is a whole Secret.
func TestProfileWithASecret(t *testing.T) {
	manifest := "apiVersion: cr.kanister.io/v1alpha1\nkind: Profile\nmetadata: {name: s3, namespace: app}\nlocation: {type: s3Compliant, bucket: bk}\nskipSSLVerify: true\ncredential: {type: secret, secret: {name: cloud}}"
	keys := map[string]string{"aws_access_key_id": "AKIA-ID", "aws_secret_access_key": canary}
	bp := parseBlueprint(t, testBlueprint)
	_, c := newAPI(t, append(appManifests(), manifest, secretOf("cloud", "secrets.kanister.io/aws", keys))...)
	v, err := Load(t.Context(), c, Scope{Params: resolved(t, c, appInput()), Blueprint: bp, Action: "backup", Kind: event.KindCore})
	require.NoError(t, err)
	got, err := v.Render(`{{ .Profile.Credential.Secret.Data.aws_secret_access_key | toString }} {{ .Profile.Credential.Secret.Name }} {{ .Profile.SkipSSLVerify }} {{ .Profile }}`)
	require.NoError(t, err)
	assert.Equal(t, canary+` cloud true profile(s3Compliant bucket "bk", secret credential [hidden])`, got)

	for want, typ := range map[string]string{
		`Secret "app/cloud" is of type "Opaque"; use secrets.kanister.io/aws`:   "Opaque",
		`has no key "gcp_project_id", which type secrets.kanister.io/gcp needs`: "secrets.kanister.io/gcp",
	} {

		a, c := newAPI(t, append(appManifests(), manifest, secretOf("cloud", "x", keys))...)
		a.objects["/api/v1/namespaces/app/secrets/cloud"]["type"] = typ

		_, err := Resolve(t.Context(), c, appInput())
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), canary)
	}
}

// A role alone is for the identity of the pod that does the work.
func TestProfileWithARoleAlone(t *testing.T) {
	manifest := "apiVersion: cr.kanister.io/v1alpha1\nkind: Profile\nmetadata: {name: s3, namespace: app}\nlocation: {type: s3Compliant, bucket: bk}\ncredential: {type: secret, secret: {name: cloud}}"
	for keys, want := range map[string]string{"role": "", "role aws_access_key_id": `has no key "aws_secret_access_key"`, "other": `has no key "aws_access_key_id"`} {
		data := map[string]string{}
		for key := range strings.FieldsSeq(keys) {
			data[key] = "x"
		}
		_, c := newAPI(t, append(appManifests(), manifest, secretOf("cloud", "secrets.kanister.io/aws", data))...)
		_, err := Resolve(t.Context(), c, appInput())
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, want)
	}
}

// Kanister passes over what is neither a Secret nor a ConfigMap.
func TestLoadPassesOverObjectsOfOtherKinds(t *testing.T) {
	_, c := newAPI(t, appManifests()...)
	bp := parseBlueprint(t, "actions: {backup: {phases: [{name: p, func: KubeTask, objects: {x: {kind: Pod, name: '{{ .Nope }}'}}, args: {image: i, command: ['{{ .Phases.p.Secrets }}']}}]}}")
	v, err := Load(t.Context(), c, Scope{Params: &Params{Version: ParamsVersion, Namespace: "app"}, Blueprint: bp, Action: "backup", Kind: event.KindCore})
	require.NoError(t, err)
	args, err := v.Args()
	require.NoError(t, err)
	assert.Equal(t, []any{"map[]"}, args["command"])
}

// The kind of an object is taken in any case, as Kanister does, and without a namespace
// it is in the ActionSet's.
func TestObjectsOfAPhase(t *testing.T) {
	_, c := newAPI(t, appManifests()...)
	bp := parseBlueprint(t, `actions: {backup: {phases: [{name: p, func: KubeTask, objects: {
      s: {kind: secret, name: aws}, S: {kind: SECRET, name: aws, namespace: app}, c: {kind: configmap, name: settings}, C: {kind: ConfigMap, name: settings}},
      args: {image: i, command: [
        '{{ .Phases.p.Secrets.s.Data.key | toString }}', '{{ .CurrentPhase.Secrets.S.Data.key | toString }}',
        '{{ .Phases.p.ConfigMaps.c.Data.bucket }}', '{{ .CurrentPhase.ConfigMaps.C.Data.bucket }}', '{{ len .Phases.p.Secrets }}{{ len .Phases.p.ConfigMaps }}']}}]}}`)
	require.Empty(t, Check(bp, "backup"))
	v, err := Load(t.Context(), c, Scope{Params: &Params{Version: ParamsVersion, Namespace: "app"}, Blueprint: bp, Action: "backup", Kind: event.KindCore})
	require.NoError(t, err)
	args, err := v.Args()
	require.NoError(t, err)
	assert.Equal(t, []any{canary + "-aws", canary + "-aws", "from-config-map", "from-config-map", "22"}, args["command"])
}

// A name that functions take, such as credentialsSecret, is looked up in the ActionSet's
// secrets, then in the objects of the phase itself.
func TestSecretByItsName(t *testing.T) {
	_, c := newAPI(t, append(appManifests(), secretOf("other", "Opaque", map[string]string{"key": "x"}))...)
	bp := parseBlueprint(t, `actions: {backup: {
      phases: [
        {name: first, func: KubeTask, objects: {earlier: {kind: Secret, name: other}}, args: {image: i, command: [x]}},
        {name: second, func: KubeTask, objects: {aws: {kind: Secret, name: other}, own: {kind: Secret, name: other}}, args: {image: i, command: [x]}}],
      deferPhase: {func: KubeTask, objects: {last: {kind: Secret, name: other}}, args: {image: i, command: [x]}}}}`)
	for _, tt := range []struct {
		kind event.PhaseKind
		name string
		want string // the Secret's own name
	}{
		{event.KindCore, "aws", "aws"},
		{event.KindCore, "own", "other"},
		{event.KindCore, "earlier", ""},
		{event.KindCore, "last", ""},
		{event.KindDefer, "aws", "aws"},
		{event.KindDefer, "last", "other"},
		{event.KindDefer, "own", ""},
	} {
		s := Scope{Params: resolved(t, c, appInput()), Blueprint: bp, Action: "backup", Kind: tt.kind}
		if tt.kind == event.KindCore {
			s.Phase = 1
		}
		v, err := Load(t.Context(), c, s)
		require.NoError(t, err)
		found, err := v.Secret(tt.name)
		require.NoError(t, err)
		if tt.want == "" {
			assert.Nil(t, found, "%s of %s", tt.name, tt.kind)
			continue
		}
		if assert.NotNil(t, found, "%s of %s", tt.name, tt.kind) {
			assert.Equal(t, tt.want, found.Name, "%s of %s", tt.name, tt.kind)
		}
	}
}
