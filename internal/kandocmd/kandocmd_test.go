package kandocmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/internal/fixture/fronttest"
	"github.com/salvor-io/salvor/internal/fixture/s3test"
	"github.com/salvor-io/salvor/internal/profile"
)

const canary = "c4n4ry-s3cr3t"

// result is what a run of kando left.
type result struct {
	code     int
	out, err string
}

func kando(t *testing.T, in io.Reader, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := Run(t.Context(), args, "v1.2.3", Host{In: in, Out: &out, Err: &errs, Clock: clock.RealClock{}})
	return result{code: code, out: out.String(), err: errs.String()}
}

func succeed(t *testing.T, in io.Reader, args ...string) string {
	t.Helper()
	r := kando(t, in, args...)
	require.Zero(t, r.code, r.err)
	return r.out
}

// fails runs kando and returns its one line on stderr.
func fails(t *testing.T, in io.Reader, args ...string) string {
	t.Helper()
	r := kando(t, in, args...)
	require.Equal(t, ExitFailure, r.code, "out %q err %q", r.out, r.err)
	assert.Empty(t, r.out)
	assert.NotContains(t, r.err, canary)
	assert.Equal(t, 1, strings.Count(r.err, "\n"), r.err)
	return r.err
}

func toJSON(t *testing.T, p *profile.Profile) string {
	t.Helper()
	data, err := json.Marshal(p)
	require.NoError(t, err)
	return string(data)
}

func directory(t *testing.T) (profileJSON, dir string) {
	t.Helper()
	dir = t.TempDir()
	return toJSON(t, &profile.Profile{Location: profile.Location{Type: profile.LocationFilestore, Bucket: dir, Prefix: "pre"}}), dir
}

// The commands of the blueprints people have, on a real S3 server.
func TestTheCommandsOfBlueprints(t *testing.T) {
	server := s3test.Start(t)
	server.CreateBucket(t, "backups")
	p := toJSON(t, server.Profile("backups", "prefix"))

	out := succeed(t, strings.NewReader("dump"), "location", "push", "--profile", p, "--path", "/mysql/1/dump.gz", "-")
	assert.Empty(t, out, "a push prints nothing that could be taken for data")
	succeed(t, strings.NewReader("two"), "location", "push", "-p", p, "-s", "mysql/1/dump.gz2", "-o", "name", "-v", "info", "-")
	assert.Equal(t, []string{"prefix/mysql/1/dump.gz", "prefix/mysql/1/dump.gz2"}, server.Objects(t, "backups"))

	assert.Equal(t, "dump", succeed(t, nil, "location", "pull", "--profile", p, "--path", "mysql/1/dump.gz", "-"))
	succeed(t, nil, "location", "delete", "--profile", p, "--path", "/mysql/1/dump.gz")
	succeed(t, nil, "location", "delete", "--profile", p, "--path", "/mysql/1/dump.gz")
	assert.Equal(t, []string{"prefix/mysql/1/dump.gz2"}, server.Objects(t, "backups"))

	missing := fails(t, nil, "location", "pull", "--profile", p, "--path", "mysql/1/dump.gz", "-")
	for _, part := range []string{"prefix/mysql/1/dump.gz", `"backups"`, server.Endpoint, "check the path"} {
		assert.Contains(t, missing, part)
	}
	assert.NotContains(t, missing, server.SecretKey)
}

func TestFiles(t *testing.T) {
	p, dir := directory(t)
	source := filepath.Join(t.TempDir(), "source")
	require.NoError(t, os.WriteFile(source, []byte("content"), 0o600))
	succeed(t, nil, "location", "push", source, "-p", p, "-s", "a")
	assert.FileExists(t, filepath.Join(dir, "pre", "a"))

	folder := t.TempDir()
	target := filepath.Join(folder, "target")
	require.NoError(t, os.WriteFile(target, []byte("what was there is longer"), 0o600))
	assert.Contains(t, fails(t, nil, "location", "pull", target, "-p", p, "-s", "missing"), "pre/missing")
	kept, err := os.ReadFile(target)
	require.NoError(t, err)
	assert.Equal(t, "what was there is longer", string(kept), "a failed pull keeps the file")

	succeed(t, nil, "location", "pull", target, "-p", p, "-s", "a")
	got, err := os.ReadFile(target)
	require.NoError(t, err)
	assert.Equal(t, "content", string(got))
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing is left beside the target")

	assert.Contains(t, fails(t, nil, "location", "push", folder, "-p", p, "-s", "a"), "is a directory")
	assert.Contains(t, fails(t, nil, "location", "pull", folder, "-p", p, "-s", "a"), "is a directory")
	assert.Contains(t, fails(t, nil, "location", "push", folder+"/none", "-p", p, "-s", "a"), "no such file")
	assert.Contains(t, fails(t, nil, "location", "pull", folder+"/none/x", "-p", p, "-s", "a"), "target")
}

// As with Kanister's kando, which opens the target: a link leads to the file that is
// written, and the rights of a file that is there stay.
func TestPullKeepsLinksAndRights(t *testing.T) {
	t.Parallel()
	p, _ := directory(t)
	succeed(t, strings.NewReader("new"), "location", "push", "-", "-p", p, "-s", "a")
	volume, links := t.TempDir(), t.TempDir()
	dump, link := filepath.Join(volume, "dump"), filepath.Join(links, "dump")
	require.NoError(t, os.WriteFile(dump, []byte("old"), 0o600))
	require.NoError(t, os.Symlink(dump, link))
	succeed(t, nil, "location", "pull", link, "-p", p, "-s", "a")
	got, err := os.ReadFile(dump)
	require.NoError(t, err)
	assert.Equal(t, "new", string(got))
	info, err := os.Lstat(link)
	require.NoError(t, err)
	assert.Equal(t, os.ModeSymlink, info.Mode().Type())
	info, err = os.Stat(dump)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	for _, folder := range []string{volume, links} {
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		assert.Len(t, entries, 1)
	}
}

