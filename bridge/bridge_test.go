package bridge_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/bridge"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/kubetest"
	"github.com/salvor-io/salvor/internal/natstest"
	"github.com/salvor-io/salvor/internal/stream"
)

const (
	// patience bounds every wait for something to happen.
	patience = 3 * time.Minute
	tick     = 20 * time.Millisecond
)

// world is a bridge at work on a namespace of its own, with a dispatcher played
// by the test.
type world struct {
	t         *testing.T
	api       *kubetest.Server
	namespace string
	js        jetstream.JetStream
	// clients are the test's; the bridge has its own, whose requests are counted.
	clients *kube.Clients
	runs    *stream.Runs
	counts  *counter
	bridge  *bridge.Bridge
	options bridge.Options
	// user the bridge acts as; empty is the administrator.
	user string
	stop func()
	// clock of the bridge.
	clock clock.WithTicker
	// wrap, if set, makes the bridge's JetStream client from the test's.
	wrap func(jetstream.JetStream) jetstream.JetStream
	// log is what the bridge logged.
	log *journal
}

type bridgeOptions = bridge.Options

// journal keeps a log and shows it with the test.
type journal struct {
	io.Writer
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	j.text.Write(p)
	j.mu.Unlock()
	return j.Writer.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func newWorld(t *testing.T, change func(o *bridge.Options)) *world {
	t.Helper()
	return newWorldOn(t, server, change)
}

func newWorldOn(t *testing.T, api *kubetest.Server, change func(o *bridge.Options)) *world {
	t.Helper()
	clients, err := kube.New(api.Config())
	require.NoError(t, err)
	w := &world{
		t: t, api: api, namespace: api.Namespace(t), js: natstest.Start(t), clients: clients, counts: &counter{},
		options: bridge.DefaultOptions(), clock: clock.RealClock{}, log: &journal{Writer: zerolog.NewTestWriter(t)},
	}
	w.runs = stream.NewRuns(w.js, event.SourceDispatcher)
	w.options.Namespaces, w.options.Listen = []string{w.namespace}, "127.0.0.1:0"
	if change != nil {
		change(&w.options)
	}
	return w
}

// start runs the bridge; stop, or the end of the test, ends it.
func (w *world) start() *world {
	w.t.Helper()
	config := w.api.Config()
	if w.user != "" {
		config = w.api.ConfigAs(w.user)
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { w.counts.next = next; return w.counts })
	clients, err := kube.New(config)
	require.NoError(w.t, err)
	js := w.js
	if w.wrap != nil {
		js = w.wrap(js)
	}
	w.bridge, err = bridge.New(bridge.Deps{
		JS: js, Clients: clients, Clock: w.clock, Metrics: prometheus.NewRegistry(), Log: zerolog.New(w.log),
	}, w.options)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.bridge.Run(ctx) }()
	var stopped atomic.Bool
	w.stop = func() {
		if stopped.CompareAndSwap(false, true) {
			cancel()
			assert.NoError(w.t, <-ended)
		}
	}
	w.t.Cleanup(w.stop)
	require.EventuallyWithT(w.t, func(c *assert.CollectT) { assert.NoError(c, w.bridge.Ready()) }, patience, tick)
	return w
}

// create makes an ActionSet with one action.
func (w *world) create(name string) *kanister.ActionSet {
	w.t.Helper()
	as, err := w.clients.ActionSets(w.namespace).Create(w.t.Context(), &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kanister.io/job": "7"}},
		Spec: &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{
			Name: "backup", Blueprint: "bp", Object: kanister.ObjectReference{Kind: "Namespace", Name: w.namespace},
		}}},
	}, metav1.CreateOptions{})
	require.NoError(w.t, err)
	return as
}

// run waits for the run of an ActionSet.
func (w *world) run(as *kanister.ActionSet) (*event.Run, uint64) {
	w.t.Helper()
	var (
		run      *event.Run
		revision uint64
	)
	require.EventuallyWithT(w.t, func(c *assert.CollectT) {
		var err error
		run, revision, err = w.runs.Get(w.t.Context(), w.namespace, string(as.UID))
		assert.NoError(c, err)
	}, patience, tick)
	return run, revision
}

