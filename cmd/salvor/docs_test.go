package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	"github.com/salvor-io/salvor/internal/cli"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/kandocmd"
)

const repository = "../.."

// pages are all documents that people read, by their paths in the repository.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md", "deploy/local/*.md"} {
		files, err := filepath.Glob(filepath.Join(repository, pattern))
		require.NoError(t, err)
		for _, file := range files {
			content, err := os.ReadFile(filepath.Clean(file))
			require.NoError(t, err)
			name, err := filepath.Rel(repository, file)
			require.NoError(t, err)
			all[name] = string(content)
		}
	}
	require.Greater(t, len(all), 10)
	return all
}

// found is what a pattern's first group finds in all pages, with the pages.
func found(t *testing.T, pattern string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, text := range pages(t) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			if all[m[1]] == "" || all[m[1]] == "docs/compatibility.md" {
				all[m[1]] = name
			}
		}
	}
	return all
}

func tree(t *testing.T) *cobra.Command {
	t.Helper()
	a := &app.App{Clock: clock.RealClock{}, Getenv: func(string) string { return "" }}
	root, err := cli.New(a, cli.Program{Name: "salvor", Version: "test", Roles: roles()})
	require.NoError(t, err)
	return root
}

// Flags of other programs that the pages name.
var foreignFlags = map[string][]string{
	"curl":                  {"data-binary"},
	"helm":                  {"set", "create-namespace", "install", "take-ownership"},
	"kanctl, refused":       {"repository-server", "wait-for-repository-server"},
	"kube-apiserver":        {"kubelet-preferred-address-types"},
	"kubectl":               {"audience", "from-file", "overwrite", "for", "as"},
	"mysqldump":             {"column-statistics"},
	"pg_dump":               {"inserts"},
	"restic":                {"mode"},
	"snapshot-controller":   {"resync-period"},
	"salvor, help of cobra": {"help", "version"},
}

// Every flag that a page names is one of salvor's, of kando's, or of a program that is
// listed here.
func TestTheFlagsInTheDocsExist(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, flags := range foreignFlags {
		for _, flag := range flags {
			known[flag] = true
		}
	}
	add := func(f *pflag.Flag) { known[f.Name] = true }
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(add)
		cmd.PersistentFlags().VisitAll(add)
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(tree(t))
	kandoFlags(t, nil, known)
	for flag, page := range found(t, `(?:^|[^-\w])--([a-zA-Z][a-zA-Z0-9-]+)`) {
		assert.True(t, known[flag], "%s names the flag --%s, which nothing has", page, flag)
	}
}

// kandoFlags collects the flags of kando from what it says of itself.
func kandoFlags(t *testing.T, path []string, into map[string]bool) {
	t.Helper()
	var out bytes.Buffer
	require.Zero(t, kandocmd.Run(t.Context(), append(slices.Clip(path), "--help"), "test", kandocmd.Host{Out: &out, Err: &out, Clock: clock.RealClock{}}))
	for _, m := range regexp.MustCompile(`--([a-zA-Z][a-zA-Z0-9-]+)`).FindAllStringSubmatch(out.String(), -1) {
		into[m[1]] = true
	}
	_, commands, _ := strings.Cut(out.String(), "Available Commands:\n")
	commands, _, _ = strings.Cut(commands, "\n\n")
	for line := range strings.Lines(commands) {
		if word := strings.Fields(line); len(word) > 0 && word[0] != "help" {
			kandoFlags(t, append(slices.Clip(path), word[0]), into)
		}
	}
}

var (
	block  = regexp.MustCompile("(?s)```sh\n(.*?)```")
	inline = regexp.MustCompile("`(salvor [^`]+)`")
	// command is salvor where a shell looks for a command.
	command = regexp.MustCompile(`(?:^|[|&;(]) *(salvor .*)`)
	// stop ends a command in a line of a shell.
	stop = regexp.MustCompile(`[|&;#>)]|\$\(| 2>`)
)

// Every command line of salvor in a page is one: the command is there, and it has the
// flags.
func TestTheCommandsInTheDocsExist(t *testing.T) {
	t.Parallel()
	checked := 0
	for name, text := range pages(t) {
		var lines []string
		for _, m := range block.FindAllStringSubmatch(text, -1) {
			for line := range strings.Lines(strings.ReplaceAll(m[1], "\\\n", " ")) {
				for _, m := range command.FindAllStringSubmatch(line, -1) {
					lines = append(lines, m[1])
				}
			}
		}
		for _, m := range inline.FindAllStringSubmatch(text, -1) {
			lines = append(lines, strings.ReplaceAll(m[1], "\n", " "))
		}
		for _, line := range lines {
			checkLine(t, name, stop.Split(line, 2)[0])
			checked++
		}
	}
	assert.Greater(t, checked, 50)
}

func checkLine(t *testing.T, page, line string) {
	t.Helper()
	words := strings.Fields(line)[1:]
	cmd, rest, err := tree(t).Find(words)
	require.NoError(t, err, "%s: %s", page, line)
	if cmd.Name() == "salvor" {
		return
	}
	if cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		assert.Fail(t, "no such command", "%s: %s", page, line)
	}
	for _, word := range rest {
		flag, _, _ := strings.Cut(word, "=")
		if long := strings.TrimPrefix(flag, "--"); long != flag && long != "" && long != "help" {
			assert.NotNil(t, cmd.Flag(long), "%s: %s: %s has no such flag", page, line, cmd.CommandPath())
		}
	}
}

