package kandocmd

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"
)

// flagOf is one flag of Kanister's kando: -short, --long, and its default.
type flagOf struct{ short, long, value string }

// The command line of Kanister's kando, of KANISTER.md section 4. Persistent flags
// are listed at every command that takes them.
func kanisterCommandLine() map[string][]flagOf {
	verbosity := flagOf{"v", "verbosity", "warning"}
	location := []flagOf{verbosity, {"s", "path", ""}, {"p", "profile", ""}}
	stream := []flagOf{verbosity, {"p", "password", ""}, {"c", "config-file", ""}}
	address := flagOf{"a", "address", "/tmp/kanister.sock"}
	client := []flagOf{verbosity, address, {"j", "as-json", "false"}, {"q", "quiet", "false"}}
	proxies := []flagOf{{"p", "signal-proxy", "false"}, {"x", "exit-proxy", "false"}}
	with := func(flags []flagOf, more ...flagOf) []flagOf { return append(append([]flagOf{}, flags...), more...) }
	return map[string][]flagOf{
		"":                       {verbosity},
		"output":                 {verbosity},
		"location":               location,
		"location push":          with(location, flagOf{"o", "output-name", "kandoOutput"}),
		"location pull":          with(location, flagOf{"k", "kopia-snapshot", ""}),
		"location delete":        with(location, flagOf{"k", "kopia-snapshot", ""}),
		"chronicle":              {verbosity},
		"chronicle push":         {verbosity, {"p", "profile-path", ""}, {"s", "artifact-path", ""}, {"e", "env-dir", ""}, {"f", "frequency", "1m0s"}},
		"chronicle pull":         {verbosity, {"s", "path", ""}, {"p", "profile", ""}},
		"stream":                 stream,
		"stream push":            with(stream, flagOf{"d", "dirPath", ""}, flagOf{"f", "filePath", ""}),
		"process":                {verbosity, address},
		"process server":         {verbosity, address},
		"process client":         client,
		"process client create":  client,
		"process client execute": with(client, proxies...),
		"process client get":     client,
		"process client list":    client,
		"process client output":  with(client, proxies...),
		"process client signal":  client,
	}
}

// ours are the flags Kanister does not have.
func ours() map[string][]string {
	location := []string{"ca-file"}
	return map[string][]string{
		"output":         {"file"},
		"chronicle push": location, "chronicle pull": location,
		"location": location, "location push": location, "location pull": location, "location delete": location,
	}
}

func testRoot() *cobra.Command {
	return newRoot("v1", Host{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &bytes.Buffer{}, Clock: clock.RealClock{}})
}

func find(t *testing.T, path string) *cobra.Command {
	t.Helper()
	cmd, rest, err := testRoot().Find(strings.Fields(path))
	require.NoError(t, err, path)
	require.Empty(t, rest, path)
	cmd.InitDefaultHelpFlag()
	return cmd
}

func TestEveryCommandAndFlagOfKanister(t *testing.T) {
	t.Parallel()
	for path, flags := range kanisterCommandLine() {
		cmd := find(t, path)
		known := map[string]bool{"help": true, "version": true}
		for _, name := range ours()[path] {
			known[name] = true
		}
		for _, want := range flags {
			known[want.long] = true
			// The long form, the short one, and each with = or a word of its own.
			value := want.value
			if value == "" {
				value = "some value"
			}
			for _, args := range [][]string{{"--" + want.long + "=" + value}, {"-" + want.short + value}, {"--" + want.long, value}, {"-" + want.short, value}} {
				if want.value == "false" {
					args = []string{strings.TrimSuffix(strings.TrimSuffix(args[0], "false"), "=")}
				}
				cmd := find(t, path)
				require.NoError(t, cmd.ParseFlags(args), "%s %s", path, args)
				got := cmd.Flag(want.long)
				require.NotNil(t, got, "kando %s --%s", path, want.long)
				assert.Equal(t, want.value, got.DefValue, "kando %s --%s", path, want.long)
				assert.Equal(t, want.short, got.Shorthand, "kando %s --%s", path, want.long)
				assert.True(t, got.Changed, "kando %s %s", path, args)
				if want.value == "false" {
					value = "true"
				}
				assert.Equal(t, value, got.Value.String(), "kando %s %s", path, args)
				assert.NotEmpty(t, got.Usage)
				assert.Empty(t, got.Deprecated)
			}
		}
		visit := func(f *pflag.Flag) {
			assert.True(t, known[f.Name], "kando %s --%s is neither Kanister's nor listed as ours", path, f.Name)
		}
		cmd.LocalFlags().VisitAll(visit)
		cmd.InheritedFlags().VisitAll(visit)
	}
}

// No command of ours is missing from the list above.
func TestNoOtherCommands(t *testing.T) {
	t.Parallel()
	known := kanisterCommandLine()
	var walk func(cmd *cobra.Command, path string)
	walk = func(cmd *cobra.Command, path string) {
		assert.Contains(t, known, path)
		for _, sub := range cmd.Commands() {
			if sub.Name() != "help" {
				walk(sub, strings.TrimSpace(path+" "+sub.Name()))
			}
		}
	}
	walk(testRoot(), "")
}

// What Kanister marks as required is.
func TestRequiredFlags(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"--profile is missing":       {"location", "push", "-"},
		"--profile-path is missing":  {"chronicle", "push", "-s", "a", "date"},
		"--artifact-path is missing": {"chronicle", "push", "-p", "a", "date"},
		"--password is missing":      {"stream", "push", "-d", "a", "-f", "b", "http://x"},
		"--dirPath is missing":       {"stream", "push", "-p", "a", "-f", "b", "http://x"},
		"--filePath is missing":      {"stream", "push", "-p", "a", "-d", "b", "http://x"},
	} {
		assert.Contains(t, fails(t, strings.NewReader(""), args...), want)
	}
	assert.Contains(t, fails(t, nil, "chronicle", "pull", "-", "-s", "a"), "--profile is missing")
}

// The level names are those of logrus.
func TestVerbosities(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"trace", "debug", "info", "warn", "warning", "error", "fatal", "panic", "WARNING", "Info"} {
		succeed(t, nil, "-v", level, "output", "k", "v")
	}
	assert.Contains(t, fails(t, nil, "-v", "", "output", "k", "v"), "is unknown")
	assert.Contains(t, fails(t, nil, "-v", "disabled", "output", "k", "v"), "is unknown")
	assert.Contains(t, fails(t, nil, "-v", "3", "output", "k", "v"), "is unknown")
}
