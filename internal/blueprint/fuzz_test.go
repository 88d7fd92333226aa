package blueprint

import (
	"encoding/base64"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

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
	const secret = "c4n4ry-s3cr3t-value"
	held := &corev1.Secret{Data: map[string][]byte{"key": []byte(secret)}}
	f.Fuzz(func(t *testing.T, text string) {
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
				t.Fatalf("%d bytes rendered", len(rendered))
			}
			return
		}
		if strings.Contains(text, "c4n4ry") {
			return
		}
		message := err.Error()
		for _, form := range []string{secret, strings.ToUpper(secret), base64.StdEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(message, form) {
				t.Fatalf("the error shows a secret: %s", message)
			}
		}
	})
}