func TestTheTargetsOfMakeInTheDocsExist(t *testing.T) {
	t.Parallel()
	var rules []byte
	for _, file := range []string{"Makefile", "deploy/local/local.mk"} {
		content, err := os.ReadFile(filepath.Join(repository, filepath.FromSlash(file)))
		require.NoError(t, err)
		rules = append(rules, content...)
	}
	for target, page := range found(t, "(?m)(?:`|^|^ +)make ([a-z0-9-]+)") {
		assert.Regexp(t, `(?m)^`+target+`:`, string(rules), "%s names the target %s", page, target)
	}
}

// Every file and folder of this repository that a page names is there.
func TestThePathsInTheDocsExist(t *testing.T) {
	t.Parallel()
	for path, page := range found(t, "[`(\\s]((?:api|bridge|cmd|deploy|dispatcher|docs|internal|runner|test)/[a-zA-Z0-9_./-]*[a-zA-Z0-9])[`)\\s,:;]") {
		_, err := os.Stat(filepath.Join(repository, filepath.FromSlash(path)))
		assert.NoError(t, err, "%s names %s", page, path)
	}
}

// Every environment variable that a page names stands in the code, or is of somebody else.
func TestTheVariablesInTheDocsExist(t *testing.T) {
	t.Parallel()
	elsewhere := map[string]string{
		"CAP_SYS_RESOURCE":             "a capability of Linux",
		"JOB_UID":                      "a variable of a shell in an example",
		"PG_VERSION":                   "a file of PostgreSQL",
		"OTEL_EXPORTER_OTLP_HEADERS":   "read by the library",
		"DATA_STORE_PARALLEL_UPLOAD":   "Kanister's",
		"SECURE_DEFAULTS_FOR_JOB_PODS": "Kanister's",
		"TIMEOUT_WORKER_POD_READY":     "Kanister's",
		"SSL_CERT_DIR":                 "read by Go",
		"SSL_CERT_FILE":                "read by Go",
	}
	var code strings.Builder
	for _, folder := range []string{"api", "bridge", "cmd", "deploy", "dispatcher", "internal", "runner", "test", "Makefile"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(repository, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !slices.Contains([]string{".go", ".yaml", ".mk", ""}, filepath.Ext(path)) || filepath.Base(path) == "docs_test.go" {
				return err
			}
			content, err := os.ReadFile(filepath.Clean(path))
			code.Write(content)
			return err
		}))
	}
	text := code.String()
	for name, page := range found(t, `\b([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)\b`) {
		if page == "docs/compatibility.md" {
			continue // it is about Kanister's too
		}
		assert.True(t, elsewhere[name] != "" || strings.Contains(text, name), "%s names %s, which no code knows", page, name)
	}
}

// Every value of the chart that a page names is one.
func TestTheChartsValuesInTheDocsExist(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(repository, "deploy", "chart", "values.yaml"))
	require.NoError(t, err)
	var values map[string]any
	require.NoError(t, yaml.Unmarshal(content, &values))
	for path, page := range found(t, "[`( ']((?:admission|bridge|crds|dispatcher|image|nats|rbac|runner|serviceAccount|storage|telemetry)\\.[a-zA-Z.]*[a-zA-Z])[`)=: ]") {
		var at any = values
		for name := range strings.SplitSeq(path, ".") {
			members, ok := at.(map[string]any)
			at, ok = members[name], ok && members[name] != nil
			assert.True(t, ok, "%s names the value %s", page, path)
		}
	}
}

// docs/operations.md has a table of every flag of serve, with its default.
func TestEveryFlagOfServeIsInOperations(t *testing.T) {
	t.Parallel()
	cmd, _, err := tree(t).Find([]string{"serve"})
	require.NoError(t, err)
	var rows strings.Builder
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		value := strings.Trim(f.DefValue, "[]")
		if value != "" {
			value = "`" + value + "`"
		}
		rows.WriteString("| `--" + f.Name + "` | " + value + " | " + strings.ReplaceAll(f.Usage, "|", `\|`) + " |\n")
	})
	table := "| flag of `salvor serve` | default | |\n|---|---|---|\n" + rows.String()
	there := strings.Contains(pages(t)["docs/operations.md"], table) // the page itself would fill the screen
	assert.True(t, there, "the table at the end of docs/operations.md is to be this one:\n%s", table)
}

// Whoever looks for a package finds its folder in the map.
func TestEveryPackageIsOnTheMap(t *testing.T) {
	t.Parallel()
	for _, m := range [][2]string{
		{"bridge", "ARCHITECTURE.md"},
		{"bridge", "bridge/doc.go"},
		{"dispatcher", "ARCHITECTURE.md"},
		{"internal", "ARCHITECTURE.md"},
		{"internal/cli", "internal/cli/doc.go"},
		{"runner", "ARCHITECTURE.md"},
		{"runner/function", "ARCHITECTURE.md"},
		{"test", "ARCHITECTURE.md"},
	} {
		text, err := os.ReadFile(filepath.Join(repository, filepath.FromSlash(m[1])))
		require.NoError(t, err)
		entries, err := os.ReadDir(filepath.Join(repository, filepath.FromSlash(m[0])))
		require.NoError(t, err)
		for _, entry := range entries {
			if entry.IsDir() && entry.Name() != "testdata" {
				there := regexp.MustCompile(`\b` + entry.Name() + `\b`).Match(text)
				assert.True(t, there, "%s has nothing about %s/%s", m[1], m[0], entry.Name())
			}
		}
	}
}
