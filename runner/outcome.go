package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/runner/function"
)

// standing is how an attempt stands in the run's state.
type standing int

const (
	// standingAhead: the run does not know of the attempt yet.
	standingAhead standing = iota
	// standingCurrent: it is the one that runs.
	standingCurrent
	// standingOver: it has ended, or was replaced by a later one.
	standingOver
)

// standingOf tells how the attempt stands.
func standingOf(run *event.Run, k event.Key) standing {
	if run.State.Terminal() {
		return standingOver
	}
	_, phase := find(run, k)
	switch {
	case phase == nil, phase.Attempt < k.Attempt:
		return standingAhead
	case phase.Attempt > k.Attempt, phase.State.Terminal():
		return standingOver
	case phase.State == event.StateRunning:
		return standingCurrent
	}
	return standingAhead
}

// find returns the action and the phase that the key names; nil if there is none.
func find(run *event.Run, k event.Key) (*event.Action, *event.Phase) {
	if k.Action < 0 || k.Action >= len(run.Actions) {
		return nil, nil
	}
	action := &run.Actions[k.Action]
	switch k.Kind {
	case event.KindCore:
		if k.Phase >= 0 && k.Phase < len(action.Phases) {
			return action, &action.Phases[k.Phase]
		}
	case event.KindDefer:
		return action, action.DeferPhase
	case event.KindRender:
		return action, action.Render
	}
	return action, nil
}

// failureOf makes of an error what the status says. redact replaces secret
// values; it may be nil.
func failureOf(err error, redact func(string) string) *event.Failure {
	reason := event.ReasonFailed
	var byFunction *function.Error
	var byBlueprint *blueprint.Error
	switch {
	case errors.As(err, &byFunction):
		reason = byFunction.Reason
	case errors.As(err, &byBlueprint):
		reason = byBlueprint.Reason
	case errors.Is(err, context.DeadlineExceeded):
		reason = event.ReasonTimeout
	}
	message := err.Error()
	if redact != nil {
		message = redact(message)
	}
	return &event.Failure{Reason: reason, Message: bound(message, event.MessageLimit)}
}

// headShare is how much of a message that is too long is kept of its beginning,
// which names what failed; the rest is its end, where a log says why.
const headShare = 512

// bound cuts text in the middle to at most limit bytes, between characters.
func bound(text string, limit int) string {
	if len(text) <= limit {
		return strings.ToValidUTF8(text, "")
	}
	const gap = "\n[…]\n"
	head := text[:headShare]
	for !utf8.ValidString(head) && len(head) > headShare-utf8.UTFMax {
		head = head[:len(head)-1]
	}
	tail := text[len(text)-(limit-headShare-len(gap)):]
	for tail != "" && !utf8.RuneStart(tail[0]) {
		tail = tail[1:]
	}
	// Invalid bytes are dropped, not replaced: a replacement would be longer.
	return strings.ToValidUTF8(head, "") + gap + strings.ToValidUTF8(tail, "")
}

const (
	// excerptValue is how much of each value an excerpt keeps, in bytes.
	excerptValue = 256
	// excerptKeys is how many keys it keeps; what is more is counted under
	// excerptMore.
	excerptKeys = 64
	excerptMore = "…"
)

// excerptOf is what the status shows of an output that is too large for it: the
// same keys, the values cut.
func excerptOf(output map[string]any) map[string]any {
	excerpt := map[string]any{}
	for i, key := range slices.Sorted(maps.Keys(output)) {
		if i == excerptKeys {
			excerpt[excerptMore] = fmt.Sprintf("%d more keys", len(output)-excerptKeys)
			break
		}
		excerpt[cut(key)] = excerptValueOf(output[key])
	}
	return excerpt
}

func excerptValueOf(value any) any {
	switch v := value.(type) {
	case string:
		return cut(v)
	case nil, bool, int, int32, int64, float64:
		return v
	default:
		return cut(fmt.Sprint(v))
	}
}

func cut(text string) string {
	if len(text) <= excerptValue {
		return text
	}
	return strings.ToValidUTF8(text[:excerptValue], "") + fmt.Sprintf("… (%d bytes)", len(text))
}

// kept are the labels of an ActionSet that calls and pods see.
func kept(labels map[string]string) map[string]string {
	found := map[string]string{}
	for name, value := range labels {
		if strings.HasPrefix(name, "kanister.io/") || strings.HasPrefix(name, "salvor.io/") {
			found[name] = value
		}
	}
	return found
}
