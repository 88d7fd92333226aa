package blueprint

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// canary is a secret value that must never be seen outside of rendered arguments.
const canary = "c4n4ry-s3cr3t"

// app is a namespace with a PostgreSQL, its Secret and a profile.
const app = `
apiVersion: v1
kind: Namespace
metadata: {name: app}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: pg
  namespace: app
  labels: {app.kubernetes.io/instance: my-release}
spec:
  selector: {matchLabels: {app: pg}}
  template:
    spec:
      volumes:
      - name: data
        persistentVolumeClaim: {claimName: data-pg-0}
---
apiVersion: v1
kind: Pod
metadata:
  name: pg-1
  namespace: app
  labels: {app: pg}
  ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: pg, uid: uid-pg}]
spec:
  containers: [{name: db}]
status: {phase: Pending}
---
apiVersion: v1
kind: Pod
metadata:
  name: pg-0
  namespace: app
  labels: {app: pg}
  ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: pg, uid: uid-pg}]
spec:
  volumes:
  - {name: data, persistentVolumeClaim: {claimName: data-pg-0}}
  - {name: unmounted, persistentVolumeClaim: {claimName: other}}
  - {name: scratch, emptyDir: {}}
  containers:
  - {name: db, volumeMounts: [{name: data, mountPath: /var/lib/pg}, {name: scratch, mountPath: /tmp}]}
  - {name: exporter}
status:
  phase: Running
  containerStatuses: [{name: exporter}, {name: db}] # in an order of its own
---
apiVersion: v1
kind: Pod
metadata: {name: stranger, namespace: app, labels: {app: pg}}
status: {phase: Running}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: app}
data: {bucket: from-config-map, "dotted.key": dotted}
---
apiVersion: cr.kanister.io/v1alpha1
kind: Profile
metadata: {name: s3, namespace: app}
location: {type: s3Compliant, bucket: bk}
credential:
  type: keyPair
  keyPair:
    idField: id
    secretField: secret
    secret: {name: s3-keys, namespace: app}
---
`

func appManifests() []string {
	return []string{
		app,
		secretOf("s3-keys", "Opaque", map[string]string{"id": "AKIA-ID", "secret": canary + "-s3"}),
		secretOf("my-release-postgresql", "Opaque", map[string]string{"postgres-password": canary + "-pg"}),
		secretOf("aws", "Opaque", map[string]string{"key": canary + "-aws"}),
	}
}

var now = time.Date(2026, 10, 24, 9, 5, 7, 123456789, time.UTC)

// appInput asks for an action on the StatefulSet with everything an ActionSet can
// give.
func appInput() ResolveInput {
	return ResolveInput{
		Namespace: "app", Now: now, Field: "spec.actions[0]",
		Spec: kanister.ActionSpec{
			Name:           "backup",
			Object:         kanister.ObjectReference{Kind: "StatefulSet", Name: "pg", Namespace: "app"},
			Profile:        &kanister.ObjectReference{Name: "s3"},
			Secrets:        map[string]kanister.ObjectReference{"aws": {Name: "aws"}},
			ConfigMaps:     map[string]kanister.ObjectReference{"location": {Name: "settings", Namespace: "app"}},
			Options:        map[string]string{"pitr": "2026-01-01T00:00:00Z"},
			Artifacts:      map[string]kanister.Artifact{"cloudObject": {KeyValue: map[string]string{"path": "a/b"}, KopiaSnapshot: `{"id":"k"}`}},
			PodOverride:    kanister.JSONMap{"hostNetwork": true},
			PodLabels:      map[string]string{"team": "db"},
			PodAnnotations: map[string]string{"note": "x"},
		},
	}
}

// testBlueprint has two core phases and a deferPhase with Secrets of their own.
const testBlueprint = `
apiVersion: cr.kanister.io/v1alpha1
kind: Blueprint
metadata: {name: bp}
actions:
  backup:
    outputArtifacts:
      dump:
        keyValue:
          path: "{{ .Phases.second.Output.path }}"
          cleaned: "{{ if .DeferPhase }}{{ .DeferPhase.Output.cleaned }}{{ end }}"
        kopiaSnapshot: "{{ .Phases.first.Output.snapshot }}"
    phases:
    - name: first
      func: KubeTask
      objects:
        pg: {kind: Secret, name: '{{ index .Object.metadata.labels "app.kubernetes.io/instance" }}-postgresql', namespace: '{{ .StatefulSet.Namespace }}'}
        cm: {kind: ConfigMap, name: settings}
      args:
        image: img
        namespace: '{{ .StatefulSet.Namespace }}'
        command: [sh, -c, 'PW={{ index .Phases.first.Secrets.pg.Data "postgres-password" | toString }} B={{ .Phases.first.ConfigMaps.cm.Data.bucket }}']
    - name: second
      func: KubeTask
      args:
        image: img
        command: ['{{ index .Phases.first.Secrets.pg.Data "postgres-password" | toString }}', '{{ .Phases.first.Output.snapshot }}']
    deferPhase:
      func: ScaleWorkload
      objects:
        pg: {kind: Secret, name: my-release-postgresql}
      args:
        replicas: '{{ len .StatefulSet.Pods }}'
        name: '{{ index .DeferPhase.Secrets.pg.Data "postgres-password" | toString }}'
`

