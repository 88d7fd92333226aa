package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
	"github.com/salvor-io/salvor/runner/function"
)

const patience = 3 * time.Minute

// bench is a JetStream server with a run in it, and the fake API server that all
// its runners share.
type bench struct {
	t      *testing.T
	js     jetstream.JetStream
	kube   *fake.Clientset
	runs   *stream.Runs
	jobs   *stream.Jobs
	leases *stream.Leases
	got    jetstream.Consumer
	run    *event.Run
	rev    uint64
	log    lockedBuffer
}

func newBench(t *testing.T, change func(*kanister.BlueprintAction)) *bench {
	t.Helper()
	return newBenchOn(t, natstest.Start(t), change)
}

func newBenchOn(t *testing.T, js jetstream.JetStream, change func(*kanister.BlueprintAction)) *bench {
	t.Helper()
	b := &bench{t: t, js: js, kube: fake.NewClientset(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "c"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db"}, Data: map[string][]byte{"password": []byte("hunter2-and-more")}},
	)}
	b.runs = stream.NewRuns(b.js, event.SourceDispatcher)
	b.jobs = stream.NewJobs(b.js, clock.RealClock{})
	var err error
	b.leases, err = stream.NewLeases(t.Context(), b.js)
	require.NoError(t, err)
	b.got, err = stream.NewReports(b.js, event.SourceRunner).Consumer(t.Context(), time.Minute)
	require.NoError(t, err)
	action := &kanister.BlueprintAction{
		Phases: []kanister.BlueprintPhase{{
			Func: "KubeTask", Name: "dump",
			ObjectRefs: map[string]kanister.ObjectReference{"db": {Kind: "Secret", Namespace: "shop", Name: "db"}},
			Args: kanister.JSONMap{
				"namespace": "shop", "image": "postgres:15",
				"command": []any{"echo", "{{ .Options.word }}", "{{ index .Phases.dump.Secrets.db.Data \"password\" | toString }}"},
			},
		}, {
			Func: "KubeExec", Name: "exec", Args: kanister.JSONMap{"namespace": "shop", "pod": "p", "command": []any{"x"}},
		}},
		DeferPhase: &kanister.BlueprintPhase{
			Func: "KubeTask", Name: "tidy",
			Args: kanister.JSONMap{"namespace": "shop", "image": "x", "command": []any{"x"}},
		},
	}
	if change != nil {
		change(action)
	}
	b.run = b.newRun(action)
	b.rev, err = b.runs.Create(t.Context(), b.run)
	require.NoError(t, err)
	return b
}

func (b *bench) newRun(action *kanister.BlueprintAction) *event.Run {
	b.t.Helper()
	blobs := stream.NewBlobs(b.js)
	content, err := blobs.Put(b.t.Context(), &kanister.Blueprint{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "bp"},
		Actions:    map[string]*kanister.BlueprintAction{"backup": action},
	})
	require.NoError(b.t, err)
	params, err := blobs.Put(b.t.Context(), &blueprint.Params{
		Version: blueprint.ParamsVersion, Namespace: "shop", Time: "2026-01-02T03:04:05Z",
		Options: map[string]string{"word": "hello"},
	})
	require.NoError(b.t, err)
	running := event.Phase{State: event.StateRunning, Attempt: 1}
	phases := make([]event.Phase, len(action.Phases))
	for i, p := range action.Phases {
		phases[i] = running
		phases[i].Name, phases[i].Func = p.Name, p.Func
	}
	run := &event.Run{
		Version: event.RunVersion, UID: "u1", Namespace: "shop", Name: "backup-1", State: event.StateRunning,
		Labels:    map[string]string{"kanister.io/JobID": "7", "other": "x"},
		CreatedAt: time.Unix(1, 0), UpdatedAt: time.Unix(1, 0),
		Actions: []event.Action{{
			Spec: kanister.ActionSpec{Name: "backup"}, State: event.StateRunning,
			Blueprint: &event.BlueprintRef{Namespace: "shop", Name: "bp", Content: content}, Params: &params, Phases: phases,
			Render: &event.Phase{State: event.StateRunning, Attempt: 1},
		}},
	}
	if action.DeferPhase != nil {
		running.Name, running.Func = action.DeferPhase.Name, action.DeferPhase.Func
		run.Actions[0].DeferPhase = &running
	}
	return run
}

