package wait

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func sample() map[string]any {
	return map[string]any{
		"metadata": map[string]any{"name": "x", "labels": map[string]any{"a/b": "c"}},
		"status": map[string]any{
			"health": "green", "ready": true, "replicas": int64(3), "empty": "",
			"finished":   []any{"one", "two"},
			"quoted":     `a "b"`,
			"code":       `{{ env "PATH" }}`,
			"conditions": []any{map[string]any{"type": "ContainersReady", "status": "True"}, map[string]any{"type": "Ready", "status": "False"}},
			"secret":     "aGVsbG8=",
		},
	}
}

func TestConditionsOfWait(t *testing.T) {
	tests := map[string]struct {
		condition string
		want      bool
		err       string
	}{
		"elasticsearch": {condition: `{{ if  or (eq "{ $.status.health }" "green") (eq "{ $.status.health }" "yellow")}}true{{ else }}false{{ end }}`, want: true},
		"k8ssandra": {condition: `{{ if "{$.status.health}" }}
			{{ if "{$.status.finished[]}" }}
				true
			{{ end }}
			{{ else }}
				false
			{{ end }}`, want: true},
		"k8ssandra, not begun":       {condition: `{{ if "{$.status.finishTime}" }}true{{ end }}`, err: "finishTime is not found"},
		"an empty value":             {condition: `{{ if "{$.status.empty}" }}true{{ end }}`},
		"the value alone":            {condition: `{ $.status.ready }`, want: true},
		"a number":                   {condition: `{{ eq {$.status.replicas} 3 }}`, want: true},
		"a filter":                   {condition: `{{ eq "{$.status.conditions[?(@.type=="Ready")].status}" "False" }}`, want: true},
		"without braces: a text":     {condition: `{{ if "$.status.nothing" }}true{{ end }}`, want: true},
		"only the literal true":      {condition: `{{ "TRUE" }}`},
		"sprig":                      {condition: `{{ "{$.status.health}" | upper | eq "GREEN" }}`, want: true},
		"a value that breaks it":     {condition: `{{ eq "{$.status.quoted}" "x" }}`, err: "template"},
		"a value cannot look around": {condition: `{ $.status.code }`, err: `function "env" not defined`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { check(t, compileSprig, tt.condition, tt.want, tt.err) })
	}
}

func TestConditionsOfWaitV2(t *testing.T) {
	tests := map[string]struct {
		condition string
		want      bool
		err       string
	}{
		"postgres-start-stop":  {condition: `{{ $available := false }}{{ range $condition := $.status.conditions }}{{ if and (eq .type "ContainersReady") (eq .status "True") }}{{ $available = true }}{{ end }}{{ end }}{{ $available }}`, want: true},
		"floats, as kubectl":   {condition: `{{ eq .status.replicas 3.0 }}`, want: true},
		"an integer":           {condition: `{{ eq .status.replicas 3 }}`, err: "incompatible types"},
		"space around":         {condition: "\n {{ .status.ready }} \n", want: true},
		"a missing field":      {condition: `{{ .status.nothing }}`},
		"exists":               {condition: `{{ exists .status "conditions" 1 "type" }}`, want: true},
		"exists, not":          {condition: `{{ or (exists .status "nothing") (exists .status "conditions" 2) (exists .status "health" "x") (exists . 1) }}`},
		"exists, empty":        {condition: `{{ exists .status "empty" }}`, want: true},
		"base64decode":         {condition: `{{ .status.secret | base64decode | eq "hello" }}`, want: true},
		"base64decode of junk": {condition: `{{ .status.health | printf "%s!" | base64decode }}`, err: "illegal base64"},
		"index out of range":   {condition: `{{ index .status.conditions 5 }}`, err: "out of range"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { check(t, compileKubectl, tt.condition, tt.want, tt.err) })
	}
}

func check(t *testing.T, compile func(string) (predicate, error), condition string, want bool, wantErr string) {
	t.Helper()
	holds, err := compile(condition)
	require.NoError(t, err)
	for range 2 { // a condition is asked many times
		got, err := holds(sample())
		if wantErr != "" {
			require.ErrorContains(t, err, wantErr)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

func TestBrokenConditionsAreRefused(t *testing.T) {
	_, err := compileSprig(`{{ $x := "y" }}{{ $x }}`)
	require.ErrorContains(t, err, "WaitV2 has template variables")
	_, err = compileKubectl(`{{ if }}`)
	require.ErrorContains(t, err, "missing value for if")
	_, err = compileKubectl(`{{ upper "sprig is not there" }}`)
	require.ErrorContains(t, err, `function "upper" not defined`)
}