func parseBlueprint(t *testing.T, text string) *kanister.Blueprint {
	t.Helper()
	var bp kanister.Blueprint
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &bp))
	return &bp
}

func parseActionSet(t *testing.T, text string) *kanister.ActionSet {
	t.Helper()
	var as kanister.ActionSet
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &as))
	return &as
}

// resolved resolves, and takes the parameters through JSON as the runner gets them.
func resolved(t *testing.T, c Cluster, in ResolveInput) *Params {
	t.Helper()
	p, err := Resolve(t.Context(), c, in)
	require.NoError(t, err)
	text, err := json.Marshal(p)
	require.NoError(t, err)
	require.NotContains(t, string(text), canary)
	var back Params
	require.NoError(t, json.Unmarshal(text, &back))
	return &back
}

// loaded returns values of the first phase of testBlueprint.
func loaded(t *testing.T) *Values {
	t.Helper()
	_, c := newAPI(t, appManifests()...)
	v, err := Load(t.Context(), c, Scope{Params: resolved(t, c, appInput()), Blueprint: parseBlueprint(t, testBlueprint), Action: "backup", Kind: event.KindCore})
	require.NoError(t, err)
	return v
}

// TestQuirks holds what was measured on Kanister 0.119 with each of its templates.
func TestQuirks(t *testing.T) {
	v := loaded(t)
	for name, tc := range map[string]struct{ in, want string }{
		"profile":             {`{{ toJson .Profile }}`, `{"Location":{"type":"s3Compliant","bucket":"bk","endpoint":"","prefix":"","region":""},"Credential":{"Type":"keyPair","KeyPair":{"ID":"AKIA-ID","Secret":"` + canary + `-s3"},"Secret":null,"KopiaServerSecret":null},"SkipSSLVerify":false}`},
		"index of no key":     {`[{{ index .Options "missing" }}][{{ index .Secrets.aws.Data "missing" | toString }}]`, "[][]"},
		"secret bytes":        {`{{ .Secrets.aws.Data.key | toString }}/{{ .Secrets.aws.Name }}`, canary + "-aws/aws"},
		"time":                {`{{ .Time }}`, "2026-10-24T09:05:07.123456789Z"},
		"date of time":        {`{{ toDate "2006-01-02T15:04:05.999999999Z07:00" .Time | date "2006-01-02T15-04-05Z07:00" }}`, "2026-10-24T09-05-07Z"},
		"stateful set":        {`{{ .StatefulSet.Name }} {{ .StatefulSet.Namespace }} {{ .StatefulSet.Pods }} {{ .StatefulSet.Containers }}`, "pg app [pg-0] [[exporter db]]"},
		"first claim":         {`{{- range $key, $_ := index .StatefulSet.PersistentVolumeClaims (index .StatefulSet.Pods 0) -}}{{$key}}{{break}}{{end}}`, "data-pg-0"},
		"mount path":          {`{{ index .StatefulSet.PersistentVolumeClaims "pg-0" "data-pg-0" }}`, "/var/lib/pg"},
		"object keys":         {`{{ index .Object.metadata.labels "app.kubernetes.io/instance" }} {{ (index .Object.spec.template.spec.volumes 0).persistentVolumeClaim.claimName }}`, "my-release data-pg-0"},
		"options":             {`{{ if .Options }}{{ if .Options.pitr }}{{ toDate "2006-01-02T15:04:05Z" .Options.pitr | date "2006-01-02 15:04:05 GMT" }}{{ end }}{{ end }}`, "2026-01-01 00:00:00 GMT"},
		"artifacts":           {`{{ .ArtifactsIn.cloudObject.KeyValue.path }} {{ .ArtifactsIn.cloudObject.KopiaSnapshot }}`, `a/b {"id":"k"}`},
		"config map":          {`{{ .ConfigMaps.location.Data.bucket }} {{ index .ConfigMaps.location.Data "dotted.key" }}`, "from-config-map dotted"},
		"key pair":            {`{{ if .Profile.Credential.KeyPair }}{{ .Profile.Credential.KeyPair.ID }}{{ else }}none{{ end }}{{ if .Profile.SkipSSLVerify }}!{{ end }}`, "AKIA-ID"},
		"location type":       {`{{ if eq .Profile.Location.Type "s3Compliant" }}s3{{ end }}`, "s3"},
		"json of text":        {`'{{ toJson .Profile.Location.Bucket | toString }}'`, `'"bk"'`},
		"phase":               {`{{ .Phases.first.ConfigMaps.cm.Data.bucket }}{{ .CurrentPhase.ConfigMaps.cm.Data.bucket }}`, "from-config-mapfrom-config-map"},
		"pods":                {`{{ .PodLabels.team }}{{ .PodAnnotations.note }}{{ .PodOverride.hostNetwork }}`, "dbxtrue"},
		"nothing to render":   {"{ $.status }", "{ $.status }"},
		"break and continue":  {`{{ range until 5 }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ if eq . 3 }}{{ break }}{{ end }}{{ . }}{{ end }}`, "02"},
		"quote":               {`"{{ "e p" | quote }}"`, `""e p""`},
		"replace, upper":      {`{{ "a-b" | replace "-" "_" | upper }}`, "A_B"},
		"b64dec":              {`{{ "cGc=" | b64dec }}`, "pg"},
		"decimal, not octal":  {`{{ int "010" }} {{ add "08" 1 }} {{ int64 "x" }} {{ mul "2" 3 }} {{ add1 41 }} {{ max 1 "9" }}`, "10 9 0 6 42 9"},
		"and, or":             {`{{ or (and true "") "b" }}`, "b"},
		"set in a map":        {`{{ $d := dict "a" 1 }}{{ $_ := set $d "b" 2 }}{{ toJson $d }}`, `{"a":1,"b":2}`},
		"merge":               {`{{ toJson (merge (dict "a" 1) (dict "a" 2 "b" (dict "c" 3))) }}`, `{"a":1,"b":{"c":3}}`},
		"printf":              {`{{ printf "%05d|%-4s|%q" 42 "x" "y" }}`, `00042|x   |"y"`},
		"define and template": {`{{ define "x" }}<{{ . }}>{{ end }}{{ template "x" .StatefulSet.Name }}`, "<pg>"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := v.Render(tc.in)
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
		})
	}
}