// advance is the dispatcher's part: change the run and write it.
func (w *world) advance(as *kanister.ActionSet, change func(r *event.Run, a *event.Action)) {
	w.t.Helper()
	run, revision := w.run(as)
	change(run, &run.Actions[0])
	run.UpdatedAt = time.Now()
	_, err := w.runs.Update(w.t.Context(), run, revision)
	require.NoError(w.t, err)
}

func begin(r *event.Run, a *event.Action) {
	now := time.Now()
	r.State, a.State, a.StartedAt = event.StateRunning, event.StateRunning, &now
	a.Phases = []event.Phase{{Name: "dump", Func: "KubeTask", State: event.StateRunning, Attempt: 1, StartedAt: &now}}
}

func finish(r *event.Run, a *event.Action) {
	now := time.Now()
	a.Phases[0].State, a.Phases[0].EndedAt = event.StateComplete, &now
	a.Phases[0].Output = &event.Payload{Inline: []byte(`{"path":"a/b","n":3}`), Digest: "sha256:x", Size: 20}
	a.Artifacts = map[string]kanister.Artifact{"dump": {KeyValue: map[string]string{"path": "a/b"}}}
	a.State, a.EndedAt, r.State = event.StateComplete, &now, event.StateComplete
}

// status waits until the ActionSet is in a state and returns its status.
func (w *world) status(as *kanister.ActionSet, want kanister.State) *kanister.ActionSetStatus {
	w.t.Helper()
	var status *kanister.ActionSetStatus
	require.EventuallyWithT(w.t, func(c *assert.CollectT) {
		found, err := w.clients.ActionSets(w.namespace).Get(w.t.Context(), as.Name, metav1.GetOptions{})
		if assert.NoError(c, err) && assert.NotNil(c, found.Status) {
			assert.Equal(c, want, found.Status.State)
			status = found.Status
		}
	}, patience, tick)
	return status
}

// reasons are those of the Kubernetes Events on the ActionSet, sorted.
func (w *world) reasons(as *kanister.ActionSet) []string {
	w.t.Helper()
	events, err := w.clients.Kube.CoreV1().Events(w.namespace).List(w.t.Context(),
		metav1.ListOptions{FieldSelector: "involvedObject.uid=" + string(as.UID)})
	require.NoError(w.t, err)
	var out []string
	for i := range events.Items {
		assert.Equal(w.t, "salvor", events.Items[i].Source.Component)
		for range max(events.Items[i].Count, 1) {
			out = append(out, events.Items[i].Reason)
		}
	}
	return out
}

// reports are the reports that the bridge has sent so far.
func (w *world) reports() []*event.Report {
	w.t.Helper()
	s, err := w.js.Stream(w.t.Context(), event.StreamReports)
	require.NoError(w.t, err)
	info, err := s.Info(w.t.Context())
	require.NoError(w.t, err)
	if info.State.Msgs == 0 {
		return nil
	}
	var out []*event.Report
	for sequence := info.State.FirstSeq; sequence <= info.State.LastSeq; sequence++ {
		msg, err := s.GetMsg(w.t.Context(), sequence)
		require.NoError(w.t, err)
		e, err := stream.Decode(msg.Header, msg.Data)
		require.NoError(w.t, err)
		var report event.Report
		require.NoError(w.t, e.DataAs(&report))
		out = append(out, &report)
	}
	return out
}

// counter counts the bridge's requests to the API server.
type counter struct {
	next                 http.RoundTripper
	patches, gets, fails atomic.Int64
	// down makes every request fail, as if the API server were away.
	down atomic.Bool
	// fate, if set, kills the bridge before or after it makes an ActionSet.
	fate *fate
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.Contains(r.URL.Path, "/actionsets/") {
		switch r.Method {
		case http.MethodPatch:
			c.patches.Add(1)
		case http.MethodGet:
			c.gets.Add(1)
		}
	}
	if c.down.Load() {
		c.fails.Add(1)
		return nil, &http.MaxBytesError{} // any error will do
	}
	if c.fate != nil && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/actionsets") {
		var response *http.Response
		err := c.fate.meets("make an ActionSet", func() error {
			var err error
			response, err = c.next.RoundTrip(r) //nolint:bodyclose // closed below, or by the client
			return err
		})
		if err != nil && response != nil {
			_ = response.Body.Close()
		}
		return response, err
	}
	return c.next.RoundTrip(r)
}

