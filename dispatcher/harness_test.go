package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/dispatcher"
	"github.com/salvor-io/salvor/internal/broker"
	"github.com/salvor-io/salvor/internal/stream"
)

// server is a real JetStream server to which each part has a connection of its
// own, so that a part can be cut off as a crash does.
type server struct {
	t      *testing.T
	broker *broker.Broker
	js     jetstream.JetStream
	runs   *stream.Runs
}

func startServer(t *testing.T) *server {
	t.Helper()
	b, err := broker.Start(t.Context(), broker.Options{StoreDir: t.TempDir(), NoSync: true})
	require.NoError(t, err)
	t.Cleanup(b.Stop)
	s := &server{t: t, broker: b}
	_, s.js = s.connect()
	s.runs = stream.NewRuns(s.js, event.SourceBridge)
	require.NoError(t, stream.Ensure(t.Context(), s.js, stream.DefaultSettings()))
	return s
}

func (s *server) connect() (*nats.Conn, jetstream.JetStream) {
	s.t.Helper()
	nc, err := s.broker.Connect()
	require.NoError(s.t, err)
	s.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(s.t, err)
	return nc, js
}

// messages is how many messages a stream ever took.
func (s *server) messages(name string) int {
	s.t.Helper()
	st, err := s.js.Stream(s.t.Context(), name)
	require.NoError(s.t, err)
	info, err := st.Info(s.t.Context())
	require.NoError(s.t, err)
	return int(info.State.LastSeq)
}

// create stores a pending run as the bridge does.
func (s *server) create(namespace, uid string, actions ...kanister.ActionSpec) {
	s.t.Helper()
	create(s.t, s.runs, namespace, uid, actions...)
}

