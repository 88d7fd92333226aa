package status

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/stream"
)

// desk is a projector whose clock and writes the test holds. (A real API server
// cannot be made to refuse once; the writes to a real one are in the tests of
// package bridge.)
type desk struct {
	t         *testing.T
	clock     *clocktesting.FakeClock
	projector *Projector
	revision  uint64

	mu      sync.Mutex
	written []*kanister.ActionSetStatus
	fail    []error
	shown   map[string]*kanister.ActionSet
	asking  map[string]*kanister.ActionSet
	answers []metav1.Condition
	told    []string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, clock: clocktesting.NewFakeClock(*at(0)), shown: map[string]*kanister.ActionSet{}}
	d.projector = NewProjector(Config{
		Clock: d.clock, Log: zerolog.Nop(), Writer: d, ActionSets: d, Events: sink{d}, Interval: time.Second,
		Metrics: NewMetrics(prometheus.NewRegistry()),
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.projector.Run(ctx) }()
	t.Cleanup(func() { cancel(); assert.NoError(t, <-ended) })
	d.show("as", "")
	return d
}

// show is what the watch has of an ActionSet.
func (d *desk) show(name string, state kanister.State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	as := &kanister.ActionSet{}
	as.Namespace, as.Name, as.UID = "ns", name, "u"
	if state != "" {
		as.Status = &kanister.ActionSetStatus{State: state}
	}
	d.shown[name] = as
}

func (d *desk) Lookup(_, name string) (*kanister.ActionSet, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	as, ok := d.shown[name]
	return as, ok
}

func (d *desk) Asking(_, name string) (*kanister.ActionSet, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	as, ok := d.asking[name]
	return as, ok
}

func (d *desk) SetCondition(_ context.Context, _ Ref, c metav1.Condition) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers = append(d.answers, c)
	return nil
}

func (d *desk) Watches(namespace string) bool { return namespace == "ns" }

func (d *desk) Write(_ context.Context, _ Ref, s *kanister.ActionSetStatus) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.fail) > 0 {
		err := d.fail[0]
		d.fail = d.fail[1:]
		return err
	}
	d.written = append(d.written, s)
	return nil
}

func (d *desk) update(run *event.Run) {
	d.revision++
	d.projector.Update(d.t.Context(), stream.RunUpdate{Run: run, Revision: d.revision})
}

// states waits until n statuses were written and returns their states.
func (d *desk) states(n int) []kanister.State {
	d.t.Helper()
	var out []kanister.State
	require.EventuallyWithT(d.t, func(c *assert.CollectT) {
		d.mu.Lock()
		defer d.mu.Unlock()
		out = nil
		for _, s := range d.written {
			out = append(out, s.State)
		}
		assert.Len(c, out, n)
	}, 3*time.Minute, time.Millisecond)
	return out
}

// settled waits until the run's newest state was dealt with.
func (d *desk) settled() {
	d.t.Helper()
	require.Eventually(d.t, func() bool {
		known, ok := d.projector.Known("u")
		return ok && !known.Settled.IsZero()
	}, 3*time.Minute, time.Millisecond)
}

type sink struct{ d *desk }

func (s sink) Create(e *corev1.Event) (*corev1.Event, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	s.d.told = append(s.d.told, e.Reason)
	return e, nil
}
func (s sink) Update(e *corev1.Event) (*corev1.Event, error)          { return e, nil }
func (s sink) Patch(e *corev1.Event, _ []byte) (*corev1.Event, error) { return e, nil }

// pass lets time go by, in steps, until done.
func (d *desk) pass(done func() bool) {
	d.t.Helper()
	require.Eventually(d.t, func() bool {
		d.clock.Step(300 * time.Millisecond)
		return done()
	}, 3*time.Minute, time.Millisecond)
}

// count is how many statuses were written.
func (d *desk) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.written)
}

// A run that starts at once costs two writes: pending waits and is overtaken.
func TestPendingIsOvertaken(t *testing.T) {
	d := newDesk(t)
	d.update(aRun(nil))
	d.update(aRun(running))
	assert.Equal(t, []kanister.State{kanister.StateRunning}, d.states(1))
	d.update(aRun(complete))
	assert.Equal(t, []kanister.State{kanister.StateRunning, kanister.StateComplete}, d.states(2))
	d.clock.Step(time.Minute)
	d.settled()
	assert.Len(t, d.states(2), 2, "nothing follows the end")
}

// One that has to wait says so after the interval.
func TestPendingIsWrittenWhenItLasts(t *testing.T) {
	d := newDesk(t)
	d.update(aRun(nil))
	assert.Zero(t, d.count())
	d.pass(func() bool { return d.count() == 1 })
	assert.Equal(t, []kanister.State{kanister.StatePending}, d.states(1))
}

