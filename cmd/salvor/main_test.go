package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/cli/serve"
)

// helper names the variable that makes the test binary the program, with a role
// of the given temper.
const helper = "SALVOR_TEST_HELPER"

// helperArgs names the variable with the command line, a line for each word, of
// the program with its real roles.
const helperArgs = "SALVOR_TEST_ARGS"

type testRole struct{ stubborn bool }

func (r testRole) Run(ctx context.Context) error {
	_, _ = fmt.Fprintln(os.Stdout, "working")
	<-ctx.Done()
	_, _ = fmt.Fprintln(os.Stdout, "told to end")
	if r.stubborn {
		select {}
	}
	return nil
}

func (testRole) Ready() error { return nil }

// TestHelper is not a test: it is the program that the tests below start.
func TestHelper(t *testing.T) {
	temper := os.Getenv(helper)
	if temper == "" {
		return
	}
	if temper == "serve" {
		os.Exit(run(append([]string{"salvor"}, strings.Split(os.Getenv(helperArgs), "\n")...), roles())) //nolint:revive // it is the program
	}
	role := serve.Constructor{Name: "runner", New: func(context.Context, serve.Deps) (serve.Role, error) {
		return testRole{stubborn: temper == "stubborn"}, nil
	}}
	os.Exit(run([]string{"salvor", "serve", "--data-dir", t.TempDir(), "--probe-listen", "127.0.0.1:0", "--shutdown-grace", "1h"}, []serve.Constructor{role})) //nolint:revive // it is the program
}

// program starts the helper and returns it with its lines.
func program(t *testing.T, temper string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // a bound for a program that hangs
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestHelper$")
	cmd.Env = append(os.Environ(), helper+"="+temper)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return cmd, bufio.NewScanner(out)
}

func until(t *testing.T, lines *bufio.Scanner, text string) {
	t.Helper()
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return
		}
	}
	require.Fail(t, "the program ended before it said: "+text)
}

func TestASignalEndsTheProgram(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		cmd, lines := program(t, "good")
		until(t, lines, "working")
		require.NoError(t, cmd.Process.Signal(signal))
		until(t, lines, "told to end")
		require.NoError(t, cmd.Wait(), "%s: exit code 0", signal)
	}
}

func TestASecondSignalEndsItAtOnce(t *testing.T) {
	cmd, lines := program(t, "stubborn")
	until(t, lines, "working")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	until(t, lines, "told to end")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	err := cmd.Wait()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, app.ExitError, exit.ExitCode())
}
