package functiontest

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/runner/function"
)

// patience bounds what must not hang. Nothing depends on how long it is.
const patience = 3 * time.Minute

// Harness makes worlds for the suite.
type Harness struct {
	// Name of the function; its signature must be known.
	Name string
	New  func() function.Function
	// World makes one, with nothing shared with another.
	World func(t *testing.T) World
	// Bad are arguments that must be refused.
	Bad []Bad
}

// World is one call and what is around it.
type World struct {
	Call *function.Call
	// Busy receives or is closed once the function is in the middle of its work,
	// and waits for the rest of the world.
	Busy <-chan struct{}
	// Release has the rest of the world do its part, so that the function can end.
	// It may be called more than once.
	Release func()
	// Gate is before a server that the function asks beside the API server. Nil means
	// that there is none.
	Gate *Gate
	// Check looks at the output and the effect, after a good end.
	Check func(t *testing.T, output map[string]any)
}

// Bad is a change to good arguments, and a part of the message that it must give.
type Bad struct {
	Name string
	// Set replaces arguments; nil removes one.
	Set    map[string]any
	Want   string
	Reason event.Reason // ReasonInvalid when empty
}

var errStop = errors.New("the test stops it")

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	signature, known := blueprint.Lookup(h.Name)
	require.True(t, known, "%s has no signature", h.Name)
	again := signature.Resume != blueprint.Once
	t.Run("does its work", h.works)
	t.Run("cancelled before it starts", h.cancelledBefore)
	t.Run("cancelled while busy", func(t *testing.T) { h.cancelledBusy(t, again) })
	t.Run("two at once", h.atOnce)
	if again {
		t.Run("repeated", h.repeated)
		t.Run("lost before a request", func(t *testing.T) { h.lostAt(t, false) })
		t.Run("lost before an answer", func(t *testing.T) { h.lostAt(t, true) })
	}
	for _, bad := range h.Bad {
		t.Run("refuses "+bad.Name, func(t *testing.T) { h.refuses(t, bad) })
	}
}

func (h Harness) works(t *testing.T) {
	w := h.World(t)
	w.Release()
	w.Check(t, h.execute(t, w.Call))
}

// repeated ends the phase, loses the report, and runs it again as the same attempt
// and as the next one.
func (h Harness) repeated(t *testing.T) {
	w := h.World(t)
	w.Release()
	first := h.execute(t, w.Call)
	assert.Equal(t, first, h.execute(t, w.Call), "output of the same attempt")
	w.Call.Key.Attempt++
	assert.Equal(t, first, h.execute(t, w.Call), "output of the next attempt")
	w.Check(t, first)
}

func (h Harness) cancelledBefore(t *testing.T) {
	w := h.World(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errStop)
	_, err := h.New().Execute(ctx, w.Call)
	require.ErrorIs(t, err, errStop)
}

func (h Harness) cancelledBusy(t *testing.T, again bool) {
	t.Helper()
	w := h.World(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	ended := make(chan error, 1)
	go func() {
		_, err := h.New().Execute(ctx, w.Call)
		ended <- err
	}()
	select {
	case <-w.Busy:
	case err := <-ended:
		t.Fatalf("it ended although the world does nothing: %v", err)
	case <-time.After(patience):
		t.Fatal("it never was busy")
	}
	cancel(errStop)
	select {
	case err := <-ended:
		require.ErrorIs(t, err, errStop)
	case <-time.After(patience):
		t.Fatal("it goes on after its context ended")
	}
	if again {
		w.Release()
		w.Check(t, h.execute(t, w.Call))
	}
}

// lostAt loses the runner at each request that the function makes, in turn, and has
// another one do the attempt again.
func (h Harness) lostAt(t *testing.T, answered bool) {
	t.Helper()
	for n := 1; ; n++ {
		w := h.World(t)
		w.Release()
		ctx, cancel := context.WithCancelCause(t.Context())
		cut := &wire{at: int64(n), answered: answered, lose: cancel}
		w.Gate.close(cut)
		ended := make(chan error, 1)
		go func() {
			_, err := h.New().Execute(cut.in(ctx), w.Call)
			ended <- err
		}()
		var err error
		select {
		case err = <-ended:
		case <-time.After(patience):
			t.Fatalf("it goes on after it was lost at request %d", n)
		}
		cancel(nil)
		w.Gate.close(nil)
		if !cut.tripped.Load() {
			require.NoError(t, err)
			require.Greater(t, n, 1, "it makes no requests, or its clients are not wired")
			return
		}
		require.Error(t, err, "request %d", n)
		w.Check(t, h.execute(t, w.Call))
	}
}

func (h Harness) atOnce(t *testing.T) {
	const calls = 8
	var all sync.WaitGroup
	for range calls {
		w := h.World(t)
		w.Release()
		all.Go(func() {
			output, err := h.New().Execute(t.Context(), w.Call)
			if assert.NoError(t, err) {
				w.Check(t, output)
			}
		})
	}
	all.Wait()
}

func (h Harness) refuses(t *testing.T, bad Bad) {
	t.Helper()
	w := h.World(t)
	w.Call.Args = maps.Clone(w.Call.Args)
	for name, value := range bad.Set {
		if value == nil {
			delete(w.Call.Args, name)
			continue
		}
		w.Call.Args[name] = value
	}
	_, err := h.New().Execute(t.Context(), w.Call)
	require.ErrorContains(t, err, bad.Want)
	want := bad.Reason
	if want == "" {
		want = event.ReasonInvalid
	}
	assert.Equal(t, want, ReasonOf(err), "reason of: %v", err)
}

func (h Harness) execute(t *testing.T, call *function.Call) map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	output, err := h.New().Execute(ctx, call)
	require.NoError(t, err)
	return output
}

// ReasonOf is the reason that the status would give for an error.
func ReasonOf(err error) event.Reason {
	if known, ok := errors.AsType[*function.Error](err); ok {
		return known.Reason
	}
	if rendering, ok := errors.AsType[*blueprint.Error](err); ok {
		return rendering.Reason
	}
	return event.ReasonFailed
}
