package cli_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/internal/cli"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/docs"
)

// The flags of kanctl 0.119: command, flag, shorthand, default.
func TestEveryFlagOfKanctlIsThere(t *testing.T) {
	root, err := cli.New(&app.App{Clock: clock.RealClock{}}, cli.Program{Name: cli.Kanctl, Version: "v1"})
	require.NoError(t, err)
	require.Equal(t, "kanctl", root.Name())
	rows := kanctlRows(t)
	for _, f := range []struct {
		command         []string
		name, shorthand string
		byDefault       string
	}{
		{nil, "namespace", "n", ""},
		{nil, "verbose", "", "false"},
		{[]string{"create"}, "dry-run", "", "false"},
		{[]string{"create"}, "skip-validation", "", "false"},
		{[]string{"create", "actionset"}, "from", "f", ""},
		{[]string{"create", "actionset"}, "action", "a", ""},
		{[]string{"create", "actionset"}, "name", "A", ""},
		{[]string{"create", "actionset"}, "blueprint", "b", ""},
		{[]string{"create", "actionset"}, "config-maps", "c", "[]"},
		{[]string{"create", "actionset"}, "deployment", "d", "[]"},
		{[]string{"create", "actionset"}, "options", "o", "[]"},
		{[]string{"create", "actionset"}, "profile", "p", ""},
		{[]string{"create", "actionset"}, "pvc", "v", "[]"},
		{[]string{"create", "actionset"}, "secrets", "s", "[]"},
		{[]string{"create", "actionset"}, "statefulset", "t", "[]"},
		{[]string{"create", "actionset"}, "deploymentconfig", "D", "[]"},
		{[]string{"create", "actionset"}, "selector", "l", ""},
		{[]string{"create", "actionset"}, "kind", "k", "all"},
		{[]string{"create", "actionset"}, "selector-namespace", "", ""},
		{[]string{"create", "actionset"}, "namespacetargets", "T", "[]"},
		{[]string{"create", "actionset"}, "objects", "O", "[]"},
		{[]string{"create", "actionset"}, "repository-server", "r", ""},
		{[]string{"create", "actionset"}, "wait-for-repository-server", "w", "false"},
		{[]string{"create", "actionset"}, "labels", "", ""},
		{[]string{"create", "actionset"}, "podannotations", "", ""},
		{[]string{"create", "actionset"}, "podlabels", "", ""},
		{[]string{"create", "profile"}, "bucket", "b", ""},
		{[]string{"create", "profile"}, "endpoint", "e", ""},
		{[]string{"create", "profile"}, "prefix", "p", ""},
		{[]string{"create", "profile"}, "region", "r", ""},
		{[]string{"create", "profile"}, "skip-SSL-verification", "", "false"},
		{[]string{"create", "profile", "s3compliant"}, "access-key", "a", ""},
		{[]string{"create", "profile", "s3compliant"}, "secret-key", "s", ""},
		{[]string{"create", "profile", "s3compliant"}, "role", "R", ""},
		{[]string{"create", "profile", "gcp"}, "project-id", "a", ""},
		{[]string{"create", "profile", "gcp"}, "service-key", "s", ""},
		{[]string{"create", "profile", "azure"}, "storage-account", "a", ""},
		{[]string{"create", "profile", "azure"}, "storage-key", "s", ""},
		{[]string{"create", "profile", "azure"}, "storage-env", "", ""},
		{[]string{"validate"}, "name", "", ""},
		{[]string{"validate"}, "filename", "f", ""},
		{[]string{"validate"}, "resource-namespace", "", "default"},
		{[]string{"validate"}, "schema-validation-only", "", "false"},
		{[]string{"validate"}, "functionVersion", "v", "v0.0.0"},
	} {
		command, rest, err := root.Find(f.command)
		require.NoError(t, err)
		require.Empty(t, rest, "no command %v", f.command)
		// Persistent flags are the command's own or come from above, as when a
		// command line is parsed.
		require.NoError(t, command.ParseFlags(nil))
		flag := command.Flags().Lookup(f.name)
		if !assert.NotNil(t, flag, "%v has no --%s", f.command, f.name) {
			continue
		}
		assert.Equal(t, f.shorthand, flag.Shorthand, "%v --%s", f.command, f.name)
		assert.Equal(t, f.byDefault, flag.DefValue, "%v --%s", f.command, f.name)
		assert.NotEmpty(t, flag.Usage, "%v --%s has no help", f.command, f.name)
		row := strings.Join(append(append([]string{"kanctl"}, f.command...), "--"+f.name), " ")
		assert.True(t, rows[row], "docs/src/compatibility has no row for %s", row)
	}
}

// kanctlRows are the flags that docs/compatibility.md has a row for.
func kanctlRows(t *testing.T) map[string]bool {
	t.Helper()
	all, err := docs.Differences(os.DirFS("../../docs/src"))
	require.NoError(t, err)
	there := map[string]bool{}
	for _, d := range all {
		for i, part := range strings.Split(d.Thing, "`") {
			if i%2 == 1 {
				there[part] = true
			}
		}
	}
	return there
}

func TestProgram(t *testing.T) {
	for name, c := range map[string]struct {
		program string
		args    []string
		code    int
		out     string
		err     string
	}{
		"version":            {"salvor", []string{"version"}, 0, "v1.2.3\n", ""},
		"version of kanctl":  {"kanctl", []string{"--version"}, 0, "kanctl version v1.2.3\n", ""},
		"unknown flag":       {"salvor", []string{"get", "--colour"}, 1, "", "Error: unknown flag: --colour; see: salvor get --help\n"},
		"unknown command":    {"salvor", []string{"gett"}, 1, "", "Error: unknown command \"gett\" for \"salvor\"; did you mean get?\n"},
		"unknown in a group": {"kanctl", []string{"create", "actionst"}, 1, "", "Error: unknown command \"actionst\" for \"kanctl create\"; did you mean actionset?\n"},
		"unknown altogether": {"salvor", []string{"dlq", "frobnicate"}, 1, "", "Error: unknown command \"frobnicate\" for \"salvor dlq\"; see: salvor dlq --help\n"},
		"too few arguments":  {"salvor", []string{"wait"}, 1, "", "Error: wait takes the name of one ActionSet; see: salvor wait --help\n"},
		"bad duration":       {"salvor", []string{"wait", "x", "--timeout", "soon"}, 1, "", "Error: invalid argument \"soon\" for \"--timeout\" flag: time: invalid duration \"soon\"; see: salvor wait --help\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := (&shell{t: t, name: c.program}).run(c.args...)
			assert.Equal(t, result{c.code, c.out, c.err}, got)
		})
	}
}

func TestACommandThatHoldsOthersShowsThem(t *testing.T) {
	for _, args := range [][]string{{}, {"create"}} {
		got := offline(t, args...)
		assert.Equal(t, 1, got.code)
		assert.Contains(t, got.out, "Available Commands:")
		assert.Equal(t, "Error: a command is missing\n", got.err)
	}
}
