package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/nearest"
)

// others are the names under Prefix that are no policy: requests, and what Salvor
// itself writes on objects.
func others() []string {
	return []string{
		salvor.AnnotationCancel, salvor.AnnotationPause, salvor.LabelRetry,
		salvor.LabelTrigger, salvor.AnnotationEventID, salvor.AnnotationEventSource, salvor.AnnotationEventType, salvor.AnnotationTraceparent,
		salvor.AnnotationTriggerUID, salvor.LabelTriggerKey, salvor.AnnotationEvents, salvor.AnnotationChain, salvor.LabelPrunes,
		salvor.AnnotationPrunes, salvor.AnnotationPruneAttempt,
	}
}

// keys are the policies; the first five may be followed by a phase.
func keys() []string {
	return []string{Attempts, Backoff, BackoffLimit, Timeout, OnInterrupt, ActionTimeout}
}

// check returns what is wrong with the annotations of one object, in the order of
// their names.
func (in Input) check(object string, annotations map[string]string) []error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		if !strings.HasPrefix(name, Prefix) || slices.Contains(others(), name) {
			continue
		}
		key, rest, special := strings.Cut(strings.TrimPrefix(name, Prefix), ".")
		key = Prefix + key
		message := ""
		switch {
		case !slices.Contains(keys(), key):
			message = unknown(key)
		case special:
			message = in.place(object, key, rest)
		}
		if message == "" {
			message = wrong(key, annotations[name])
		}
		if message != "" {
			errs = append(errs, &Error{Object: object, Annotation: name, Value: annotations[name], Message: message})
		}
	}
	return errs
}

func unknown(key string) string {
	hint := "known are " + strings.Join(keys(), ", ")
	if near := nearest.Name(key, append(keys(), others()...)); near != "" {
		hint = "did you mean " + near + "?"
	}
	return "Salvor knows no such annotation; " + hint
}

// place looks whether the action, or the action and phase, after a key are there.
// Both may have dots in their names.
func (in Input) place(object, key, rest string) string {
	actions := slices.Sorted(maps.Keys(in.Actions))
	if object == "ActionSet" {
		actions = in.asked()
	}
	if slices.Contains(actions, rest) {
		return ""
	}
	for _, name := range actions {
		phase, ok := strings.CutPrefix(rest, name+".")
		if !ok {
			continue
		}
		if key == ActionTimeout {
			return fmt.Sprintf("it is for a whole action; use %s.%s, or %s.%s for one phase", key, name, Timeout, rest)
		}
		return in.phase(name, phase)
	}
	return fmt.Sprintf("there is no action %q; the %s has: %s", rest, object, list(actions))
}

func (in Input) phase(name, phase string) string {
	action, ok := in.Actions[name]
	if !ok || action == nil {
		return "" // of another blueprint, and checked with that one
	}
	if names := phases(action); !slices.Contains(names, phase) {
		return fmt.Sprintf("action %q has no phase %q; it has: %s", name, phase, list(names))
	}
	return ""
}

// wrong looks at a value.
func wrong(key, value string) string {
	switch key {
	case Attempts:
		if n, err := strconv.Atoi(value); err != nil || n < 1 || n > MaxAttempts {
			return fmt.Sprintf("it must be a number from 1 to %d: how often a phase is tried in all", MaxAttempts)
		}
	case OnInterrupt:
		switch event.OnInterrupt(value) {
		case event.InterruptFails, event.InterruptRetries:
		default:
			return fmt.Sprintf("it must be %s or %s", event.InterruptFails, event.InterruptRetries)
		}
	case Backoff, BackoffLimit, Timeout, ActionTimeout:
		if d, err := time.ParseDuration(value); err != nil || d < time.Second || d > MaxDuration {
			return fmt.Sprintf("it must be a duration such as 30s, 10m or 1h30m, from 1s to %dh", int(MaxDuration.Hours()))
		}
	}
	return ""
}
