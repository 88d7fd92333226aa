package chronicle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/salvor-io/salvor/internal/location"
)

// maxManifest is how long a manifest may be: a path and a number.
const maxManifest = 4096

var errNoManifest = errors.New("the object is not a manifest of chronicle push; check the path")

// Manifest returns the path of the latest output of the chronicle at path. If there
// is no chronicle, the error is location.ErrNotExist.
func Manifest(ctx context.Context, l *location.Location, path string) (string, error) {
	var text limited
	if _, err := l.Pull(ctx, path, &text); err != nil {
		if errors.Is(err, errNoManifest) {
			return "", fmt.Errorf("%q: %w", path, errNoManifest)
		}
		return "", err
	}
	data := strings.TrimSpace(text.text.String())
	if data == "" {
		return "", fmt.Errorf("%q: %w", path, errNoManifest)
	}
	return data, nil
}

// limited refuses what is too long for a manifest, so that a wrong path does not
// read a dump into memory.
type limited struct{ text bytes.Buffer }

// Write keeps what comes.
func (l *limited) Write(p []byte) (int, error) {
	if l.text.Len()+len(p) > maxManifest {
		return 0, errNoManifest
	}
	return l.text.Write(p)
}

// dataPath is where the output of run n is.
func dataPath(path string, n int64) string { return path + "-" + strconv.FormatInt(n, 10) }

// next returns the number of the run that follows a manifest, and whether the
// manifest names the output of this chronicle at all.
func next(path, manifest string) (n int64, known bool) {
	number, found := strings.CutPrefix(manifest, path+"-")
	if !found {
		return 0, false
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || dataPath(path, n) != manifest {
		return 0, false
	}
	return n + 1, true
}
