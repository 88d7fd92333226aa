package app

import (
	"fmt"
	"io"
	"os"
	"strings"

	"k8s.io/utils/clock"
)

// App is the world that a command sees. Only cmd makes a real one.
type App struct {
	In  io.Reader
	Out io.Writer
	// Err takes messages for people, so that Out can be piped.
	Err   io.Writer
	Clock clock.WithTicker
	// Getenv reads the environment.
	Getenv func(name string) string
	// Kube is the way to the cluster, set by the flags of the root command.
	Kube Kube
	// Verbose is set by --verbose: tell what is being done.
	Verbose bool
}

// Printf writes to Out. A reader that went away (a closed pipe) is no error
// that anybody could act on.
func (a *App) Printf(format string, args ...any) {
	_, _ = fmt.Fprintf(a.Out, format, args...)
}

// Warnf writes one line for a person to Err.
func (a *App) Warnf(format string, args ...any) {
	_, _ = fmt.Fprintf(a.Err, "Warning: "+format+"\n", args...)
}

// Verbosef writes one line to Err when --verbose is set.
func (a *App) Verbosef(format string, args ...any) {
	if a.Verbose {
		_, _ = fmt.Fprintf(a.Err, format+"\n", args...)
	}
}

// ReadFile returns the content of a file, or of the standard input when path is
// "-".
func (a *App) ReadFile(path string) ([]byte, error) {
	if path == "-" {
		data, err := io.ReadAll(a.In)
		if err != nil {
			return nil, fmt.Errorf("read the standard input: %w", err)
		}
		return data, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the file: %w", err)
	}
	return data, nil
}

// ReadSecret is ReadFile without the line break that editors and echo put at
// the end. An empty secret is an error.
func (a *App) ReadSecret(path string) (string, error) {
	data, err := a.ReadFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(data), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return secret, nil
}
