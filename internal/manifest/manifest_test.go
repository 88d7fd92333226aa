package manifest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/manifest"
)

func TestDocumentsKeepTheirLines(t *testing.T) {
	t.Parallel()
	documents := manifest.Read([]byte("%YAML 1.1\n--- # one\na: 1\n---\n# nothing\n---\nb: |\n  ---\n  x\n...\n--- {c: 2}\n"))
	require.Len(t, documents, 3)
	for i, want := range []string{`{"a":1}`, `{"b":"---\nx\n"}`, `{"c":2}`} {
		assert.JSONEq(t, want, string(documents[i].JSON))
		assert.Empty(t, documents[i].Mistakes)
	}
	assert.Equal(t, manifest.Position{Line: 3, Column: 1}, documents[0].Start())
	assert.Equal(t, manifest.Position{Line: 8, Column: 3}, documents[1].Position(manifest.Place{Path: []any{"b"}, Line: 1, Column: 1}))
	assert.Equal(t, manifest.Position{Line: 11, Column: 9}, documents[2].Position(manifest.Place{Path: []any{"c"}}))
}

// kubectl takes JSON values one after the other, as `kubectl get -o json` in a loop
// prints them; to YAML all after the first would be nothing.
func TestJSONValuesInOneDocument(t *testing.T) {
	t.Parallel()
	documents := manifest.Read([]byte("{\"a\":\n1}\n{\"b\": {\"c\":2}}{\"d\":3}\n---\n{e: 4}\n"))
	require.Len(t, documents, 4)
	for i, want := range []string{`{"a":1}`, `{"b":{"c":2}}`, `{"d":3}`, `{"e":4}`} {
		assert.JSONEq(t, want, string(documents[i].JSON))
		assert.Empty(t, documents[i].Mistakes)
	}
	assert.Equal(t, manifest.Position{Line: 3, Column: 8}, documents[1].Position(manifest.Place{Path: []any{"b", "c"}, Key: true}))
	broken := manifest.Read([]byte("{\"a\": 1}\n{\"b\": \n"))
	require.NotEmpty(t, broken)
	mistakes := 0
	for _, d := range broken {
		mistakes += len(d.Mistakes)
	}
	assert.Positive(t, mistakes, "what is cut off is not passed over")
}

func TestPositions(t *testing.T) {
	t.Parallel()
	d := manifest.Read([]byte(`base: &base {x: 1}
map:
  <<: *base
  list:
  - first
  - "quoted text"
  - plain text
  folded: >
    one
    two
  block: |2

      indented
    text
  alias: *base
`))[0]
	require.Empty(t, d.Mistakes)
	for name, tc := range map[string]struct {
		place manifest.Place
		want  manifest.Position
	}{
		"nothing of it":           {manifest.Place{Path: []any{"nope", "x"}}, manifest.Position{Line: 1, Column: 1}},
		"a map is at its key":     {manifest.Place{Path: []any{"map"}}, manifest.Position{Line: 2, Column: 1}},
		"what is missing":         {manifest.Place{Path: []any{"map", "list", 7}}, manifest.Position{Line: 4, Column: 3}},
		"an element":              {manifest.Place{Path: []any{"map", "list", 0}}, manifest.Position{Line: 5, Column: 5}},
		"in quotes":               {manifest.Place{Path: []any{"map", "list", 1}, Line: 1, Column: 8}, manifest.Position{Line: 6, Column: 13}},
		"plain":                   {manifest.Place{Path: []any{"map", "list", 2}, Line: 1, Column: 7}, manifest.Position{Line: 7, Column: 11}},
		"a key":                   {manifest.Place{Path: []any{"map", "folded"}, Key: true}, manifest.Position{Line: 8, Column: 3}},
		"in a folded text":        {manifest.Place{Path: []any{"map", "folded"}, Line: 2, Column: 1}, manifest.Position{Line: 8, Column: 11}},
		"merged":                  {manifest.Place{Path: []any{"map", "x"}}, manifest.Position{Line: 1, Column: 17}},
		"through an alias":        {manifest.Place{Path: []any{"map", "alias", "x"}}, manifest.Position{Line: 1, Column: 17}},
		"past the end of a block": {manifest.Place{Path: []any{"map", "block"}, Line: 99}, manifest.Position{Line: 11, Column: 10}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tc.want, d.Position(tc.place))
		})
	}
}

func TestPathsAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []any{"spec", "actions", 0, "args", "a.b/c", "x"}, manifest.Path("spec.actions[0].args[a.b/c].x"))
	for _, field := range []string{"spec.actions[0].name", "a", "a[1][2].b"} {
		assert.Equal(t, field, manifest.Field(manifest.Path(field)))
	}
	assert.Empty(t, manifest.Path(""))
}

// Whatever is in a file, it is read or there is a mistake, and positions are in it.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"a: [", "\t", "a: &x [*x]", "{{ .x }}: 1", "---\n---", "\xff", "a: |\n  b\n c", "? [a]\n: b", "<<: 1", "!!binary x", "kind: List\napiVersion: v1\nitems: [{}]", "{\"a\":\n\t1}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, d := range manifest.Read([]byte(text)) {
			assert.False(t, d.JSON == nil && len(d.Mistakes) == 0, "neither read nor refused")
			for _, m := range d.Mistakes {
				assert.Positive(t, m.Line)
				assert.Positive(t, m.Column)
			}
			for _, place := range []manifest.Place{{}, {Path: []any{"a", 0, "b"}, Line: 3, Column: 7}, {Path: []any{"items", 0}, Key: true}} {
				at := d.Position(place)
				assert.Positive(t, at.Line)
				assert.Positive(t, at.Column)
			}
		}
	})
}