// A text given to date is no date, and sprig then takes the present: blueprints
// that do so name their backups by the time of rendering.
func TestDateOfTextIsNow(t *testing.T) {
	got, err := loaded(t).Render(`{{ .Time | date "2006" }} {{ now | date "2006" }}`)
	require.NoError(t, err)
	parts := strings.Fields(got)
	require.Len(t, parts, 2)
	assert.Equal(t, parts[1], parts[0])
}

func TestErrorsSayWhatIsThereAndNoValue(t *testing.T) {
	v := loaded(t)
	for name, tc := range map[string]struct{ in, want string }{
		"missing key":         {`{{ .Secrets.aws.Data.kex | toString }}`, `line 1: "kex" not found in .Secrets.aws.Data; it has key`},
		"missing by variable": {"a\n{{ $.ConfigMaps.location.Data.nope }}", `line 2: "nope" not found in .ConfigMaps.location.Data; it has bucket, dotted.key`},
		"missing phase":       {`{{ .Phases.zero.Output.x }}`, `"zero" not found in .Phases; it has first`},
		"missing output":      {`{{ .Phases.first.Output.x }}`, `"x" not found in .Phases.first.Output; it has none`},
		"missing in another":  {`{{ with .Options }}{{ .nope }}{{ end }}`, `"nope" not found at .nope`},
		"other kind":          {`{{ .Deployment.Name }}`, `.Deployment is not set, because the object of the ActionSet is of another kind, StatefulSet`},
		"unknown field":       {`{{ .Foo }}`, `there is no field "Foo"; it has ArtifactsIn, `},
		"other credential":    {`{{ .Profile.Credential.Secret.Data.x }}`, "the credential is of another type, keyPair"},
		"no such pod":         {`{{ index .StatefulSet.Pods 7 }}`, "index: error"},
		"syntax":              {`{{ .Time`, "template does not parse: 1: unclosed action"},
		"sprig v3 only":       {`{{ fromYaml "a" }}`, `function "fromYaml" not defined`},
		"environment":         {`{{ env "PATH" }}`, `function "env" not defined`},
		"environment, text":   {`{{ expandenv "$PATH" }}`, `function "expandenv" not defined`},
		"network":             {`{{ getHostByName "localhost" }}`, `function "getHostByName" not defined`},
		"step":                {`{{ salvorStep -100 }}`, `function "salvorStep" not defined`},
		"range over text":     {`{{ range .Secrets.aws.Data.key | toString }}x{{ end }}`, "range can't iterate over this value"},
		"text of a function":  {`{{ mustToDate "2006" (.Secrets.aws.Data.key | toString | upper) }}`, "mustToDate fails; its message is not shown"},
		"panic":               {`{{ first (.Secrets.aws.Data.key | toString | upper) }}`, "first fails"},
		"fail":                {`{{ fail (print "no " (.Secrets.aws.Data.key | toString)) }}`, "no ***"},
		"wrong type":          {`{{ upper .Secrets.aws.Data.key }}`, "wrong type for value; expected string; got []uint8"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.Render(tc.in)
			require.Error(t, err)
			if tc.want == "index: error" { // the rest is the Go release's
				assert.Contains(t, err.Error(), "line 1: index .StatefulSet.Pods 7: index: ")
			} else {
				assert.Contains(t, err.Error(), tc.want)
			}
			assert.Contains(t, err.Error(), "actions.backup.phases[0]: ")
			assert.NotContains(t, strings.ToLower(err.Error()), canary)
			assert.NotContains(t, err.Error(), "99 52", "bytes of the canary")
			var known *Error
			require.ErrorAs(t, err, &known)
			assert.Contains(t, []event.Reason{event.ReasonRender, event.ReasonInvalid}, known.Reason)
		})
	}
}

