package builds

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// stamp is a digest of all that decides what the component's programs are.
func (c Component) stamp(dir, goVersion string) (string, error) {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\n%v\n%v\n%v\n%s\n%s\n", goVersion, c.Packages, c.Outputs, c.Links, c.Tags, c.LDFlags)
	for _, files := range c.Files {
		fmt.Fprintf(hash, "%v\n", files)
	}
	var inputs []string
	for _, pattern := range []string{"go.mod", "go.sum", "*.go", "package.json", "package-lock.json"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", err
		}
		inputs = append(inputs, found...)
	}
	if len(inputs) == 0 {
		return "", fmt.Errorf("no go.mod or package.json in %s", dir)
	}
	slices.Sort(inputs)
	for _, path := range inputs {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read the inputs of %s: %w", c.Name, err)
		}
		fmt.Fprintf(hash, "%s %d\n", filepath.Base(path), len(content))
		hash.Write(content)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func (c Component) stampFile(bin string) string {
	return filepath.Join(bin, ".stamp-"+c.Name)
}

// fresh tells whether bin holds the programs that belong to the stamp.
func (c Component) fresh(bin, stamp string) (bool, error) {
	written, err := os.ReadFile(c.stampFile(bin))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if strings.TrimSpace(string(written)) != stamp {
		return false, nil
	}
	names := slices.Concat(c.Outputs, c.Links)
	for _, files := range c.Files {
		names = append(names, files.Folder)
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return false, nil //nolint:nilerr // a program that is missing is built again
		}
	}
	return true, nil
}
