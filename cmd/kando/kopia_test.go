package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/fixture/proctest"
	"github.com/salvor-io/salvor/internal/profile"
)

// The stand-in is this test binary under the name kopia. It notes how it was
// called, in a file, when it has read its input to the end.
const (
	standInLog   = "SALVOR_TEST_KOPIA_LOG"
	standInFails = "SALVOR_TEST_KOPIA_FAILS"
	rootObject   = "k0123456789abcdef0123456789abcdef"
	snapshotID   = "aabbccddeeff00112233445566778899"
	repoPassword = "r3p0-c4n4ry"
)

// called is one call of the stand-in.
type called struct {
	Args     []string `json:"args"`
	Password string   `json:"password"`
	Stdin    string   `json:"stdin"`
}

func standInForKopia(args []string) int {
	note := called{Args: args, Password: os.Getenv("KOPIA_PASSWORD")}
	if slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--stdin-file=") }) {
		data, _ := io.ReadAll(os.Stdin)
		note.Stdin = string(data)
	}
	line, _ := json.Marshal(note)
	log, err := os.OpenFile(os.Getenv(standInLog), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 9
	}
	_, _ = log.Write(append(line, '\n'))
	_ = log.Close()
	command := strings.Join(args[:min(2, len(args))], " ")
	if command == os.Getenv(standInFails) {
		fmt.Fprintf(os.Stderr, "first line\nthe repository says no to %s\n", note.Password)
		return 1
	}
	switch {
	case command == "snapshot create":
		fmt.Printf(`{"id":%q,"rootEntry":{"obj":%q,"summ":{"size":%d,"numFailed":0}}}`+"\n", snapshotID, rootObject, len(note.Stdin))
	case command == "manifest show":
		fmt.Printf("// id: %s\n// label path:/x\n{\"id\":\"\",\"rootEntry\":{\"obj\":%q,\"summ\":{\"size\":4}}}", snapshotID, rootObject)
	case args[0] == "show":
		fmt.Print("bytes of " + args[1])
	}
	return 0
}

// withKopia has a child find the stand-in, and returns what was called.
func withKopia(t *testing.T, cmd *exec.Cmd) func() []called {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(self, filepath.Join(dir, "kopia")))
	log := filepath.Join(dir, "log")
	cmd.Env = append(cmd.Env, "PATH="+dir, standInLog+"="+log, "TMPDIR="+t.TempDir())
	return func() []called {
		file, err := os.Open(log)
		if os.IsNotExist(err) {
			return nil
		}
		require.NoError(t, err)
		defer func() { _ = file.Close() }()
		var all []called
		for lines := bufio.NewScanner(file); lines.Scan(); {
			var c called
			require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
			all = append(all, c)
		}
		return all
	}
}

func selfSigned(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

func kopiaProfile(endpoint, cert string) *profile.Profile {
	return &profile.Profile{
		Location: profile.Location{Type: profile.LocationKopia, Endpoint: endpoint},
		Credential: profile.Credential{Type: profile.CredentialKopia, KopiaServerSecret: &profile.KopiaServerSecret{
			Username: "user", Hostname: "host", Password: repoPassword, Cert: cert,
			ConnectOptions: map[string]int{"dataStoreGeneralContentCacheSize": 7},
		}},
	}
}

// run ends a child well and returns what it printed.
func run(t *testing.T, cmd *exec.Cmd, errs *bytes.Buffer) string {
	t.Helper()
	out, err := cmd.Output()
	require.NoError(t, err, errs)
	return string(out)
}

// refused ends a child with 69 and returns its message.
func refused(t *testing.T, cmd *exec.Cmd, errs *bytes.Buffer) string {
	t.Helper()
	out, err := cmd.Output()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 69, exit.ExitCode())
	assert.Empty(t, string(out))
	assert.NotContains(t, errs.String(), repoPassword)
	return errs.String()
}

