package builds

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// npm installs a component of Node.js exactly as its lock file says, without
// running any package's scripts, and links its commands among the programs.
func (b Builder) npm(ctx context.Context, dir string, component Component, stamp string) error {
	if _, err := exec.LookPath("npm"); err != nil {
		return fmt.Errorf("%s needs Node.js and npm: run `make setup`, or install what Debian calls nodejs and npm", component.Name)
	}
	home := b.Layout.Node(component.Name)
	if err := os.RemoveAll(home); err != nil {
		return err
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(home, name), content, 0o644); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = home
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, strings.TrimSpace(string(said)))
	}
	for i, command := range component.Packages {
		if err := b.link(filepath.Join(home, "node_modules", ".bin", command), component.Outputs[i]); err != nil {
			return err
		}
	}
	return os.WriteFile(component.stampFile(b.Layout.Bin()), []byte(stamp+"\n"), 0o644)
}

// link makes program another name of target, relative so that the checkout can move.
func (b Builder) link(target, program string) error {
	relative, err := filepath.Rel(b.Layout.Bin(), target)
	if err != nil {
		return err
	}
	name := b.Layout.Program(program)
	if err := os.RemoveAll(name); err != nil {
		return err
	}
	return os.Symlink(relative, name)
}
