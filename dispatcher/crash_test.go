package dispatcher_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/dispatcher"
	"github.com/salvor-io/salvor/internal/stream"
)

var errCrashed = errors.New("crashed")

// crashing is a client that dies at its n-th write about a run, before or after the server
// took it. Nothing of it reaches the server from then on, acknowledgements
// included, because its connection is closed.
type crashing struct {
	jetstream.JetStream
	nc    *nats.Conn
	uid   string
	at    int
	after bool

	mu     sync.Mutex
	writes int
	died   chan struct{}
}

func (c *crashing) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if !bytes.Contains(m.Data, []byte(`"`+c.uid+`"`)) {
		return c.JetStream.PublishMsg(ctx, m, opts...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	switch {
	case c.writes > c.at:
		return nil, errCrashed
	case c.writes == c.at && !c.after:
		c.die()
		return nil, errCrashed
	}
	ack, err := c.JetStream.PublishMsg(ctx, m, opts...)
	if c.writes == c.at {
		c.die()
		return nil, errCrashed
	}
	return ack, err
}

func (c *crashing) die() {
	c.nc.Close()
	close(c.died)
}

// TestACrashAtAnyWrite kills a dispatcher before and after each of its writes; the
// next one must bring the run to its right end, with each job executed once and
// each event told once.
func TestACrashAtAnyWrite(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]crashCase{
		"one-phase": {[]string{"dump artifacts"}, event.StateComplete, 1, 1, 8, nil},
		"chain":     {[]string{"a b defer:d artifacts"}, event.StateComplete, 3, 4, 22, nil},
		"fails":     {[]string{"a boom c defer:d"}, event.StateFailed, 3, 4, 22, nil},
		"parallel":  {[]string{"a", "boom defer:d"}, event.StateFailed, 3, 4, 24, nil},
		"render":    {[]string{"artifacts"}, event.StateComplete, 1, 1, 8, nil},
		"nothing":   {[]string{""}, event.StateComplete, 0, 1, 4, nil},
		"retries":   {[]string{"flaky defer:d"}, event.StateComplete, 3, 3, 26, notes{"salvor.io/attempts": "2", "salvor.io/backoff": "1s"}},
		"limits":    {[]string{"a flaky"}, event.StateFailed, 2, 3, 20, notes{"salvor.io/timeout": "1h", "salvor.io/action-timeout": "2h"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			crashAll(t, c)
		})
	}
}

type crashCase struct {
	shapes       []string
	state        event.State
	jobs, events int
	// crashes is twice the number of writes.
	crashes     int
	annotations notes
}

func crashAll(t *testing.T, c crashCase) {
	t.Helper()
	s := startServer(t)
	r := startRunner(t, s.js, &runner{script: func(j event.Job) *event.Report {
		if j.PhaseName == "boom" {
			return failed()
		}
		return flaky("flaky", 1)(j)
	}})
	crashes := 0
	for at := 1; crashes == 2*(at-1); at++ {
		for _, after := range []bool{false, true} {
			uid := fmt.Sprintf("u-%d-%v", at, after)
			if s.crashOnce(r, c, uid, at, after) {
				crashes++
			}
		}
	}
	assert.Equal(t, c.crashes, crashes)
}

// crashOnce reports false when the run has fewer writes than that.
func (s *server) crashOnce(r *runner, c crashCase, uid string, at int, after bool) bool {
	t := s.t
	t.Helper()
	o := options()
	o.ReportAckWait = time.Hour // what the dead one had in hand does not come again
	nc, js := s.connect()
	dying := &crashing{JetStream: js, nc: nc, uid: uid, at: at, after: after, died: make(chan struct{})}
	first := startDispatcher(t, dispatcher.Deps{JS: dying}, o)
	eventually(t, "the dispatcher is ready", func() bool { return first.Ready() == nil })
	run := s.createShapes("ns", uid, c.shapes, c.annotations)
	select {
	case <-dying.died:
	case <-s.settled(t, run):
	}
	first.stop()
	nc2, js2 := s.connect()
	second := startDispatcher(t, dispatcher.Deps{JS: js2}, o)
	eventually(t, "the next dispatcher is ready", func() bool { return second.Ready() == nil })
	end := ended(t, s.runs, run.Namespace, uid)
	require.Equal(t, c.state, end.State, "%s: %+v", uid, end)
	var events map[string]int
	eventually(t, uid+": its events", func() bool {
		events = s.eventsOf(t, run.Namespace, uid)
		return len(events) == c.events
	})
	for id, n := range events {
		assert.Equal(t, 1, n, "%s: event %s", uid, id)
	}
	second.stop()
	nc2.Close()
	nc.Close()
	s.requireExecuted(t, r, uid, c.jobs)
	select {
	case <-dying.died:
		return true
	default:
		return false
	}
}

