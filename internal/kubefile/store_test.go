package kubefile_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/salvor-io/salvor/internal/kubefile"
)

// Nothing of a file is passed over, whatever notation it has.
func TestReadTakesEveryObject(t *testing.T) {
	t.Parallel()
	const one = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one"}}`
	const two = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"two"}}`
	for name, text := range map[string]string{
		"JSON values":        one + "\n" + two,
		"JSON without a gap": one + two,
		"JSON documents":     one + "\n---\n" + two + "\n",
		"both":               "# none\n---\n---\n" + one + "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}\n---\n",
		"CRLF":               "apiVersion: v1\r\nkind: ConfigMap\r\nmetadata: {name: one}\r\n---\r\n" + two + "\r\n",
		"a list":             `{"apiVersion":"v1","kind":"List","items":[` + one + "," + two + `]}`,
		"a byte order mark":  "\xef\xbb\xbfapiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n---\n" + two,
	} {
		store := kubefile.New("default")
		require.NoError(t, store.Read("file", []byte(text)), name)
		assert.Len(t, store.All(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}), 2, name)
	}
	require.Error(t, kubefile.New("default").Read("file", []byte(one+"\n{\"apiVersion\": ")), "cut off")
}

// Files for "kubectl create" have a generateName, ActionSets above all.
func TestReadNamesWhatHasAGenerateName(t *testing.T) {
	t.Parallel()
	const one = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"backup-"}}`
	store := kubefile.New("default")
	require.NoError(t, store.Read("file", []byte(one+one)))
	all := store.All(schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"})
	require.Len(t, all, 2)
	assert.Equal(t, "backup-1", all[0].GetName())
	assert.Equal(t, "backup-2", all[1].GetName())
	require.ErrorContains(t, kubefile.New("default").Read("file", []byte(`{"apiVersion":"v1","kind":"ConfigMap"}`)), "neither metadata.name nor metadata.generateName")
}
