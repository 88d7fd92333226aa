package blueprint

import (
	"encoding/base64"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/salvor-io/salvor/internal/profile"
)

// FuzzRender: no template brings the process down, outgrows its bounds, or puts a
// secret value into an error.
func FuzzRender(f *testing.F) {
	for _, text := range examples(f) {
		for line := range strings.Lines(text) {
			if isTemplate(line) {
				f.Add(line)
			}
		}
	}
	for _, seed := range []string{
		`{{ range until 10 }}{{ . }}{{ end }}`, `{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}`,
		`{{ $x := dict }}{{ $_ := set $x "a" $x }}{{ $x }}`, `{{ printf "%*d" 99999 1 }}`, `{{ repeat 99999999 "x" }}`,
		`{{ range .Secrets.aws.Data.key | toString }}{{ end }}`, `{{ mustToDate "2006" (.Secrets.aws.Data.key | toString) }}`,
		`{{ fail (.Secrets.aws.Data.key | toString) }}`, `{{ index .Object (.Secrets.aws.Data.key | toString) }}`,
		`{{ slice (.Secrets.aws.Data.key | toString) 99 }}`, `{{ atoi (.Secrets.aws.Data.key | toString) }}`,
		`{{ (.Secrets.aws.Data.key | toString).x }}`, `{{ merge .Object (dict "a" .Object) }}`, `{{ .Profile.Validate }}`,
		`{{ call .Secrets.aws.Data.key }}`, `{{ lt .Secrets.aws.Data.key 1 }}`, `{{ template "x" .Secrets }}`, `{{ dig "a" 1 .Object }}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) { checkBounded(t, text) })
}

// Templates made of real functions, with arguments that fit often enough.
func TestRandomTemplatesAreBounded(t *testing.T) {
	names := newEngine().defined()
	leaves := []string{
		`0`, `1`, `-1`, `70000`, `1000000000`, `1.5`, `true`, `nil`, `""`, `"a"`, `"%d%s%v"`, `"$0"`, `"(x*)*"`, `"2006"`, `.`, `.Object`, `.Secrets`, `.Profile`,
		`.Object.list`, `.Phases.p.Output`, `.StatefulSet.Pods`, `.Time`, `(.Secrets.aws.Data.key | toString)`, `.Secrets.aws.Data`, `$x`, `(until 9)`, `(dict "a" .Object)`, `now`,
	}
	rapid.Check(t, func(t *rapid.T) {
		var call func(depth int) string
		call = func(depth int) string {
			text := rapid.SampledFrom(names).Draw(t, "function")
			for range rapid.IntRange(0, 4).Draw(t, "arguments") {
				if depth > 0 && rapid.IntRange(0, 3).Draw(t, "nest") == 0 {
					text += " (" + call(depth-1) + ")"
					continue
				}
				text += " " + rapid.SampledFrom(leaves).Draw(t, "leaf")
			}
			return text
		}
		var text strings.Builder
		text.WriteString(`{{ $x := dict "k" (list 1 2) }}`)
		for range rapid.IntRange(1, 4).Draw(t, "actions") {
			form := rapid.SampledFrom([]string{
				"{{ %s }}", "{{ $x = %s }}", "{{ range %s }}{{ . }}{{ end }}", "{{ with %s }}{{ .a }}{{ end }}", "{{ range 30 }}{{ $x = %s }}{{ end }}", "{{ (%s).f }}{{ $x }}",
			}).Draw(t, "form")
			text.WriteString(strings.Replace(form, "%s", call(2), 1))
		}
		checkBounded(t, text.String())
	})
}

// checkBounded renders a text and checks what must hold of any.
func checkBounded(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, text string,
) {
	t.Helper()
	const secret = "c4n4ry-s3cr3t-value"
	held := &corev1.Secret{Data: map[string][]byte{"key": []byte(secret)}}
	v := &Values{
		field: "f", engine: newEngine(), scope: Scope{Params: &Params{}}, redact: newRedactor(map[SecretRef]*corev1.Secret{{}: held}),
		data: &data{
			Time: "2026-10-24T09:05:07.123456789Z", Secrets: map[string]corev1.Secret{"aws": *held},
			StatefulSet: &Workload{Name: "pg", Namespace: "app", Pods: []string{"pg-0"}},
			Object:      map[string]any{"metadata": map[string]any{"name": "pg", "labels": map[string]any{"a": "b"}}, "list": []any{int64(1), "x"}},
			Profile:     &profile.Profile{Credential: profile.Credential{KeyPair: &profile.KeyPair{ID: "id", Secret: secret}}},
			Phases:      map[string]*phaseData{"p": {Output: map[string]any{"a": "b"}}},
		},
	}
	rendered, err := v.Render(text)
	if err == nil {
		if isTemplate(text) && len(rendered) > maxText {
			t.Fatalf("%d bytes rendered of %s", len(rendered), text)
		}
		return
	}
	message := strings.ToLower(err.Error())
	if strings.Contains(message, secret) && !strings.Contains(strings.ToLower(text), secret) {
		t.Fatalf("the error of %s shows a secret: %s", text, message)
	}
	if strings.Contains(err.Error(), base64.StdEncoding.EncodeToString([]byte(secret))) || strings.Contains(message, "99 52 110") {
		t.Fatalf("the error of %s shows a secret: %s", text, message)
	}
}