// update changes the run the way the dispatcher does.
func (b *bench) update(change func(*event.Run)) {
	b.t.Helper()
	change(b.run)
	b.run.UpdatedAt = b.run.UpdatedAt.Add(time.Second)
	var err error
	b.rev, err = b.runs.Update(b.t.Context(), b.run, b.rev)
	require.NoError(b.t, err)
}

func (b *bench) key(kind event.PhaseKind, phase int) event.Key {
	return event.Key{UID: "u1", Namespace: "shop", Kind: kind, Phase: phase, Attempt: 1}
}

func (b *bench) publish(job event.Job) {
	b.t.Helper()
	job.ActionSet = "backup-1"
	if _, phase := find(b.run, job.Key); phase != nil {
		job.PhaseName, job.Func = phase.Name, phase.Func
	}
	require.NoError(b.t, b.jobs.Publish(b.t.Context(), event.DefaultPool, &job, ""))
}

func (b *bench) report() *event.Report {
	b.t.Helper()
	msg, err := b.got.Next(jetstream.FetchMaxWait(patience))
	require.NoError(b.t, err, "no report; log:\n%s", b.log.String())
	report, _, err := stream.DecodeReport(msg)
	require.NoError(b.t, err)
	require.NoError(b.t, msg.DoubleAck(b.t.Context()))
	return report
}

func (b *bench) noReport() {
	b.t.Helper()
	s, err := b.js.Stream(b.t.Context(), event.StreamReports)
	require.NoError(b.t, err)
	info, err := s.Info(b.t.Context())
	require.NoError(b.t, err)
	require.Zero(b.t, info.State.Msgs, "a report was stored")
}

// settled waits until no job is left.
func (b *bench) settled() {
	b.t.Helper()
	s, err := b.js.Stream(b.t.Context(), event.StreamJobs)
	require.NoError(b.t, err)
	require.Eventually(b.t, func() bool {
		info, err := s.Info(b.t.Context())
		return err == nil && info.State.Msgs == 0
	}, patience, 10*time.Millisecond, "a job is left; log:\n%s", b.log.String())
}

// started is a runner that a test can stop.
type started struct {
	*Runner
	cancel context.CancelFunc
	done   chan error
}

func (s *started) stop() error {
	s.cancel()
	return <-s.done
}

func (b *bench) start(name string, functions function.Registry, change func(*Deps, *Options)) *started {
	b.t.Helper()
	all := Functions()
	maps.Copy(all, functions)
	d := Deps{
		JS: b.js, Clients: &kube.Clients{Kube: b.kube}, Clock: clock.RealClock{},
		Log: zerolog.New(&b.log), Metrics: prometheus.NewRegistry(), Functions: all,
	}
	o := DefaultOptions()
	// Longer than a machine under load lets a process wait.
	o.Name, o.Pods.OwnNamespace, o.ClaimTTL = name, "salvor", 30*time.Second
	if change != nil {
		change(&d, &o)
	}
	r, err := New(d, o)
	require.NoError(b.t, err)
	ctx, cancel := context.WithCancel(b.t.Context())
	s := &started{Runner: r, cancel: cancel, done: make(chan error, 1)}
	go func() {
		s.done <- r.Run(ctx)
		close(s.done)
	}()
	b.t.Cleanup(func() { cancel(); assert.NoError(b.t, <-s.done) })
	return s
}

// call is a function that a test drives.
type call struct {
	began chan *function.Call
	ended chan error
	do    func(ctx context.Context, c *function.Call) (map[string]any, error)
}

func newCall(do func(ctx context.Context, c *function.Call) (map[string]any, error)) *call {
	return &call{began: make(chan *function.Call, 100), ended: make(chan error, 100), do: do}
}

// blocks is a function that runs until its context ends.
func blocks() *call {
	return newCall(func(ctx context.Context, _ *function.Call) (map[string]any, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
}

func returns(output map[string]any, err error) *call {
	return newCall(func(context.Context, *function.Call) (map[string]any, error) { return output, err })
}

func (c *call) factory() function.Function { return c }

func (c *call) Execute(ctx context.Context, fc *function.Call) (output map[string]any, err error) {
	c.began <- fc
	defer func() { c.ended <- err }()
	return c.do(ctx, fc)
}

func within[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.Fail(t, "waited in vain for "+what)
	}
	panic("unreachable")
}

func outputOf(t *testing.T, r *event.Report) map[string]any {
	t.Helper()
	require.NotNil(t, r.Output)
	var output map[string]any
	require.NoError(t, json.Unmarshal(r.Output.Inline, &output))
	return output
}

var errTest = errors.New("it is broken")

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
