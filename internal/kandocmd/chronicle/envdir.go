package chronicle

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// readEnvDir returns one variable for each file of dir: its name, and what is in
// it, as it is. A directory that is not there gives none. Links to files count,
// because that is what the files of a mounted Secret are; names that begin with
// ".." do not, because that is where the kubelet keeps them.
func readEnvDir(dir string) ([]string, error) {
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("--env-dir: %w", err)
	}
	var env []string
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, "..") { // also since the kubelet removes them at any time
			continue
		}
		file := filepath.Join(dir, name)
		info, err := os.Stat(file)
		if err != nil {
			return nil, fmt.Errorf("--env-dir: %w", err)
		}
		if !info.Mode().IsRegular() {
			continue
		}
		value, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--env-dir: %w", err)
		}
		if bytes.IndexByte(value, 0) >= 0 || strings.Contains(name, "=") {
			return nil, fmt.Errorf("--env-dir: %s cannot be a variable: no = in its name, and no zero byte in its text", file)
		}
		env = append(env, name+"="+string(value))
	}
	return env, nil
}