// The whole way of a one-phase run, with its budget: at most three status writes
// and two Kubernetes Events, and the status is exactly the final one.
func TestOnePhaseRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	as := w.create("one")
	run, revision := w.run(as)
	assert.EqualValues(t, 1, revision, "the run was written once")
	assert.Equal(t, event.StatePending, run.State)
	assert.Equal(t, as.Spec.Actions[0], run.Actions[0].Spec)
	assert.Equal(t, "7", run.Labels["kanister.io/job"])

	assert.Empty(t, w.status(as, kanister.StatePending).Error.Message)
	w.advance(as, begin)
	running := w.status(as, kanister.StateRunning)
	assert.Equal(t, "dump", running.Progress.RunningPhase)
	w.advance(as, finish)
	done := w.status(as, kanister.StateComplete)
	assert.Equal(t, "100", done.Progress.PercentCompleted)
	assert.Empty(t, done.Progress.RunningPhase)
	assert.Equal(t, "a/b", done.Actions[0].Artifacts["dump"].KeyValue["path"])
	assert.Equal(t, kanister.JSONMap{"path": "a/b", "n": int64(3)}, done.Actions[0].Phases[0].Output)
	assert.LessOrEqual(t, w.counts.patches.Load(), int64(3), "status writes")

	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Len(c, w.reasons(as), 2) }, patience, tick)
	assert.ElementsMatch(t, []string{"ActionStarted", "ActionSetComplete"}, w.reasons(as))
	assert.Empty(t, w.reports(), "an ActionSet that leaves the watch because it ended is not cancelled")

	// A restart finds nothing to do.
	w.stop()
	before := w.counts.patches.Load()
	w.start()
	other := w.create("other") // when this one has come through, the old one was looked at
	w.advance(other, begin)
	w.status(other, kanister.StateRunning)
	assert.LessOrEqual(t, w.counts.patches.Load()-before, int64(2), "only the other ActionSet was written")
	assert.Len(t, w.reasons(as), 2, "events do not repeat after a restart")
	assert.Empty(t, w.reports())
}

// States that follow each other faster than the interval are not all written.
func TestIntermediateStatesAreCoalesced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *bridge.Options) { o.StatusInterval = time.Hour }).start()
	as := w.create("busy")
	w.advance(as, begin)
	w.status(as, kanister.StateRunning)
	for i := range 50 {
		w.advance(as, func(_ *event.Run, a *event.Action) {
			a.Phases[0].Progress = &kanister.PhaseProgress{SizeUploadedB: int64(i)}
		})
	}
	w.advance(as, finish)
	assert.Equal(t, "a/b", w.status(as, kanister.StateComplete).Actions[0].Artifacts["dump"].KeyValue["path"])
	assert.EqualValues(t, 2, w.counts.patches.Load(), "running and complete")
}

func TestDeletionCancels(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	as := w.create("gone")
	w.advance(as, begin)
	w.status(as, kanister.StateRunning)
	require.NoError(t, w.clients.ActionSets(w.namespace).Delete(t.Context(), as.Name, metav1.DeleteOptions{}))
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Len(c, w.reports(), 1) }, patience, tick)
	report := w.reports()[0]
	assert.Equal(t, event.ReportCancel, report.Kind)
	assert.Equal(t, string(as.UID), report.Key.UID)
	assert.Equal(t, "ActionSet deleted", report.Reason)

	// One of the same name is another run.
	again := w.create("gone")
	run, _ := w.run(again)
	assert.Equal(t, event.StatePending, run.State)
	assert.NotEqual(t, as.UID, again.UID)
	// The end of the first does not touch the status of the second.
	w.advance(as, func(r *event.Run, _ *event.Action) { r.State = event.StateCancelled })
	w.advance(again, begin)
	assert.Empty(t, w.status(again, kanister.StateRunning).Error.Message)
}

