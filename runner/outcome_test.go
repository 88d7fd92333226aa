package runner

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/runner/function"
)

func TestStandingOf(t *testing.T) {
	key := event.Key{UID: "u", Namespace: "n", Action: 0, Kind: event.KindCore, Phase: 1, Attempt: 2}
	run := func(change func(*event.Run, *event.Phase)) *event.Run {
		r := &event.Run{State: event.StateRunning, Actions: []event.Action{{
			Phases:     []event.Phase{{State: event.StateComplete, Attempt: 1}, {State: event.StateRunning, Attempt: 2}},
			DeferPhase: &event.Phase{State: event.StateRunning, Attempt: 2},
		}}}
		change(r, &r.Actions[0].Phases[1])
		return r
	}
	tests := map[string]struct {
		key    func(*event.Key)
		change func(*event.Run, *event.Phase)
		want   standing
	}{
		"runs":              {want: standingCurrent},
		"run has ended":     {change: func(r *event.Run, _ *event.Phase) { r.State = event.StateFailed }, want: standingOver},
		"phase has ended":   {change: func(_ *event.Run, p *event.Phase) { p.State = event.StateCancelled }, want: standingOver},
		"replaced":          {change: func(_ *event.Run, p *event.Phase) { p.Attempt = 3 }, want: standingOver},
		"replaced, pending": {change: func(_ *event.Run, p *event.Phase) { p.Attempt, p.State = 3, event.StatePending }, want: standingOver},
		"not written yet":   {change: func(_ *event.Run, p *event.Phase) { p.Attempt, p.State = 0, event.StatePending }, want: standingAhead},
		"attempt before":    {change: func(_ *event.Run, p *event.Phase) { p.Attempt, p.State = 1, event.StateFailed }, want: standingAhead},
		"being cancelled":   {change: func(r *event.Run, _ *event.Phase) { r.Cancel = &event.Cancel{} }, want: standingCurrent},
		"deferPhase":        {key: func(k *event.Key) { k.Kind = event.KindDefer }, want: standingCurrent},
		"no render phase":   {key: func(k *event.Key) { k.Kind = event.KindRender }, want: standingAhead},
		"no such action":    {key: func(k *event.Key) { k.Action = 7 }, want: standingAhead},
		"no such phase":     {key: func(k *event.Key) { k.Phase = 7 }, want: standingAhead},
		"negative":          {key: func(k *event.Key) { k.Action, k.Phase = -1, -1 }, want: standingAhead},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			k := key
			if tt.key != nil {
				tt.key(&k)
			}
			if tt.change == nil {
				tt.change = func(*event.Run, *event.Phase) {}
			}
			assert.Equal(t, tt.want, standingOf(run(tt.change), k))
		})
	}
}

func TestFailureOf(t *testing.T) {
	inner := function.Errorf(event.ReasonPodFailed, "exit 1, token hunter2")
	f := failureOf(fmt.Errorf("while dumping: %w", inner), func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") })
	assert.Equal(t, &event.Failure{Reason: event.ReasonPodFailed, Message: "while dumping: exit 1, token ***"}, f)
	assert.Equal(t, event.ReasonFailed, failureOf(errors.New("x"), nil).Reason)
	assert.Equal(t, event.ReasonRender, failureOf(&blueprint.Error{Reason: event.ReasonRender, Err: errors.New("x")}, nil).Reason)
}

func TestBoundKeepsBothEnds(t *testing.T) {
	text := "pod shop/x failed: " + strings.Repeat("noise\n", 2000) + "fatal: the cause"
	got := bound(text)
	assert.LessOrEqual(t, len(got), event.MessageLimit)
	assert.True(t, strings.HasPrefix(got, "pod shop/x failed: "))
	assert.True(t, strings.HasSuffix(got, "fatal: the cause"))

	rapid.Check(t, func(t *rapid.T) {
		text := strings.Repeat(rapid.String().Draw(t, "text"), rapid.IntRange(0, 500).Draw(t, "times")) + string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		got := bound(text)
		if len(got) > event.MessageLimit || !utf8.ValidString(got) {
			t.Fatalf("%d bytes, valid %t", len(got), utf8.ValidString(got))
		}
	})
}

func TestExcerptOf(t *testing.T) {
	got := excerptOf(map[string]any{"short": "v", "n": int64(3), "long": strings.Repeat("ä", 5000), "list": []any{"a", 1}})
	assert.Equal(t, "v", got["short"])
	assert.Equal(t, int64(3), got["n"])
	assert.Equal(t, strings.Repeat("ä", 128)+"… (10000 bytes)", got["long"])
	assert.Equal(t, "[a 1]", got["list"])

	many := map[string]any{}
	for i := range 1000 {
		many[fmt.Sprintf("k%04d", i)] = "v"
	}
	got = excerptOf(many)
	assert.Len(t, got, excerptKeys+1)
	assert.Equal(t, "936 more keys", got[excerptMore])
}
