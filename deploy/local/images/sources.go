package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/salvor-io/salvor/deploy/local/layout"
)

// ErrNoSource says that the image's program is not in this checkout.
var ErrNoSource = errors.New("not in this checkout")

// Sources is where images take their files from.
type Sources struct {
	Layout layout.Layout
}

// Cache holds the layers.
func (s Sources) Cache() string { return filepath.Join(s.Layout.Images(), "layers") }

// tool is a program that `make kubernetes` built.
func (s Sources) tool(name string) (string, error) {
	path := s.Layout.Program(name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is missing (%w); run `make kubernetes`", name, err)
	}
	return path, nil
}

// command builds cmd/NAME of the product as a static program. The error is
// ErrNoSource when there is no such folder.
func (s Sources) command(ctx context.Context, name string) (string, error) {
	source := filepath.Join(s.Layout.Repo, "cmd", name)
	if _, err := os.Stat(source); errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("cmd/%s is %w", name, ErrNoSource)
	}
	output := filepath.Join(s.Layout.Images(), "bin", name)
	v := version(ctx, s.Layout.Repo)
	flags := "-ldflags=-s -w -X github.com/salvor-io/salvor/internal/version.Version=" + v + " -X main.version=" + v
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-tags=disable_grpc_modules", flags, "-o", output, "./cmd/"+name)
	cmd.Dir = s.Layout.Repo
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build cmd/%s: %w\n%s", name, err, strings.TrimSpace(string(said)))
	}
	return output, nil
}

// version is what git says of the sources, as in the Makefile.
func version(ctx context.Context, repo string) string {
	cmd := exec.CommandContext(ctx, "git", "describe", "--tags", "--always", "--dirty")
	cmd.Dir = repo
	said, err := cmd.Output()
	if text := strings.TrimSpace(string(said)); err == nil && text != "" {
		return text
	}
	return "dev"
}

// own is a file of deploy/images.
func (s Sources) own(parts ...string) string {
	return filepath.Join(append([]string{s.Layout.ImageSources()}, parts...)...)
}

// debianSuite is the release whose PostgreSQL is version 15.
const debianSuite = "bookworm"

// trim drops the databases that the packages make when they are installed, and
// the package lists.
const trim = `rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*.log ` +
	`"$1"/var/lib/postgresql/* "$1"/etc/postgresql/* "$1"/var/lib/mysql/*`

// unneeded is what no image needs and what is therefore never unpacked: a third
// of the whole. PostgreSQL does without the compiler for its queries (LLVM).
func unneeded() []string {
	return []string{
		"/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/i18n/*",
		"/usr/lib/*/libLLVM*", "/usr/lib/*/libz3*", "/usr/lib/postgresql/*/lib/llvmjit*", "/usr/lib/postgresql/*/lib/bitcode/*",
		"/usr/bin/aria_*", "/usr/bin/myisam*",
	}
}

// debian returns the root file system with the packages, made once.
func debian(ctx context.Context, s Sources, packages []string) (*layer, error) {
	args := []string{
		"--quiet", "--variant=minbase", "--include=" + strings.Join(packages, ","),
		"--customize-hook=" + trim, "--format=tar",
		"--dpkgopt=force-unsafe-io", // what a crash leaves is thrown away
	}
	for _, pattern := range unneeded() {
		args = append(args, "--dpkgopt=path-exclude="+pattern)
	}
	args = append(args, debianSuite)
	key := sha256.Sum256([]byte(strings.Join(args, "\n")))
	return cached(s.Cache(), "debian-"+hex.EncodeToString(key[:8]), func(path string) error {
		if _, err := exec.LookPath("mmdebstrap"); err != nil {
			return fmt.Errorf("%w; run `make setup`", err)
		}
		cmd := exec.CommandContext(ctx, "mmdebstrap", append(args, path)...)
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("make a Debian root file system: %w\n%s", err, said)
		}
		return nil
	})
}