// All that talks to a store trusts the authorities of --ca-file.
func TestCAFile(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	server.CreateBucket(t, "backups")
	front := fronttest.TLS(t, server.Endpoint)
	like := server.Profile("backups", "")
	like.Location.Endpoint = front.Endpoint
	dir := t.TempDir()
	files := map[string]string{"ca": string(front.CA), "profile": toJSON(t, like), "path": "c", "none": "no PEM"}
	for name, text := range files {
		files[name] = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(files[name], []byte(text), 0o600))
	}
	from := "@" + files["profile"]
	assert.Contains(t, fails(t, strings.NewReader("x"), "location", "push", "-", "-p", from, "-s", "a"), "certificate")
	succeed(t, strings.NewReader("x"), "location", "push", "-", "-p", from, "-s", "a", "--ca-file", files["ca"])

	push := []string{"chronicle", "push", "-p", files["profile"], "-s", files["path"], "-f", "1h"}
	assert.Contains(t, fails(t, nil, append(push, "echo y")...), "certificate")
	assert.Contains(t, fails(t, nil, append(push, "--ca-file", files["none"], "echo y")...), "must be PEM")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- Run(ctx, append(push, "--ca-file", files["ca"], "echo y"), "v1", Host{Out: io.Discard, Err: io.Discard, Clock: clock.RealClock{}})
	}()
	require.Eventually(t, func() bool { return slices.Contains(server.Objects(t, "backups"), "c") }, 3*time.Minute, 20*time.Millisecond)
	stop() // perhaps before the answer to the push was read, which then has failed
	<-ended
	pull := []string{"chronicle", "pull", "-", "-p", from, "-s", "c"}
	assert.Contains(t, fails(t, nil, pull...), "certificate")
	assert.Equal(t, "y\n", succeed(t, nil, append(pull, "--ca-file", files["ca"])...))
}

func TestPullIntoNamedPipe(t *testing.T) {
	p, _ := directory(t)
	succeed(t, strings.NewReader("through a pipe"), "location", "push", "-", "-p", p, "-s", "a")
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	got := make(chan []byte)
	go func() {
		data, _ := os.ReadFile(pipe)
		got <- data
	}()
	succeed(t, nil, "location", "pull", pipe, "-p", p, "-s", "a")
	assert.Equal(t, "through a pipe", string(<-got))
}

func TestBrokenStdinFailsAndStoresNothing(t *testing.T) {
	p, dir := directory(t)
	in := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("pipe broke")))
	message := fails(t, in, "location", "push", "-", "-p", p, "-s", "a")
	assert.Contains(t, message, "after 4 bytes: pipe broke")
	assert.NoFileExists(t, filepath.Join(dir, "pre", "a"))
}

func TestEmptyPushWarns(t *testing.T) {
	p, dir := directory(t)
	r := kando(t, strings.NewReader(""), "location", "push", "-", "-p", p, "-s", "a")
	assert.Zero(t, r.code)
	assert.Contains(t, r.err, "empty object")
	assert.FileExists(t, filepath.Join(dir, "pre", "a"))
}

func TestProfileFromFile(t *testing.T) {
	p, dir := directory(t)
	file := filepath.Join(t.TempDir(), "profile.json")
	require.NoError(t, os.WriteFile(file, []byte("\n"+p+"\n"), 0o600))
	succeed(t, strings.NewReader("x"), "location", "push", "-", "-p", "@"+file, "-s", "a")
	assert.FileExists(t, filepath.Join(dir, "pre", "a"))
	assert.Contains(t, fails(t, nil, "location", "delete", "-p", "@"+file+".none", "-s", "a"), "no such file")
}

func TestBadInput(t *testing.T) {
	p, _ := directory(t)
	for want, args := range map[string][]string{
		"needs a command: chronicle, location, output, process, stream": {},
		`no command "frobnicate"`: {"frobnicate"},
		`no command "copy"`:       {"location", "copy"},
		"--profile is missing":    {"location", "delete", "-s", "a"},
		"profile is null":         {"location", "delete", "-s", "a", "-p", "null"},
		"syntax error at byte":    {"location", "delete", "-s", "a", "-p", `{"Credential":"` + canary},
		"path is empty":           {"location", "delete", "-p", p},
		"a target file, or -":     {"location", "pull", "-p", p, "-s", "a"},
		"a source file, or -":     {"location", "push", "-p", p, "-s", "a"},
		"unknown flag: --colour":  {"location", "push", "--colour", "-p", p},
		`--verbosity "loud"`:      {"-v", "loud", "output", "k", "v"},
	} {
		assert.Contains(t, fails(t, strings.NewReader(""), args...), want)
	}
}

func TestVersionAndHelp(t *testing.T) {
	assert.Contains(t, succeed(t, nil, "--version"), "v1.2.3")
	help := succeed(t, nil, "location", "push", "--help")
	for _, flag := range []string{"--profile", "--path", "--output-name", "--verbosity"} {
		assert.Contains(t, help, flag)
	}
}
