package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
		if strings.HasPrefix(name, "_") || slices.Contains(blueprint.Missing(), name) {
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
				assert.NoError(t, err, "%s: link to %s", page, m[1])
				continue
			}
			there, ok := read(path)
			if assert.True(t, ok, "%s: link to %s", page, m[1]) {
				assert.True(t, anchors(there)[anchor], "%s: no heading for %s", page, m[1])
			}
		}
	}
}
