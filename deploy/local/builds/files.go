package builds

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// take copies files of a module that the module in dir pins.
func (b Builder) take(ctx context.Context, dir string, files Files) error {
	cmd := exec.CommandContext(ctx, "go", "list", "-mod=readonly", "-m", "-f={{.Dir}}", files.Module)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	root, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("go list: %w\n%s", err, exit.Stderr)
	}
	if err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(root)), files.Pattern))
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errors.New("there is no such file")
	}
	to := b.Layout.Program(files.Folder)
	if err := errors.Join(os.RemoveAll(to), os.Mkdir(to, 0o755)); err != nil {
		return err
	}
	for _, path := range found {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(path)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
