// Package schematest checks events against their published schemas, in tests.
package schematest

import (
	"bytes"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event/schema"
)

// Check returns what the schema of a type of events says of data, which is JSON.
func Check(t testing.TB, ceType string, data []byte) error {
	t.Helper()
	content, ok := schema.For(ceType)
	require.True(t, ok, "%s has no schema", ceType)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource(ceType, document))
	compiled, err := compiler.Compile(ceType)
	require.NoError(t, err)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	require.NoError(t, err)
	return compiled.Validate(value) //nolint:wrapcheck // it names the type
}