// What happened while the bridge was away is made up for at its start.
func TestRestartMakesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	deleted, finished := w.create("deleted"), w.create("finished")
	w.advance(deleted, begin)
	w.advance(finished, begin)
	w.status(deleted, kanister.StateRunning)
	w.status(finished, kanister.StateRunning)
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Len(c, w.reasons(finished), 1) }, patience, tick)
	w.stop()

	require.NoError(t, w.clients.ActionSets(w.namespace).Delete(t.Context(), deleted.Name, metav1.DeleteOptions{}))
	w.advance(finished, finish)
	missed := w.create("missed")

	w.start()
	w.run(missed)
	w.status(finished, kanister.StateComplete)
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Len(c, w.reports(), 1) }, patience, tick)
	assert.Equal(t, string(deleted.UID), w.reports()[0].Key.UID)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.ElementsMatch(c, []string{"ActionStarted", "ActionSetComplete"}, w.reasons(finished))
	}, patience, tick)
}

// Losing the store costs no ActionSet that is ours; one that another engine has
// started is left alone.
func TestRunsAreRecoveredButNotAdopted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	mine := w.create("mine")
	w.advance(mine, begin)
	w.status(mine, kanister.StateRunning)
	w.stop()
	require.NoError(t, w.runs.Delete(t.Context(), w.namespace, string(mine.UID)))
	theirs := w.create("theirs")
	_, err := w.clients.ActionSets(w.namespace).Patch(t.Context(), theirs.Name, types.MergePatchType,
		[]byte(`{"status":{"state":"running"}}`), metav1.PatchOptions{FieldManager: "controller"}, "status")
	require.NoError(t, err)

	w.start()
	run, _ := w.run(mine)
	assert.Equal(t, event.StatePending, run.State, "it starts again under the same identity")
	later := w.create("later")
	w.run(later)
	_, _, err = w.runs.Get(t.Context(), w.namespace, string(theirs.UID))
	require.ErrorIs(t, err, stream.ErrNotFound)
	assert.Equal(t, kanister.StateRunning, w.status(theirs, kanister.StateRunning).State)
}

func TestWhatCanNeverRunFailsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	as, err := w.clients.ActionSets(w.namespace).Create(t.Context(), &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Name: "bad"},
		Spec:       &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{Name: "backup", Blueprint: "bp", PreferredVersion: "latest"}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	status := w.status(as, kanister.StateFailed)
	assert.Contains(t, status.Error.Message, `spec.actions[0].preferredVersion "latest" is not a semantic version`)
	_, _, err = w.runs.Get(t.Context(), w.namespace, string(as.UID))
	require.ErrorIs(t, err, stream.ErrNotFound)
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Equal(c, []string{"ActionSetFailed"}, w.reasons(as)) }, patience, tick)
}

// A run travels whole at each step and grows on its way, so one that only just
// fits into a message is refused while it still can be.
func TestARunThatCouldNotGrowIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	as, err := w.clients.ActionSets(w.namespace).Create(t.Context(), &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Name: "large"},
		Spec: &kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{
			Name: "backup", Blueprint: "bp", Options: map[string]string{"list": strings.Repeat("x", 900<<10)},
		}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	assert.Contains(t, w.status(as, kanister.StateFailed).Error.Message, "spec is too large to be run, the limit is 512 KiB")
	_, _, err = w.runs.Get(t.Context(), w.namespace, string(as.UID))
	require.ErrorIs(t, err, stream.ErrNotFound)
}

// The newest state waits in memory while the API server is away.
func TestAPIServerAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	as := w.create("patient")
	w.advance(as, begin)
	w.status(as, kanister.StateRunning)
	w.counts.down.Store(true)
	w.advance(as, finish)
	require.Eventually(t, func() bool { return w.counts.fails.Load() > 0 }, patience, tick)
	w.counts.down.Store(false)
	w.status(as, kanister.StateComplete)
}

