//go:build chaos

package r3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/stream"
)

// found is what is wrong with one kind.
type found struct{ lost, doubled int }

// verify looks for everything that was acknowledged.
func (l *load) verify(t *testing.T) map[string]found {
	t.Helper()
	return map[string]found{
		"runs": l.verifyRuns(t), "jobs": l.verifyJobs(t), "reports": l.verifyReports(t),
		"events": l.verifyEvents(t), "marks": l.verifyMarks(), "blobs": l.verifyBlobs(t),
	}
}

// verifyRuns: a revision with two successors was won twice; a successor of an
// older revision than the last acknowledged one passed that one over.
func (l *load) verifyRuns(t *testing.T) (f found) {
	t.Helper()
	for uid, wins := range l.wins {
		slices.SortFunc(wins, func(a, b win) int { return cmp.Compare(a.revision, b.revision) })
		bases := map[uint64]bool{}
		for i, w := range wins {
			if bases[w.base] {
				f.doubled++
			}
			bases[w.base] = true
			if i > 0 && w.base < wins[i-1].revision {
				f.lost++
			}
		}
		var last uint64
		require.NoError(t, again(func() (err error) { _, last, err = l.runs.Get(t.Context(), namespace, uid); return err }))
		if last < wins[len(wins)-1].revision {
			f.lost++
		}
	}
	return f
}

func (l *load) verifyJobs(t *testing.T) (f found) {
	t.Helper()
	counts := subjects(t, l.js, event.StreamJobs)
	for k := range l.queued {
		f.count(int(counts[event.JobSubject(pool, k)]))
	}
	return f
}

func (l *load) verifyReports(t *testing.T) (f found) {
	t.Helper()
	// What was in hand when a member was killed is delivered again after ackWait.
	require.Eventually(t, func() bool {
		s, err := l.js.Stream(t.Context(), event.StreamReports)
		return err == nil && s.CachedInfo().State.Msgs == 0
	}, 3*time.Minute, 100*time.Millisecond, "all reports are taken")
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range l.reported {
		if l.delivered[k] == 0 { // twice is allowed
			f.lost++
		}
	}
	return f
}

func (l *load) verifyEvents(t *testing.T) (f found) {
	t.Helper()
	consumer, err := l.js.OrderedConsumer(t.Context(), event.StreamEvents, jetstream.OrderedConsumerConfig{})
	require.NoError(t, err)
	info, err := consumer.Info(t.Context())
	require.NoError(t, err)
	counts := map[string]int{}
	failures := 0
	for left := info.NumPending; left > 0; {
		batch, err := consumer.Fetch(int(min(left, 500)))
		if err != nil {
			failures++
			require.Less(t, failures, 30, err)
			time.Sleep(time.Second)
			continue
		}
		for msg := range batch.Messages() {
			e, err := stream.Decode(msg.Headers(), msg.Data())
			require.NoError(t, err)
			counts[e.ID()]++
			left--
		}
		if err := batch.Error(); err != nil { // it is made anew behind the last message
			failures++
			require.Less(t, failures, 30, err)
			time.Sleep(time.Second)
		}
	}
	for id := range l.stored {
		f.count(counts[id])
	}
	return f
}

func (l *load) verifyMarks() (f found) {
	for _, by := range l.started {
		f.count(len(by))
	}
	return f
}

func (l *load) verifyBlobs(t *testing.T) (f found) {
	t.Helper()
	for _, p := range l.payloads {
		var content map[string]string
		if err := again(func() error { return l.blobs.Get(t.Context(), p, &content) }); err != nil {
			t.Log(err)
			f.lost++
		}
	}
	return f
}

// again reads until it succeeds: what does not answer in time, as a leader is being
// elected, is not lost. What a store says is not there is.
func again(read func() error) error {
	var err error
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
		if err = read(); err == nil || errors.Is(err, stream.ErrNotFound) || time.Now().After(end) {
			return err
		}
	}
}

func (f *found) count(n int) {
	switch {
	case n == 0:
		f.lost++
	case n > 1:
		f.doubled++
	}
}

func subjects(t *testing.T, js jetstream.JetStream, name string) map[string]uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), name)
	require.NoError(t, err)
	info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	require.NoError(t, err)
	return info.State.Subjects
}

// table is the result for people.
func (l *load) table(result map[string]found) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s %13s %11s %6s %8s %14s\n", "write", "acknowledged", "unanswered", "lost", "doubled", "longest pause")
	for _, kind := range kinds {
		t := l.tallies[kind]
		fmt.Fprintf(&b, "%-8s %13d %11d %6d %8d %14s\n", kind, t.acknowledged, t.unanswered, result[kind].lost, result[kind].doubled, t.worstGap.Round(10*time.Millisecond))
	}
	return b.String()
}

// caughtUp waits until every stream has all of its copies.
func caughtUp(ctx context.Context, t *testing.T, js jetstream.JetStream) {
	t.Helper()
	require.Eventually(t, func() bool {
		all, err := stream.Survey(ctx, js)
		return err == nil && !slices.ContainsFunc(all, func(c stream.Copies) bool { return c.Missing || c.Current < size })
	}, 3*time.Minute, 100*time.Millisecond)
}
