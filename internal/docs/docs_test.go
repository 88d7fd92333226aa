package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/docs"
)

const root = "../../docs"

func source() fs.FS { return os.DirFS(root + "/src") }

func TestEveryFunctionHasWordsAndNothingElseHas(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(source(), "functions/*.md")
	require.NoError(t, err)
	var got []string
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".md")
		if strings.HasPrefix(name, "_") {
			continue
		}
		text, err := fs.ReadFile(source(), file)
		require.NoError(t, err)
		assert.NotEmpty(t, strings.TrimSpace(string(text)), file)
		got = append(got, name)
	}
	var want []string
	for _, s := range blueprint.Signatures() {
		want = append(want, s.Name)
	}
	assert.Equal(t, want, got, "a file for each function in docs/src/functions")
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	other   = regexp.MustCompile("[^a-z0-9 _-]")
)

// anchors are those that a page's headings have.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		all[strings.ReplaceAll(other.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return all
}

// Links of all pages lead to files and headings that are there.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	made := map[string]string{}
	for name, page := range docs.Pages() {
		text, err := page(source())
		require.NoError(t, err, name)
		made[filepath.Join(root, name)] = text
	}
	read := func(path string) (string, bool) {
		if text, ok := made[filepath.Clean(path)]; ok {
			return text, true
		}
		data, err := os.ReadFile(filepath.Clean(path))
		return string(data), err == nil
	}
	pages, err := filepath.Glob(root + "/*.md")
	require.NoError(t, err)
	for _, page := range append(pages, "../../README.md") {
		text, _ := read(page)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.Contains(m[1], "{{") {
				continue
			}
			path := page
			if target != "" {
				path = filepath.Join(filepath.Dir(page), target)
			}
			if anchor == "" {
				_, err := os.Stat(path)
				require.NoError(t, err, "%s: link to %s", page, m[1])
				continue
			}
			there, ok := read(path)
			if assert.True(t, ok, "%s: link to %s", page, m[1]) {
				assert.True(t, anchors(there)[anchor], "%s: no heading for %s", page, m[1])
			}
		}
	}
}

// rows says for each thing that a row begins with whether there is one: a thing is what
// stands in backquotes.
func rows(t *testing.T) map[string]bool {
	t.Helper()
	all, err := docs.Differences(source())
	require.NoError(t, err)
	require.NotEmpty(t, all)
	there := map[string]bool{}
	for _, d := range all {
		for i, part := range strings.Split(d.Thing, "`") {
			if i%2 == 1 {
				there[part] = true
			}
		}
	}
	return there
}

func TestEveryFunctionAndTemplateFieldHasARow(t *testing.T) {
	t.Parallel()
	there := rows(t)
	for _, s := range blueprint.Signatures() {
		assert.True(t, there[s.Name], "docs/src/compatibility has no row for function %s", s.Name)
	}
	for _, group := range blueprint.Fields() {
		for _, f := range group.Fields {
			assert.True(t, there[f.Path], "docs/src/compatibility has no row for field %s", f.Path)
		}
	}
}

// Every row says which of the three it is, and a difference says what is different.
func TestEveryRowHasAVerdict(t *testing.T) {
	t.Parallel()
	all, err := docs.Differences(source())
	require.NoError(t, err)
	for _, d := range all {
		assert.NotEmpty(t, d.Thing, d.File)
		assert.NotEmpty(t, d.Salvor, "%s: %s", d.File, d.Thing)
		if strings.TrimSpace(d.Salvor) == "different" || strings.TrimSpace(d.Salvor) == "better" {
			assert.NotEmpty(t, d.Why, "%s: %s: in what?", d.File, d.Thing)
		}
	}
}

// Flags of kando are listed by hand from Kanister's; a test of kando's compares the two.
func TestEveryFlagOfKandoHasARow(t *testing.T) {
	t.Parallel()
	there := rows(t)
	for _, want := range []string{
		"kando --verbosity", "kando output", "kando location push", "kando location push --output-name", "kando location pull",
		"kando location pull --kopia-snapshot", "kando location delete", "kando location delete --kopia-snapshot", "kando location --path",
		"kando location --profile", "kando chronicle push", "kando chronicle push --profile-path", "kando chronicle push --artifact-path",
		"kando chronicle push --env-dir", "kando chronicle push --frequency", "kando chronicle pull", "kando chronicle pull --path",
		"kando chronicle pull --profile", "kando stream push", "kando stream push --password", "kando stream push --config-file",
		"kando stream push --dirPath", "kando stream push --filePath", "kando process --address", "kando process server",
		"kando process client --as-json", "kando process client --quiet", "kando process client create", "kando process client execute",
		"kando process client execute --signal-proxy", "kando process client execute --exit-proxy", "kando process client get",
		"kando process client list", "kando process client output", "kando process client output --signal-proxy",
		"kando process client output --exit-proxy", "kando process client signal",
	} {
		assert.True(t, there[want], "docs/src/compatibility has no row for %s", want)
	}
}