func TestArgs(t *testing.T) {
	args, err := loaded(t).Args()
	require.NoError(t, err)
	assert.Equal(t, map[string]any{
		"image": "img", "namespace": "app",
		"command": []any{"sh", "-c", "PW=" + canary + "-pg B=from-config-map"},
	}, args)
}

func TestRenderAny(t *testing.T) {
	v := loaded(t)
	got, err := v.RenderAny(map[string]any{
		"{{ .StatefulSet.Name }}-key": []any{"{{ .StatefulSet.Name }}", int64(3), true, 1.5, map[string]any{"deep": "{{ .Time }}"}},
		"plain":                       map[string]string{"a": "{{ .StatefulSet.Namespace }}"},
	})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{
		"pg-key": []any{"pg", int64(3), true, 1.5, map[string]any{"deep": "2026-10-24T09:05:07.123456789Z"}},
		"plain":  map[string]any{"a": "app"},
	}, got)

	_, err = v.RenderAny(map[string]any{"a": []any{nil}})
	require.EqualError(t, err, "actions.backup.phases[0].a[0]: is null; give it a value, or leave it out")
	_, err = v.RenderAny(map[string]any{"{{ 1 }}": 1, "1": 2})
	require.ErrorContains(t, err, "two keys render to the same text")
}

// A template can change the maps it is given, but not those of its caller.
func TestTemplatesDoNotChangeParams(t *testing.T) {
	_, c := newAPI(t, appManifests()...)
	p := resolved(t, c, appInput())
	outputs := map[string]map[string]any{"first": {"a": "b"}}
	v, err := Load(t.Context(), c, Scope{Params: p, Blueprint: parseBlueprint(t, testBlueprint), Action: "backup", Kind: event.KindCore, Phase: 1, Outputs: outputs})
	require.NoError(t, err)
	_, err = v.Render(`{{ $_ := set .Object.metadata "name" "changed" }}{{ $_ := set .PodOverride "x" 1 }}{{ $_ := set .Phases.first.Output "a" "changed" }}`)
	require.NoError(t, err)
	assert.Equal(t, "pg", field(t, p.Object, "metadata", "name"))
	assert.Equal(t, kanister.JSONMap{"hostNetwork": true}, p.PodOverride)
	assert.Equal(t, "b", outputs["first"]["a"])
}

func TestValuesPrintNothing(t *testing.T) {
	v := loaded(t)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", v, v, v), "c4n4ry")
	text, err := json.Marshal(map[string]any{"v": v}) // as a logger would
	require.NoError(t, err)
	assert.JSONEq(t, `{"v":{}}`, string(text))
	assert.Equal(t, "values of actions.backup.phases[0] [hidden]", v.String())
	assert.Equal(t, v.String(), v.GoString())
}
