package failpoint_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/failpoint"
)

// Each point has its own name, is listed once, and lies somewhere in the code:
// one that does not would never be reached.
func TestEveryPointIsListedAndLiesSomewhere(t *testing.T) {
	points := failpoint.Points()
	sorted := slices.Clone(points)
	slices.Sort(sorted)
	assert.Len(t, slices.Compact(sorted), len(points), "names are unique")

	declared, err := os.ReadFile("point.go")
	require.NoError(t, err)
	names := map[string]bool{} // of constants
	for line := range strings.Lines(string(declared)) {
		if name, value, found := strings.Cut(line, " Point = "); found {
			names[strings.TrimSpace(strings.Fields(name)[0])] = false
			assert.Contains(t, points, failpoint.Point(strings.Trim(strings.TrimSpace(value), `"`)))
		}
	}
	assert.Len(t, names, len(points))

	for _, root := range []string{"bridge", "dispatcher", "runner"} {
		require.NoError(t, filepath.WalkDir(filepath.Join("..", "..", root), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for name := range names {
				if strings.Contains(string(text), "failpoint.Here(failpoint."+name+")") {
					names[name] = true
				}
			}
			return err
		}))
	}
	for name, lies := range names {
		assert.True(t, lies, "%s is nowhere in bridge, dispatcher or runner", name)
	}
}