func TestKopiaProfile(t *testing.T) {
	t.Parallel()
	p := profileJSON(t, kopiaProfile("https://kopia.test:51515", selfSigned(t)))
	snapshot := `{"id":"` + snapshotID + `","logicalSize":4,"physicalSize":0}`
	for name, tt := range map[string]struct {
		args []string
		in   string
		out  string
		// last is the last call of kopia, without what every call has.
		last  []string
		stdin string
	}{
		"push a pipe": {
			args: []string{"location", "push", "-", "-s", "/mysql/1/dump.gz", "-o", "snap"}, in: "dump",
			out:   `###Phase-output###: {"key":"snap","value":"{\"id\":\"` + snapshotID + `\",\"logicalSize\":4,\"physicalSize\":0}"}` + "\n",
			last:  []string{"snapshot", "create", "--json", "--no-progress", "--pin=kando", "--description=Stored by kando", "--stdin-file=dump.gz", "/mysql/1"},
			stdin: "dump",
		},
		"push a pipe without folder": {
			args: []string{"location", "push", "-", "--path", "dump"}, in: "dump",
			out:   `###Phase-output###: {"key":"kandoOutput","value":"{\"id\":\"` + snapshotID + `\",\"logicalSize\":4,\"physicalSize\":0}"}` + "\n",
			last:  []string{"snapshot", "create", "--json", "--no-progress", "--pin=kando", "--description=Stored by kando", "--stdin-file=dump", "/kanister-backups"},
			stdin: "dump",
		},
		"pull to stdout": {
			args: []string{"location", "pull", "-", "-s", "mysql/1/dump.gz", "-k", snapshot},
			out:  "bytes of " + rootObject + "/dump.gz", last: []string{"show", rootObject + "/dump.gz"},
		},
		"pull to a file": {
			args: []string{"location", "pull", "/x/target", "-s", "mysql/1/dump.gz", "--kopia-snapshot", snapshot},
			last: []string{"snapshot", "restore", "--no-progress", snapshotID, "/x/target"},
		},
		"delete": {
			args: []string{"location", "delete", "-s", "mysql/1/dump.gz", "-k", snapshot},
			last: []string{"snapshot", "delete", "--delete", snapshotID},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, errs := command(t, append(tt.args, "--profile", p)...)
			calls := withKopia(t, cmd)
			cmd.Stdin = strings.NewReader(tt.in)
			assert.Equal(t, tt.out, run(t, cmd, errs))
			all := calls()
			connect := all[0]
			assert.Equal(t, []string{"repository", "connect", "server", "--url=https://kopia.test:51515"}, connect.Args[:4])
			for _, want := range []string{"--override-username=user", "--override-hostname=host", "--content-cache-size-mb=7", "--metadata-cache-size-mb=500"} {
				assert.Contains(t, connect.Args, want)
			}
			assert.Regexp(t, `^--server-cert-fingerprint=[0-9a-f]{64}$`, connect.Args[4])
			last := all[len(all)-1]
			assert.Equal(t, tt.last, last.Args[:len(tt.last)])
			assert.Equal(t, tt.stdin, last.Stdin)
			for _, c := range all {
				assert.Equal(t, repoPassword, c.Password)
				assert.NotContains(t, strings.Join(c.Args, " "), repoPassword, "the list of processes shows arguments")
				config := slices.IndexFunc(c.Args, func(a string) bool { return strings.HasPrefix(a, "--config-file=") })
				require.GreaterOrEqual(t, config, 0)
				assert.NoFileExists(t, strings.TrimPrefix(c.Args[config], "--config-file="))
			}
		})
	}
}