func (s *server) createShapes(namespace, uid string, shapes []string, annotations notes) *event.Run {
	s.t.Helper()
	run := &event.Run{
		Version: event.RunVersion, UID: uid, Namespace: namespace, Name: "as-" + uid,
		CreatedAt: time.Now(), UpdatedAt: time.Now(), State: event.StatePending, Annotations: annotations,
	}
	for i, shape := range shapes {
		run.Actions = append(run.Actions, event.Action{Spec: action(fmt.Sprint("a", i), shape), State: event.StatePending})
	}
	_, err := s.runs.Create(s.t.Context(), run)
	require.NoError(s.t, err)
	return run
}

// settled is closed when the run has ended and its event was told.
func (s *server) settled(t *testing.T, run *event.Run) <-chan struct{} {
	t.Helper()
	done := make(chan struct{})
	ctx := t.Context()
	go func() {
		defer close(done)
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for {
			now, _, err := s.runs.Get(ctx, run.Namespace, run.UID)
			if err == nil && now.State.Terminal() && s.told(ctx, now) {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return done
}

func (s *server) told(ctx context.Context, run *event.Run) bool {
	st, err := s.js.Stream(ctx, event.StreamEvents)
	if err != nil {
		return false
	}
	typ := event.TypeRunCompleted
	if run.State == event.StateFailed {
		typ = event.TypeRunFailed
	}
	msg, err := st.GetLastMsgForSubject(ctx, event.EventSubject(run.Namespace, typ))
	if err != nil {
		return false
	}
	e, err := stream.Decode(msg.Header, msg.Data)
	return err == nil && e.ID() == run.UID+"."+string(run.State)
}

// eventsOf counts the lifecycle events of a run.
func (s *server) eventsOf(t *testing.T, namespace, uid string) map[string]int {
	t.Helper()
	st, err := s.js.Stream(t.Context(), event.StreamEvents)
	require.NoError(t, err)
	found := map[string]int{}
	for seq := uint64(1); ; {
		msg, err := st.GetMsg(t.Context(), seq, jetstream.WithGetMsgSubject("salvor.events."+namespace+".>"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return found
		}
		require.NoError(t, err)
		seq = msg.Sequence + 1
		e, err := stream.Decode(msg.Header, msg.Data)
		require.NoError(t, err)
		var l event.Lifecycle
		require.NoError(t, e.DataAs(&l))
		if l.UID == uid {
			found[e.Type()+" "+e.ID()]++
		}
	}
}

func (s *server) requireExecuted(t *testing.T, r *runner, uid string, jobs int) {
	t.Helper()
	count := 0
	for key, n := range r.executed() {
		if len(key) > len(uid) && key[:len(uid)+1] == uid+"." {
			count++
			require.Equal(t, 1, n, "job %s was executed more than once", key)
		}
	}
	require.Equal(t, jobs, count, "%s: jobs executed", uid)
}

// TestACancelThatWasNotMarked: the dispatcher died between the run and the mark.
func TestACancelThatWasNotMarked(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	at := time.Now()
	_, err := s.runs.Create(t.Context(), &event.Run{
		Version: event.RunVersion, UID: "u1", Namespace: "ns", Name: "as", CreatedAt: at, UpdatedAt: at, State: event.StateRunning,
		Cancel: &event.Cancel{Reason: "ActionSet deleted", At: at},
		Actions: []event.Action{{
			Spec: action("backup", "dump"), State: event.StateRunning, StartedAt: &at,
			Phases: []event.Phase{{Name: "dump", Func: "KubeTask", State: event.StateRunning, Attempt: 1, StartedAt: &at}},
		}},
	})
	require.NoError(t, err)
	leases, err := stream.NewLeases(t.Context(), s.js)
	require.NoError(t, err)
	marked := make(chan string, 1)
	go func() { _ = leases.WatchCancels(t.Context(), func(uid string) { marked <- uid }) }()
	startDispatcher(t, dispatcher.Deps{JS: s.js}, options())
	select {
	case uid := <-marked:
		assert.Equal(t, "u1", uid)
	case <-time.After(patience):
		t.Fatal("runners are not told")
	}
}