// A status that someone else overwrote is put right by the comparison.
func TestResyncProjectsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	as := w.create("overwritten")
	w.advance(as, begin)
	w.advance(as, finish)
	w.status(as, kanister.StateComplete)
	w.stop()
	_, err := w.clients.ActionSets(w.namespace).Patch(t.Context(), as.Name, types.MergePatchType,
		[]byte(`{"status":{"state":"running"}}`), metav1.PatchOptions{}, "status")
	require.NoError(t, err)
	w.start()
	w.status(as, kanister.StateComplete)
}

// A cluster with Kanister's own CRDs: no status subresource, no selectable
// field. The bridge watches everything and patches the object.
func TestKanisterCRD(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, oldServer(t), nil).start()
	as := w.create("old")
	w.advance(as, begin)
	w.status(as, kanister.StateRunning)
	w.advance(as, finish)
	done := w.status(as, kanister.StateComplete)
	assert.Equal(t, "a/b", done.Actions[0].Artifacts["dump"].KeyValue["path"])
	require.NoError(t, w.clients.ActionSets(w.namespace).Delete(t.Context(), as.Name, metav1.DeleteOptions{}))
	running := w.create("running")
	w.advance(running, begin)
	w.status(running, kanister.StateRunning)
	require.NoError(t, w.clients.ActionSets(w.namespace).Delete(t.Context(), running.Name, metav1.DeleteOptions{}))
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		reports := w.reports()
		if assert.Len(c, reports, 1) {
			assert.Equal(c, string(running.UID), reports[0].Key.UID)
		}
	}, patience, tick)
}

// Kanister's CRD is replaced by Salvor's while the bridge is at work, as its log
// asks for: statuses are then to be written to the subresource.
func TestCRDGetsAStatusSubresource(t *testing.T) {
	t.Parallel()
	old := oldServer(t)
	w := newWorldOn(t, old, nil).start()
	before := w.create("before")
	w.advance(before, begin)
	w.status(before, kanister.StateRunning)
	old.InstallCRDs(t, crds)
	require.Eventually(t, func() bool {
		_, err := w.clients.ActionSets(w.namespace).Patch(t.Context(), before.Name, types.MergePatchType, []byte("{}"), metav1.PatchOptions{}, "status")
		return err == nil
	}, patience, tick, "the API server serves the subresource")
	w.advance(before, finish)
	w.status(before, kanister.StateComplete)
}

// A gone namespace, a missing CRD: Ready says what is missing.
func TestReadyNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	config := server.Config()
	config.Host = "http://127.0.0.1:1"
	clients, err := kube.New(config)
	require.NoError(t, err)
	b, err := bridge.New(bridge.Deps{
		JS: natstest.Start(t), Clients: clients, Clock: clock.RealClock{}, Metrics: prometheus.NewRegistry(), Log: zerolog.Nop(),
	}, bridge.DefaultOptions())
	require.NoError(t, err)
	require.ErrorContains(t, b.Ready(), "ActionSets have not been read")
	require.ErrorContains(t, b.Ready(), "event endpoint does not listen on :8080")
}

func TestOptions(t *testing.T) {
	t.Parallel()
	good := bridge.DefaultOptions()
	require.NoError(t, good.Validate())
	for flag, change := range map[string]func(o *bridge.Options){
		"--namespaces":      func(o *bridge.Options) { o.Namespaces = []string{"Not.One"} },
		"--resync":          func(o *bridge.Options) { o.Resync = 0 },
		"--status-interval": func(o *bridge.Options) { o.StatusInterval = -1 },
		"--listen":          func(o *bridge.Options) { o.Listen = "8080" },
		"--max-event-bytes": func(o *bridge.Options) { o.MaxEventBytes = 1 << 30 },
	} {
		o := bridge.DefaultOptions()
		change(&o)
		require.ErrorContains(t, o.Validate(), flag)
	}
}