func TestKopiaRefusals(t *testing.T) {
	t.Parallel()
	good := kopiaProfile("https://kopia.test:51515", base64.StdEncoding.EncodeToString([]byte(selfSigned(t))))
	for want, tt := range map[string]struct {
		args  []string
		p     *profile.Profile
		fails string
	}{
		"--kopia-snapshot is missing":        {args: []string{"location", "pull", "-", "-s", "a"}, p: good},
		"--kopia-snapshot: it is not the":    {args: []string{"location", "delete", "-s", "a", "-k", "{}"}, p: good},
		"--path is missing":                  {args: []string{"location", "push", "-"}, p: good},
		"--output-name":                      {args: []string{"location", "push", "-", "-s", "a", "-o", "a b"}, p: good},
		"is not a certificate in PEM":        {args: []string{"location", "push", "-", "-s", "a"}, p: kopiaProfile("https://x", "x")},
		"needs Location.endpoint":            {args: []string{"location", "push", "-", "-s", "a"}, p: kopiaProfile("", "x")},
		"needs a profile of an object store": {args: []string{"chronicle", "pull", "-", "-s", "a"}, p: good},
		"snapshot create: exit status 1: first line; the repository says no to [hidden]": {args: []string{"location", "push", "-", "-s", "a"}, p: good, fails: "snapshot create"},
		"connect to the repository server at https://kopia.test:51515":                   {args: []string{"location", "push", "-", "-s", "a"}, p: good, fails: "repository connect"},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			cmd, errs := command(t, append(tt.args, "-p", profileJSON(t, tt.p))...)
			withKopia(t, cmd)
			cmd.Env = append(cmd.Env, standInFails+"="+tt.fails)
			assert.Contains(t, refused(t, cmd, errs), want)
		})
	}
	t.Run("no kopia", func(t *testing.T) {
		t.Parallel()
		cmd, errs := command(t, "location", "push", "-", "-s", "a", "-p", profileJSON(t, good))
		cmd.Env = append(cmd.Env, "PATH="+t.TempDir())
		assert.Contains(t, refused(t, cmd, errs), "the kopia program is not in this image")
	})
}

func TestStreamPush(t *testing.T) {
	t.Parallel()
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/data":
			_, _ = io.WriteString(w, "from the source")
		case "/broken":
			w.Header().Set("Content-Length", "1000000")
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(source.Close)
	config := filepath.Join(t.TempDir(), "repository.config")
	require.NoError(t, os.WriteFile(config, []byte("{}"), 0o600))
	push := func(t *testing.T, path, file string) (*exec.Cmd, *bytes.Buffer, func() []called) {
		t.Helper()
		cmd, errs := command(t, "stream", "push", "-p", repoPassword, "-c", config, "-d", "/mnt/data", "-f", file, source.URL+path)
		return cmd, errs, withKopia(t, cmd)
	}
	t.Run("data", func(t *testing.T) {
		t.Parallel()
		cmd, errs, calls := push(t, "/data", "folder/file")
		assert.Regexp(t, "^Created snapshot with root "+rootObject+" and ID "+snapshotID+" in [0-9]+s\n$", run(t, cmd, errs))
		all := calls()
		require.Len(t, all, 1)
		assert.Equal(t, "from the source", all[0].Stdin)
		assert.Equal(t, repoPassword, all[0].Password)
		assert.Equal(t, []string{"--stdin-file=file", "/mnt/data/folder"}, all[0].Args[6:8])
		assert.Contains(t, all[0].Args, "--config-file="+config)
		assert.FileExists(t, config)
	})
	t.Run("broken", func(t *testing.T) {
		t.Parallel()
		cmd, errs, calls := push(t, "/broken", "file")
		assert.Contains(t, refused(t, cmd, errs), "could not be read after 4 bytes")
		assert.Empty(t, calls(), "kopia must not come to the end of its input")
	})
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		cmd, errs, calls := push(t, "/none", "file")
		assert.Contains(t, refused(t, cmd, errs), "404 Not Found")
		assert.Empty(t, calls())
	})
	t.Run("flags", func(t *testing.T) {
		t.Parallel()
		for want, args := range map[string][]string{
			"--password is missing": {"-d", "a", "-f", "b", "c"},
			"--dirPath is missing":  {"-p", "a", "-f", "b", "c"},
			"--filePath is missing": {"-p", "a", "-d", "b", "c"},
			"the URL of the source": {"-p", "a", "-d", "b", "-f", "c"},
			"connect first":         {"-p", "a", "-d", "b", "-f", "c", "-c", "/none/x", "http://x"},
		} {
			cmd, errs := command(t, append([]string{"stream", "push"}, args...)...)
			withKopia(t, cmd)
			assert.Contains(t, refused(t, cmd, errs), want)
		}
	})
}