func create(t *testing.T, runs *stream.Runs, namespace, uid string, actions ...kanister.ActionSpec) {
	t.Helper()
	now := time.Now()
	run := &event.Run{
		Version: event.RunVersion, UID: uid, Namespace: namespace, Name: "as-" + uid, CreatedAt: now, UpdatedAt: now,
		State: event.StatePending, Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	for _, spec := range actions {
		run.Actions = append(run.Actions, event.Action{Spec: spec, State: event.StatePending})
	}
	_, err := runs.Create(t.Context(), run)
	require.NoError(t, err)
}

// action asks for an action whose phases the planner below makes up: their names
// are words of shape, "defer:name" is the deferPhase, "artifacts" asks for those.
func action(name, shape string) kanister.ActionSpec {
	return kanister.ActionSpec{Name: name, Blueprint: "bp", Options: map[string]string{"shape": shape}}
}

// planner makes plans from the shape option.
type planner struct {
	mu    sync.Mutex
	calls int
	// fail, when set, is asked first.
	fail func(call int) error
}

func (p *planner) Plan(_ context.Context, in dispatcher.PlanInput) (*dispatcher.Planned, error) {
	p.mu.Lock()
	p.calls++
	call, fail := p.calls, p.fail
	p.mu.Unlock()
	if fail != nil {
		if err := fail(call); err != nil {
			return nil, err
		}
	}
	spec := in.Run.Actions[in.Action].Spec
	a := &kanister.BlueprintAction{}
	for word := range strings.FieldsSeq(spec.Options["shape"]) {
		name, isDefer := strings.CutPrefix(word, "defer:")
		switch {
		case isDefer:
			a.DeferPhase = &kanister.BlueprintPhase{Name: name, Func: "KubeExec"}
		case word == "artifacts":
			a.OutputArtifacts = map[string]kanister.Artifact{"out": {}}
		default:
			a.Phases = append(a.Phases, kanister.BlueprintPhase{Name: word, Func: "KubeTask"})
		}
	}
	bp := &kanister.Blueprint{Actions: map[string]*kanister.BlueprintAction{spec.Name: a}}
	bp.Name, bp.Namespace = spec.Blueprint, in.Run.Namespace
	return &dispatcher.Planned{Blueprint: bp, Params: map[string]string{"for": spec.Name}}, nil
}

// runner executes jobs by a script and counts how often it did each.
type runner struct {
	mu    sync.Mutex
	count map[string]int
	order []event.Job
	// script returns the report on a job; nil means success.
	script func(event.Job) *event.Report
	// gate, when set, gives leave for each job.
	gate chan struct{}
}

func startRunner(t *testing.T, js jetstream.JetStream, r *runner) *runner {
	t.Helper()
	r.count = map[string]int{}
	jobs := stream.NewJobs(js, clock.RealClock{})
	reports := stream.NewReports(js, event.SourceRunner)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	consumer, err := jobs.Consumer(ctx, event.DefaultPool, time.Minute)
	require.NoError(t, err)
	go func() {
		defer close(done)
		_ = stream.RunLoop(ctx, consumer, func(ctx context.Context, msg jetstream.Msg) {
			if r.gate != nil {
				select {
				case <-ctx.Done():
					return
				case <-r.gate:
				}
			}
			job, trace, err := stream.DecodeJob(msg)
			if err != nil {
				t.Errorf("job: %v", err)
				return
			}
			report := r.execute(*job)
			if err := reports.Publish(ctx, report, trace); err != nil && ctx.Err() == nil {
				t.Errorf("report: %v", err)
				return
			}
			_ = msg.Ack()
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

func (r *runner) execute(job event.Job) *event.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count[job.Key.String()]++
	r.order = append(r.order, job)
	var report *event.Report
	if r.script != nil {
		report = r.script(job)
	}
	if report == nil {
		report = &event.Report{Kind: event.ReportSucceeded}
	}
	if report.Kind == event.ReportSucceeded && job.RenderArtifacts {
		report.Artifacts = map[string]kanister.Artifact{"out": {KeyValue: map[string]string{"by": job.Key.String()}}}
	}
	report.Key, report.At = job.Key, time.Now()
	return report
}

func (r *runner) executed() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.count)
}

func failed() *event.Report {
	return &event.Report{Kind: event.ReportFailed, Failure: &event.Failure{Reason: event.ReasonPodFailed, Message: "exit code 3"}}
}

// instance is a running dispatcher.
type instance struct {
	*dispatcher.Dispatcher
	metrics *prometheus.Registry
	stop    func()
}

func options() dispatcher.Options {
	o := dispatcher.DefaultOptions()
	o.ReportAckWait = time.Second
	return o
}

func startDispatcher(t *testing.T, d dispatcher.Deps, o dispatcher.Options) *instance {
	t.Helper()
	registry := prometheus.NewRegistry()
	d.Metrics = registry
	if d.Clock == nil {
		d.Clock = clock.RealClock{}
	}
	if d.Planner == nil && d.Clients == nil {
		d.Planner = &planner{}
	}
	d.Log = zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)
	disp, err := dispatcher.New(d, o)
	require.NoError(t, err)
	require.Error(t, disp.Ready(), "not yet")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- disp.Run(ctx) }()
	var once sync.Once
	i := &instance{Dispatcher: disp, metrics: registry, stop: func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
				t.Errorf("the dispatcher ended with %v", err)
			}
		})
	}}
	t.Cleanup(i.stop)
	return i
}

// metric returns the sum of a metric's values over all label values.
func (i *instance) metric(t *testing.T, name string) float64 {
	t.Helper()
	families, err := i.metrics.Gather()
	require.NoError(t, err)
	sum := 0.0
	for _, f := range families {
		if f.GetName() != "salvor_dispatcher_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

const patience = 3 * time.Minute

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, patience, 10*time.Millisecond, what)
}

// ended waits for the end of a run.
func ended(t *testing.T, runs *stream.Runs, namespace, uid string) *event.Run {
	t.Helper()
	var run *event.Run
	require.Eventually(t, func() bool {
		var err error
		run, _, err = runs.Get(t.Context(), namespace, uid)
		return err == nil && run.State.Terminal()
	}, patience, 25*time.Millisecond, "run %s does not end", uid)
	return run
}

// lifecycle returns how often each lifecycle event lies on EVENTS, by type and id.
func lifecycle(t *testing.T, js jetstream.JetStream) map[string]int {
	t.Helper()
	st, err := js.Stream(t.Context(), event.StreamEvents)
	require.NoError(t, err)
	info, err := st.Info(t.Context())
	require.NoError(t, err)
	found := map[string]int{}
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq && seq > 0; seq++ {
		msg, err := st.GetMsg(t.Context(), seq)
		require.NoError(t, err)
		e, err := stream.Decode(msg.Header, msg.Data)
		require.NoError(t, err)
		found[fmt.Sprintf("%s %s", e.Type(), e.ID())]++
	}
	return found
}
