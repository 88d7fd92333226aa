package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tools are the programs, and the cluster they talk to.
type Tools struct {
	// Root of the repository.
	Root string
	// Kubeconfig of the cluster.
	Kubeconfig string
	// Verbose, when not nil, is told each command before it runs.
	Verbose io.Writer
}

// Find locates the repository from the working directory upwards, and the
// cluster from kubeconfig or, when that is empty, the one that `make cluster`
// made.
func Find(kubeconfig string) (*Tools, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("find the repository: %w", err)
	}
	for !exists(filepath.Join(dir, "deploy", "chart", "Chart.yaml")) {
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil, errors.New("find the repository: run this from inside it")
		}
		dir = parent
	}
	if kubeconfig == "" {
		kubeconfig = filepath.Join(dir, ".local", "kubeconfig")
	}
	if !exists(kubeconfig) {
		return nil, fmt.Errorf("no cluster: %s does not exist; run `make cluster` or set KUBECONFIG", kubeconfig)
	}
	return &Tools{Root: dir, Kubeconfig: kubeconfig}, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Kubectl runs kubectl and returns what it prints.
func (t *Tools) Kubectl(ctx context.Context, args ...string) (string, error) {
	return t.Run(ctx, nil, "kubectl", args...)
}

// Apply gives manifests to kubectl apply.
func (t *Tools) Apply(ctx context.Context, manifests string) error {
	_, err := t.Run(ctx, strings.NewReader(manifests), "kubectl", "apply", "-f", "-")
	return err
}

// Helm runs helm.
func (t *Tools) Helm(ctx context.Context, args ...string) (string, error) {
	return t.Run(ctx, nil, "helm", args...)
}

// Salvor runs the salvor command line.
func (t *Tools) Salvor(ctx context.Context, args ...string) (string, error) {
	return t.Run(ctx, nil, "salvor", args...)
}

// Run runs a program of the repository (bin/, .local/bin/) or of the machine. An
// error has what the program said.
func (t *Tools) Run(ctx context.Context, stdin io.Reader, name string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := t.Command(ctx, name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if t.Verbose != nil {
		fmt.Fprintf(t.Verbose, "    $ %s %s\n", name, strings.Join(args, " "))
	}
	if err := cmd.Run(); err != nil {
		return stdout.String(), &CommandError{
			Command: name + " " + strings.Join(args, " "), Stdout: stdout.String(), Stderr: stderr.String(), Err: err,
		}
	}
	return stdout.String(), nil
}

// Command prepares a program without running it.
func (t *Tools) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, t.path(name), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+t.Kubeconfig)
	cmd.Dir = t.Root
	return cmd
}

func (t *Tools) path(name string) string {
	for _, dir := range []string{"bin", filepath.Join(".local", "bin")} {
		if path := filepath.Join(t.Root, dir, name); exists(path) {
			return path
		}
	}
	return name
}

// CommandError is a program that failed.
type CommandError struct {
	Command        string
	Stdout, Stderr string
	Err            error
}

// Error has the command, its end and what it printed.
func (e *CommandError) Error() string {
	return fmt.Sprintf("%s: %v\n%s%s", e.Command, e.Err, e.Stdout, e.Stderr)
}

// Unwrap returns the error of os/exec.
func (e *CommandError) Unwrap() error { return e.Err }

// ExitCode of the program, -1 when it did not end by itself.
func (e *CommandError) ExitCode() int {
	if exit, ok := errors.AsType[*exec.ExitError](e.Err); ok {
		return exit.ExitCode()
	}
	return -1
}