// Between the first sign of work and the end, one write per interval, always of
// the newest state.
func TestIntervalHolds(t *testing.T) {
	d := newDesk(t)
	d.update(aRun(running))
	d.states(1)
	d.settled()
	for size := range int64(5) {
		d.update(aRun(func(r *event.Run, a *event.Action) {
			running(r, a)
			a.Phases[0].Progress = &kanister.PhaseProgress{SizeUploadedB: size + 1}
		}))
	}
	assert.Len(t, d.states(1), 1)
	d.pass(func() bool { return d.count() == 2 })
	assert.EqualValues(t, 5, d.written[1].Progress.SizeUploadedB)
	d.settled()
	// The same again is not written.
	d.update(aRun(func(r *event.Run, a *event.Action) {
		running(r, a)
		a.Phases[0].Progress = &kanister.PhaseProgress{SizeUploadedB: 5}
	}))
	d.pass(func() bool { known, _ := d.projector.Known("u"); return !known.Settled.IsZero() })
	d.update(aRun(complete))
	d.states(3)
	assert.InDelta(t, 1, testutil.ToFloat64(d.projector.Metrics.writes.WithLabelValues(resultUnchanged)), 0)
}

// An older state never follows a newer one.
func TestOlderRevisionsAreIgnored(t *testing.T) {
	d := newDesk(t)
	d.revision = 10
	d.update(aRun(complete))
	d.states(1)
	d.projector.Update(t.Context(), stream.RunUpdate{Run: aRun(running), Revision: 3})
	d.settled()
	known, ok := d.projector.Known("u")
	require.True(t, ok)
	assert.Equal(t, event.StateComplete, known.State)
}

// Failures are tried again with the newest state; a status that is refused is
// written without outputs.
func TestFaults(t *testing.T) {
	d := newDesk(t)
	d.fail = []error{errors.New("away")}
	d.update(aRun(running))
	d.pass(func() bool { return d.count() == 1 })

	d.fail = []error{ErrRefused}
	d.update(aRun(complete))
	d.states(2)
	last := d.written[1]
	assert.Equal(t, kanister.StateComplete, last.State)
	assert.Nil(t, last.Actions[0].Phases[0].Output)
	assert.Nil(t, last.Actions[0].Artifacts)
	require.Len(t, last.Conditions, 1)
	assert.Equal(t, metav1.ConditionTrue, last.Conditions[0].Status)
}

func TestGone(t *testing.T) {
	d := newDesk(t)
	d.fail = []error{ErrGone}
	d.update(aRun(running))
	d.settled()
	assert.Len(t, d.projector.Open(), 1, "the run is still to be cancelled")
	d.update(aRun(complete))
	assert.Empty(t, d.projector.Open())
	assert.Empty(t, d.states(0))
	d.projector.Forget(d.clock.Now().Add(time.Second))
	_, ok := d.projector.Known("u")
	assert.False(t, ok)
}

// Runs that ended long ago, and those of other bridges, cost nothing.
func TestOldRunsAreNotKept(t *testing.T) {
	d := newDesk(t)
	d.show("as", kanister.StateComplete)
	d.update(aRun(complete))
	_, ok := d.projector.Known("u")
	assert.False(t, ok, "its ActionSet says so already")
	d.update(aRun(func(r *event.Run, a *event.Action) { complete(r, a); r.Name = "deleted" }))
	_, ok = d.projector.Known("u")
	assert.False(t, ok, "its ActionSet is not watched")
	d.update(aRun(func(r *event.Run, a *event.Action) { running(r, a); r.Namespace = "elsewhere" }))
	_, ok = d.projector.Known("u")
	assert.False(t, ok, "another bridge's")
	assert.Empty(t, d.told)
}

func TestBounded(t *testing.T) {
	assert.Equal(t, "short", bounded("short"))
	got := bounded(strings.Repeat("ß", 5000))
	assert.Less(t, len(got), 1100)
	assert.Contains(t, got, "10000 bytes")
}

// An ActionSet that was gone and came back, with an etcd that was restored, is
// written again.
func TestGoneAndBack(t *testing.T) {
	d := newDesk(t)
	d.mu.Lock()
	d.fail = []error{ErrGone}
	d.mu.Unlock()
	d.update(aRun(running))
	d.settled()
	d.projector.Again(stream.RunUpdate{Run: aRun(running), Revision: d.revision})
	assert.Equal(t, []kanister.State{kanister.StateRunning}, d.states(1))
}

// A status is another one when a state is; what the watch leaves out does not
// count.
func TestDiffers(t *testing.T) {
	d := newDesk(t)
	d.update(aRun(func(r *event.Run, a *event.Action) {
		running(r, a)
		r.Pause = &event.Pause{Reason: "x", At: t0}
		a.Phases[0].State, a.Phases[0].Output = event.StateComplete, &event.Payload{Inline: []byte(`{"a":"b"}`)}
		a.Phases[1].State = event.StateRunning
	}))
	d.states(1)
	d.settled()
	d.mu.Lock()
	seen := d.written[0].DeepCopy()
	d.mu.Unlock()
	seen.Conditions, seen.Actions[0].Phases[0].Output = nil, nil
	assert.False(t, d.projector.Differs("u", seen))
	assert.False(t, d.projector.Differs("another", seen))
	seen.Actions[0].Phases[1].State = kanister.StatePending
	assert.True(t, d.projector.Differs("u", seen))
	assert.True(t, d.projector.Differs("u", nil))
}
