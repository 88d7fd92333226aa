package eventschema_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/api/event/schema"
	"github.com/salvor-io/salvor/internal/eventschema"
	"github.com/salvor-io/salvor/internal/eventschema/schematest"
)

func TestFilesAreUpToDate(t *testing.T) {
	t.Chdir("../..")
	files, err := eventschema.Generate()
	require.NoError(t, err)
	for path, want := range files {
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got), "%s is out of date: make generate", path)
	}
	found, err := filepath.Glob("api/event/schema/*.json")
	require.NoError(t, err)
	for _, path := range found {
		assert.Contains(t, files, path, "nothing generates it any more")
	}
	assert.Subset(t, schema.Types(), event.LifecycleTypes())
}

// Every reference of the document leads somewhere.
func TestAsyncAPI(t *testing.T) {
	content, err := os.ReadFile("../../docs/asyncapi.yaml")
	require.NoError(t, err)
	var document map[string]any
	require.NoError(t, yaml.Unmarshal(content, &document))
	assert.Equal(t, "3.0.0", document["asyncapi"])
	refs := 0
	var walk func(value any)
	walk = func(value any) {
		switch value := value.(type) {
		case []any:
			for _, one := range value {
				walk(one)
			}
		case map[string]any:
			for _, one := range value {
				walk(one)
			}
			target, ok := value["$ref"].(string)
			if !ok {
				return
			}
			refs++
			pointer, internal := strings.CutPrefix(target, "#/")
			if !internal {
				_, err := os.Stat(filepath.Join("..", "..", "docs", target))
				assert.NoError(t, err, target)
				return
			}
			var at any = document
			for part := range strings.SplitSeq(pointer, "/") {
				parent, ok := at.(map[string]any)
				require.True(t, ok, target)
				at, ok = parent[part]
				require.True(t, ok, target)
			}
		}
	}
	walk(document)
	assert.Greater(t, refs, 30)
	for _, typ := range schema.Types() {
		assert.Contains(t, string(content), "salvor.events.{namespace}."+typ)
	}
}

// The schemas take what they describe and nothing else.
func TestSchemas(t *testing.T) {
	golden, err := os.ReadFile("../../api/event/testdata/lifecycle.golden.json")
	require.NoError(t, err)
	var e struct {
		Data json.RawMessage `json:"data"`
	}
	require.NoError(t, json.Unmarshal(golden, &e))
	require.NoError(t, schematest.Check(t, event.TypeRunFailed, e.Data))
	require.Error(t, schematest.Check(t, event.TypeRunCompleted, e.Data), "the state is another")
	require.Error(t, schematest.Check(t, event.TypePhaseFailed, e.Data), "it is of no phase")
	for _, change := range []func(map[string]any){
		func(m map[string]any) { delete(m, "uid") },
		func(m map[string]any) { m["state"] = "done" },
		func(m map[string]any) { m["endedAt"] = "yesterday" },
		func(m map[string]any) { m["actions"] = "backup" },
		func(m map[string]any) { delete(m, "createdAt") },
	} {
		var data map[string]any
		require.NoError(t, json.Unmarshal(e.Data, &data))
		change(data)
		text, err := json.Marshal(data)
		require.NoError(t, err)
		require.Error(t, schematest.Check(t, event.TypeRunFailed, text), string(text))
	}
}
