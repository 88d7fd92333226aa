package dispatcher_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/dispatcher"
	"github.com/salvor-io/salvor/dispatcher/decide"
)

// rival writes what the inputs make of the run u1, as another dispatcher does that
// ends before it does anything more.
func (s *server) rival(now time.Time, inputs ...decide.Input) {
	s.t.Helper()
	run, revision, err := s.runs.Get(s.t.Context(), "ns", "u1")
	require.NoError(s.t, err)
	for _, in := range inputs {
		d := decide.Decide(*run, in, now)
		require.True(s.t, d.Changed)
		*run = d.Run
	}
	_, err = s.runs.Update(s.t.Context(), run, revision)
	require.NoError(s.t, err)
}

// TestWhatARivalMadeReady: the turn that a state of another dispatcher asks for is
// taken with that state, not with the one that this dispatcher wrote before.
func TestWhatARivalMadeReady(t *testing.T) {
	t.Parallel()
	t.Run("a phase that is tried again", func(t *testing.T) {
		t.Parallel()
		s := startServer(t)
		startDispatcher(t, dispatcher.Deps{JS: s.js}, options())
		s.put("u1", "a", notes{"salvor.io/attempts": "2", "salvor.io/backoff": "1h", "salvor.io/backoff-limit": "1h"})
		eventually(t, "the first attempt", func() bool { return s.messages(event.StreamJobs) == 1 })
		report := failed()
		report.Key = event.Key{UID: "u1", Namespace: "ns", Kind: event.KindCore, Attempt: 1}
		s.rival(time.Now(), decide.Report{Report: *report})
		s.rival(time.Now().Add(2*time.Hour), decide.Wake{})
		require.Eventually(t, func() bool { return s.messages(event.StreamJobs) == 2 }, 3*time.Minute, 10*time.Millisecond, "the second attempt")
	})
	t.Run("a run that was paused before it began", func(t *testing.T) {
		t.Parallel()
		s := startServer(t)
		o := options()
		o.Window = 1
		startDispatcher(t, dispatcher.Deps{JS: s.js}, o)
		s.put("first", "a", nil)
		eventually(t, "the slot is taken", func() bool { return s.messages(event.StreamJobs) == 1 })
		s.put("u1", "a", nil)
		s.ask(event.ReportPause, "u1", "")
		eventually(t, "it is paused", func() bool { return s.get("u1").Pause != nil })
		s.rival(time.Now(), decide.Report{Report: event.Report{Kind: event.ReportResume, Key: event.Key{UID: "u1", Namespace: "ns"}}})
		startRunner(t, s.js, &runner{})
		require.Eventually(t, func() bool { return s.get("u1").State.Terminal() }, 3*time.Minute, 10*time.Millisecond)
		assert.Equal(t, event.StateComplete, s.get("u1").State)
	})
}
