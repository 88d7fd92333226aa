package harness

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Install installs or upgrades the release salvor from the chart, with the image
// of a tag, and lets it work in the namespaces. The pod is replaced when bin/salvor
// has changed since, because the tag alone would not say so.
func (t *Tools) Install(ctx context.Context, tag string, namespaces ...string) error {
	program, err := os.ReadFile(filepath.Join(t.Root, "bin", "salvor"))
	if err != nil {
		return fmt.Errorf("install Salvor: %w; run `make build`", err)
	}
	sum := sha256.Sum256(program)
	_, err = t.Helm(ctx, "upgrade", "--install", "salvor", filepath.Join(t.Root, "deploy", "chart"),
		"--namespace", "salvor", "--create-namespace", "--wait", "--timeout", "3m",
		"--set", "image.tag="+tag, "--set", "rbac.workloadNamespaces={"+strings.Join(namespaces, ",")+"}",
		"--set-string", "podAnnotations.build="+hex.EncodeToString(sum[:8]))
	return err
}
