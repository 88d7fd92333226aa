package wait

import (
	"fmt"
	"strings"
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
		"base64decode of junk": {condition: `{{ .status.health | printf "%s!" | base64decode }}`, err: "base64decode fails"},
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

// What a condition or an object can ask for is bounded.
func TestBombs(t *testing.T) {
	nested := any("x")
	for range 60 {
		nested = []any{nested}
	}
	object := map[string]any{
		"nested": nested,
		"code":   `{{ range until 30000 }}{{ range until 30000 }}{{ end }}{{ end }}`,
		"large":  strings.Repeat("x", 700_000),
	}
	union := "{$.nested" + strings.Repeat("[0,0]", 60) + "}"
	bombs := map[string]struct {
		compile   func(string) (predicate, error)
		condition string
		want      string
	}{
		"loops":                    {compileSprig, `{{ range until 30000 }}{{ range until 30000 }}{{ end }}{{ end }}`, "too much work"},
		"loops of the object":      {compileSprig, `{$.code}`, "too much work"},
		"a text that grows":        {compileSprig, `{{ repeat 2000000000 "x" }}`, "too large"},
		"a template in itself":     {compileSprig, `{{ define "x" }}{{ template "x" }}{{ end }}{{ template "x" }}`, "too much work"},
		"large values":             {compileSprig, `{$.large}{$.large}`, "the condition with the object's values in it is over"},
		"paths that multiply":      {compileSprig, union, "too much work"},
		"descents that multiply":   {compileSprig, `{$..a..b}`, "too much work"},
		"multiplied in a filter":   {compileSprig, `{$.a[?(@..b..c=="x")]}`, "too much work"},
		"too many paths":           {compileSprig, manyPaths(), "more than 32 different paths"},
		"V2: loops of a number":    {compileKubectl, `{{ $n := 100000000 }}{{ range $n }}{{ range $n }}{{ end }}{{ end }}`, "too much work"},
		"V2: a template in itself": {compileKubectl, `{{ define "x" }}{{ template "x" }}{{ template "x" }}{{ end }}{{ template "x" }}`, "too much work"},
		"V2: a width":              {compileKubectl, `{{ printf "%1000000d%1000000d" 1 1 }}`, "too large"},
		"V2: output":               {compileKubectl, `{{ .large }}{{ .large }}`, "the rendered text is over"},
	}
	for name, tt := range bombs {
		t.Run(name, func(t *testing.T) {
			holds, err := tt.compile(tt.condition)
			for range 2 { // the allowance is that of one evaluation
				if holds != nil {
					var result bool
					result, err = holds(object)
					assert.False(t, result)
				}
				require.ErrorContains(t, err, tt.want)
			}
		})
	}
}

func manyPaths() string {
	var text strings.Builder
	for i := range 33 {
		fmt.Fprintf(&text, "{$.a%d}", i)
	}
	return text.String()
}
