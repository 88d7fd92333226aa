package builds

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/salvor-io/salvor/deploy/local/layout"
	"github.com/salvor-io/salvor/deploy/local/progress"
)

// Builder compiles components into the layout's folder of programs.
type Builder struct {
	Layout   layout.Layout
	Progress *progress.Printer
}

// Build compiles those of the components that are not up to date.
func (b Builder) Build(ctx context.Context, components []Component) error {
	if err := os.MkdirAll(b.Layout.Bin(), 0o755); err != nil {
		return fmt.Errorf("make the folder of programs: %w", err)
	}
	for i, component := range components {
		what := fmt.Sprintf("build %s (%d of %d)", component.Name, i+1, len(components))
		if err := b.one(ctx, what, component); err != nil {
			return err
		}
	}
	return nil
}

func (b Builder) one(ctx context.Context, what string, component Component) error {
	dir := filepath.Join(b.Layout.Sources(), component.Name)
	stamp, err := component.stamp(dir, runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH)
	if err != nil {
		return err
	}
	fresh, err := component.fresh(b.Layout.Bin(), stamp)
	if err != nil {
		return err
	}
	if fresh {
		b.Progress.Skip(what, "up to date")
		return nil
	}
	if component.Node {
		return b.Progress.Step(ctx, what, func(ctx context.Context) error {
			return b.npm(ctx, dir, component, stamp)
		})
	}
	var compiled atomic.Int64
	note := func() string { return fmt.Sprintf("%d packages compiled", compiled.Load()) }
	return b.Progress.Watched(ctx, what, note, func(ctx context.Context) error {
		return b.compile(ctx, dir, component, &compiled, stamp)
	})
}

func (b Builder) compile(ctx context.Context, dir string, component Component, compiled *atomic.Int64, stamp string) error {
	// Built aside and moved: a program in use cannot be overwritten, and a
	// build that is cut short leaves no half-written one.
	aside, err := os.MkdirTemp(b.Layout.Bin(), ".build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(aside)
	for i, pkg := range component.Packages {
		args := goBuild(component, filepath.Join(aside, component.Outputs[i]), pkg)
		if err := runGo(ctx, dir, args, compiled); err != nil {
			return err
		}
	}
	if err := b.install(aside, component); err != nil {
		return err
	}
	for _, files := range component.Files {
		if err := b.take(ctx, dir, files); err != nil {
			return fmt.Errorf("take %s of %s: %w", files.Pattern, files.Module, err)
		}
	}
	return os.WriteFile(component.stampFile(b.Layout.Bin()), []byte(stamp+"\n"), 0o644)
}

func goBuild(component Component, output, pkg string) []string {
	return []string{
		"build", "-v", "-trimpath", "-buildvcs=false", "-mod=readonly",
		"-tags=" + component.Tags,
		"-ldflags=" + strings.TrimSpace("-s -w "+component.LDFlags),
		"-o", output, pkg,
	}
}

// runGo runs the compiler and counts the packages it names. What it says
// besides is kept for the error.
func runGo(ctx context.Context, dir string, args []string, compiled *atomic.Int64) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// Static programs, and this module's own pins whatever workspace is around.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	var said bytes.Buffer
	var reading sync.WaitGroup
	reading.Go(func() {
		scanner := bufio.NewScanner(reader)
		for scanner.Scan() {
			if isPackage(scanner.Text()) {
				compiled.Add(1)
				continue
			}
			fmt.Fprintln(&said, scanner.Text())
		}
		// A line longer than the scanner takes must not block the compiler.
		_, _ = io.Copy(io.Discard, reader)
	})
	err := cmd.Run()
	writer.Close()
	reading.Wait()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, strings.TrimSpace(said.String()))
	}
	return nil
}

// isPackage tells the -v lines, which are import paths, from messages.
func isPackage(line string) bool {
	return line != "" && !strings.ContainsAny(line, " :#")
}

func (b Builder) install(aside string, component Component) error {
	for _, name := range component.Outputs {
		if err := os.Rename(filepath.Join(aside, name), b.Layout.Program(name)); err != nil {
			return err
		}
	}
	for _, name := range component.Links {
		link := b.Layout.Program(name)
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Symlink(component.Outputs[0], link); err != nil {
			return err
		}
	}
	return nil
}