// With the real program: what kando stores through it and what kopia stores alone
// are the same to either.
func TestRealKopia(t *testing.T) {
	t.Parallel()
	program, ok := proctest.LocalBin(t, "kopia")
	if !ok {
		t.Skipf("no kopia at %s; build one from github.com/kopia/kopia to run this", program)
	}
	dir, home := t.TempDir(), t.TempDir()
	env := []string{"HOME=" + home, "PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH"), "KOPIA_PASSWORD=" + repoPassword, "KOPIA_CHECK_FOR_UPDATES=false"}
	kopia := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = append(os.Environ(), env...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		require.NoError(t, err, "%v: %s", args, &errs)
		return string(out)
	}
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	kopia("repository", "create", "filesystem", "--path", filepath.Join(dir, "repo"))
	kopia("server", "user", "add", "user@host", "--user-password="+repoPassword)
	address := proctest.Serve(t, "/usr/bin/env", func(address string) []string {
		return append(slices.Clone(env), program, "server", "start", "--address="+address, "--tls-generate-cert",
			"--tls-cert-file="+cert, "--tls-key-file="+key, "--server-username=admin", "--server-password="+repoPassword, "--no-ui")
	})
	var text []byte // the server listens before it has its certificate
	require.Eventually(t, func() bool {
		var err error
		text, err = os.ReadFile(cert)
		return err == nil && bytes.Contains(text, []byte("-----END"))
	}, 3*time.Minute, 10*time.Millisecond)
	p := profileJSON(t, kopiaProfile("https://"+address, string(text)))
	kando := func(in io.Reader, args ...string) string {
		cmd, errs := command(t, args...)
		cmd.Env = append(cmd.Env, env...)
		cmd.Stdin = in
		return run(t, cmd, errs)
	}

	const size = 5 << 20
	line := kando(random(size), "location", "push", "-", "-p", p, "-s", "mysql/1/dump.gz")
	var published struct {
		Value string `json:"value"`
	}
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(line, "###Phase-output###: ")), &published))
	want, err := io.ReadAll(random(size))
	require.NoError(t, err)
	got := kando(nil, "location", "pull", "-", "-p", p, "-s", "mysql/1/dump.gz", "-k", published.Value)
	assert.Zero(t, strings.Compare(got, string(want)), "what came back differs")
	var snapshot struct {
		ID string `json:"id"`
	}
	require.NoError(t, json.Unmarshal([]byte(published.Value), &snapshot))
	kopia("snapshot", "restore", "--no-progress", snapshot.ID, filepath.Join(dir, "restored"))
	restored, err := os.ReadFile(filepath.Join(dir, "restored", "dump.gz"))
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, restored), "kopia reads something else")

	source := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(source, []byte("a file"), 0o600))
	line = kando(nil, "location", "push", source, "-p", p, "-s", "x")
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(line, "###Phase-output###: ")), &published))
	kando(nil, "location", "pull", filepath.Join(dir, "back"), "-p", p, "-s", "x", "-k", published.Value)
	back, err := os.ReadFile(filepath.Join(dir, "back"))
	require.NoError(t, err)
	assert.Equal(t, "a file", string(back))
	for range 2 { // the second time it is not there
		kando(nil, "location", "delete", "-p", p, "-k", published.Value)
	}

	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "streamed") }))
	defer web.Close()
	created := kando(nil, "stream", "push", "-p", repoPassword, "-d", "/mnt/data", "-f", "dir/file", web.URL)
	root := strings.Fields(created)[4]
	assert.Equal(t, "streamed", kopia("show", root+"/file"))
}
