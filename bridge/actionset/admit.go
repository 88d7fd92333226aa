package actionset

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/status"
	"github.com/salvor-io/salvor/internal/telemetry"
)

// verdict is what an ActionSet without a known run is to become.
type verdict int

const (
	// admit: create the run if it is not there.
	admit verdict = iota
	// ended: its status says that it ended.
	ended
	// foreign: another engine started it.
	foreign
	// leaving: it is being deleted.
	leaving
)

// judge is pure: the table in the package comment.
func judge(as *kanister.ActionSet) verdict {
	s := state(as)
	switch {
	case status.Terminal(s):
		return ended
	case as.DeletionTimestamp != nil:
		return leaving
	case s == "" || ours(as) || adopted(as) != "":
		return admit
	}
	return foreign
}

// adopted says what is asked for an ActionSet that another engine began, empty for
// nothing.
func adopted(as *kanister.ActionSet) string {
	if state(as) == "" || ours(as) {
		return ""
	}
	switch how := as.Annotations[salvor.AnnotationAdopt]; how {
	case salvor.AdoptContinue, salvor.AdoptFail:
		return how
	}
	return ""
}

// check names the first field for which the ActionSet can never run, or returns
// nil. The CRD refuses some of it; a CRD from elsewhere refuses none.
func check(as *kanister.ActionSet) *event.Failure {
	if as.Spec == nil || len(as.Spec.Actions) == 0 {
		return invalid("spec.actions", "is empty; name at least one action")
	}
	for i := range as.Spec.Actions {
		a := &as.Spec.Actions[i]
		field := fmt.Sprintf("spec.actions[%d].", i)
		if a.Name == "" {
			return invalid(field+"name", "is empty; name an action of the blueprint, for example backup")
		}
		if a.Blueprint == "" {
			return invalid(field+"blueprint", "is empty; name a Blueprint")
		}
		if a.PreferredVersion != "" {
			if _, err := semver.NewVersion(a.PreferredVersion); err != nil {
				return invalid(field+"preferredVersion",
					fmt.Sprintf("%q is not a semantic version such as v0.0.0; leave it out to have the default", a.PreferredVersion))
			}
		}
	}
	return nil
}

func invalid(field, problem string) *event.Failure {
	return &event.Failure{Reason: event.ReasonInvalid, Message: field + " " + problem}
}

// newRun is the run of an ActionSet, pending.
func newRun(as *kanister.ActionSet, now time.Time) *event.Run {
	run := &event.Run{
		Version:     event.RunVersion,
		UID:         string(as.UID),
		Namespace:   as.Namespace,
		Name:        as.Name,
		Labels:      maps.Clone(as.Labels),
		Annotations: annotations(as),
		Traceparent: traceparent(as),
		CreatedAt:   now,
		UpdatedAt:   now,
		State:       event.StatePending,
	}
	delete(run.Labels, salvor.LabelRetry)
	if reason, asked := as.Annotations[salvor.AnnotationPause]; asked {
		run.Pause = &event.Pause{Reason: words(reason), At: now}
	}
	if as.Spec == nil {
		return run
	}
	for i := range as.Spec.Actions {
		run.Actions = append(run.Actions, event.Action{Spec: as.Spec.Actions[i], State: event.StatePending})
	}
	return run
}

// annotations are those of Salvor that stay with the run: requests do not.
func annotations(as *kanister.ActionSet) map[string]string {
	var out map[string]string
	for name, value := range as.Annotations {
		if !strings.HasPrefix(name, salvor.AnnotationPrefix) || name == salvor.AnnotationCancel || name == salvor.AnnotationPause {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = value
	}
	return out
}

// rejected is the run that stands for an ActionSet which never becomes one. It
// is projected and not stored.
func rejected(as *kanister.ActionSet, why *event.Failure, now time.Time) *event.Run {
	run := newRun(as, now)
	run.State, run.Failure = event.StateFailed, why
	return run
}

// traceparent is the trace context in the annotations, when it is one, else one that
// is made from the UID.
func traceparent(as *kanister.ActionSet) string {
	value := as.Annotations[salvor.AnnotationTraceparent]
	if !telemetry.Valid(value) {
		return telemetry.ForRun(string(as.UID))
	}
	return value
}
