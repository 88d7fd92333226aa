package blueprint

import (
	"strings"
	"testing"
	"text/template"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCondition(t *testing.T) {
	// Wait: the paths are filled in, there is no data.
	c, err := ParseCondition(`{{ if or (eq "green" "green") (eq "x" "yellow") }}true{{ else }}false{{ end }}{{ upper "a" }}`, nil)
	require.NoError(t, err)
	got, err := c.Render(nil)
	require.NoError(t, err)
	assert.Equal(t, "trueA", got)

	// WaitV2: the data is the object; it is rendered whenever the object changes.
	c, err = ParseCondition(`{{ range $.status.conditions }}{{ if eq .type "Ready" }}{{ .status }}{{ end }}{{ end }}{{ exists $ "x" }}`,
		template.FuncMap{"exists": func(map[string]any, string) bool { return true }})
	require.NoError(t, err)
	for range 3 {
		got, err = c.Render(map[string]any{"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}}})
		require.NoError(t, err)
		assert.Equal(t, "Truetrue", got)
	}
	got, err = c.Render(map[string]any{"status": map[string]any{}})
	require.NoError(t, err)
	assert.Equal(t, "true", got)

	_, err = ParseCondition(`{{ upper "a" }}`, template.FuncMap{})
	require.ErrorContains(t, err, `function "upper" not defined`)
	_, err = ParseCondition(`{{ env "HOME" }}`, nil)
	require.ErrorContains(t, err, `function "env" not defined`)

	// An object can hold anything, a template can ask for anything.
	c, err = ParseCondition(`{{ range .data }}{{ range . }}{{ end }}{{ end }}`, template.FuncMap{})
	require.NoError(t, err)
	_, err = c.Render(map[string]any{"data": map[string]any{"password": true}})
	require.EqualError(t, err, `line 1: .: range can't iterate over this value; it needs a list or a map`)
	_, err = c.Render(map[string]any{"data": []any{1000000000, 1000000000}})
	require.ErrorContains(t, err, "too much work")
	c, err = ParseCondition(strings.Repeat(`{{ .data }}`, 3), nil)
	require.NoError(t, err)
	_, err = c.Render(map[string]any{"data": strings.Repeat("x", maxText/2)})
	require.ErrorContains(t, err, "the rendered text is over")
}
