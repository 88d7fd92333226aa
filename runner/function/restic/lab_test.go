package restic_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/fixture/outtest"
	"github.com/salvor-io/salvor/internal/fixture/s3test"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/output"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/functiontest"
	"github.com/salvor-io/salvor/runner/functiontest/exectest"
)

// patience bounds what must not hang.
const patience = 3 * time.Minute

const bucket = "backups"

// kanisterPassword is the SHA-256 of "testpassword": what opens the repositories of
// everybody who gave no encryptionKey.
const kanisterPassword = "9f735e0df9a1ddc702bf0a1a7b83033f9f7153a00c29de82cedadc9957289b05"

// lab is a store, an API server that runs commands for real, and a stand-in for the
// kubelet that runs a pod's command for real. (What becomes of pods is proved in package
// pods.)
type lab struct {
	t       *testing.T
	s3      *s3test.Server
	server  *exectest.Server
	clients *kube.Clients

	mu    sync.Mutex
	specs []function.PodSpec
	execs []url.Values
	// said is what pods write to stderr.
	said outtest.Buffer
	// more are variables of containers and pods.
	more []string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	_, err := exec.LookPath("restic")
	require.NoError(t, err, "run `make setup`, or install restic")
	store := s3test.Start(t)
	store.CreateBucket(t, bucket)
	l := newAPIOn(t, store)
	l.server.Behave = l.inContainer
	return l
}

// newAPI is a lab without a store.
func newAPI(t *testing.T) *lab {
	t.Helper()
	return newAPIOn(t, &s3test.Server{Endpoint: "http://store", AccessKey: "access", SecretKey: "canary-7f3a"})
}

func newAPIOn(t *testing.T, store *s3test.Server) *lab {
	t.Helper()
	l := &lab{t: t, s3: store}
	l.server = &exectest.Server{T: t, Pods: map[string]*corev1.Pod{}, Secrets: map[string]*corev1.Secret{
		"s3": {Data: map[string][]byte{"id": []byte(store.AccessKey), "key": []byte(store.SecretKey)}},
	}}
	for _, pod := range []string{"db-0", "db-1"} {
		l.server.Pods[pod] = exectest.Pod(pod, "main", "side")
	}
	l.clients = functiontest.Clients(t, l.server.Start())
	return l
}

// environ has a HOME, so that restic's cache is nobody else's.
func (l *lab) environ() []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.t.TempDir()}, l.more...)
}

// inContainer runs what is sent to a container.
func (l *lab) inContainer(query url.Values, p exectest.Process) int {
	l.mu.Lock()
	l.execs = append(l.execs, query)
	l.mu.Unlock()
	args := query["command"]
	cmd := exec.CommandContext(l.t.Context(), args[0], args[1:]...)
	cmd.Env = l.environ()
	cmd.Stdout, cmd.Stderr = p.Stdout, p.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(l.t, err)
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := p.Stdin.Read(buffer)
			_, _ = in.Write(buffer[:n])
			if err != nil {
				return // no end of input: not all ways to a container carry it
			}
		}
	}()
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode()
}

// Run implements function.PodRunner.
func (l *lab) Run(ctx context.Context, call *function.Call, spec function.PodSpec) (map[string]any, error) {
	l.mu.Lock()
	l.specs = append(l.specs, spec)
	l.mu.Unlock()
	cmd := exec.CommandContext(ctx, spec.Command[0], spec.Command[1:]...)
	cmd.Env = l.environ()
	for name, value := range spec.SecretEnv {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	parser := output.NewParser()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = parser, io.MultiWriter(&said, &l.said)
	if err := cmd.Run(); err != nil {
		return nil, function.Errorf(event.ReasonPodFailed, "%w: %s", err, said.String())
	}
	call.Log.Info().Msg(said.String())
	return parser.Finish()
}

// call makes a call of a function, with a profile.
func (l *lab) call(t *testing.T, name string, args map[string]any, change ...func(*blueprint.Params)) *function.Call {
	t.Helper()
	call := functiontest.NewCall(t, l.clients, functiontest.Phase{Func: name, Args: args, Params: func(p *blueprint.Params) {
		p.Profile = &blueprint.ProfileRef{
			Namespace: "db", Name: "profile",
			Location: kanister.Location{Type: "s3Compliant", Bucket: bucket, Endpoint: l.s3.Endpoint + "/", Region: s3test.Region},
			Credential: &kanister.Credential{Type: "keyPair", KeyPair: &kanister.KeyPair{
				IDField: "id", SecretField: "key", Secret: kanister.ObjectReference{Name: "s3", Namespace: "db"},
			}},
		}
		for _, c := range change {
			c(p)
		}
	}})
	call.Pods, call.ToolsImage = l, "tools:1"
	return call
}

func (l *lab) execute(t *testing.T, f function.Function, call *function.Call) map[string]any {
	t.Helper()
	values, err := f.Execute(t.Context(), call)
	require.NoError(t, err)
	return values
}

// kanister runs restic with the command line of Kanister: exports, then restic with its
// arguments, in bash.
func (l *lab) kanister(t *testing.T, repository, password string, args ...string) string {
	t.Helper()
	line := strings.Join(append([]string{
		"export AWS_ACCESS_KEY_ID=" + l.s3.AccessKey + "\n",
		"export AWS_SECRET_ACCESS_KEY=" + l.s3.SecretKey + "\n",
		"export RESTIC_REPOSITORY=s3:" + l.s3.Endpoint + "/" + repository + "\n",
		"export RESTIC_PASSWORD=" + password + "\n",
		"restic",
	}, args...), " ")
	cmd := exec.CommandContext(t.Context(), "bash", "-o", "errexit", "-o", "pipefail", "-c", line)
	cmd.Env = l.environ()
	out, err := cmd.Output()
	if err != nil {
		var said []byte
		if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // nothing wraps it
			said = exit.Stderr
		}
		require.NoError(t, err, "%s%s", out, said)
	}
	return string(out)
}

// snapshot is one as restic lists it.
type snapshot struct {
	ID    string   `json:"short_id"`
	Tags  []string `json:"tags"`
	Paths []string `json:"paths"`
}

func (l *lab) snapshots(t *testing.T, repository string) []snapshot {
	t.Helper()
	var list []snapshot
	require.NoError(t, json.Unmarshal([]byte(l.kanister(t, repository, kanisterPassword, "snapshots", "--json")), &list))
	return list
}

// files makes a folder with files, one of a known content.
func files(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub folder"), 0o750))
	for name, text := range map[string]string{
		"log": "one\ntwo\n", "empty": "", "sub folder/ä 'quoted' \"twice\"": strings.Repeat("x", 70_000),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640))
	}
	return dir
}

// same checks that a restored folder is what was backed up.
func same(t *testing.T, want, got string) {
	t.Helper()
	require.NoError(t, exec.CommandContext(t.Context(), "diff", "-r", want, got).Run())
}

// snapshotID is what Kanister finds in restic's words.
func snapshotID(t *testing.T, said string) string {
	t.Helper()
	words := strings.Fields(said)
	at := slices.Index(words, "saved")
	require.Positive(t, at, said)
	return words[at-1]
}
