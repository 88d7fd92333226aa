package actionset

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/bridge/status"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/stream"
)

// recoverWithin is how long after our last write of its status a run without a
// record counts as lost, if records of runs that ended are not kept for a shorter
// time: no run is done twice because its record was cleared away while nobody
// could write its end.
const recoverWithin = 24 * time.Hour

// recoverable reports whether the missing record of the ActionSet's run was lost
// and not cleared away: the store is newer than our last write, or that write was
// a short while ago.
func (in *Intake) recoverable(as *kanister.ActionSet, storeSince, now time.Time) bool {
	for i := range as.ManagedFields {
		wrote := as.ManagedFields[i].Time
		if as.ManagedFields[i].Manager != status.FieldManager || wrote == nil {
			continue
		}
		if !storeSince.After(wrote.Time) && now.Sub(wrote.Time) > min(recoverWithin, in.RunRetention) {
			return false
		}
	}
	return true
}

// perhapsDone reports whether an ActionSet without a status may have been run
// already: it is older than the time for which records are kept, and so is the
// store, so that its record may have come and gone while no status could be
// written.
func perhapsDone(as *kanister.ActionSet, storeSince, now time.Time, retention time.Duration) bool {
	created := as.CreationTimestamp.Time
	return now.Sub(created) > retention && !storeSince.After(created)
}

// settled deals with an ActionSet that was, or may have been, a run before. It is
// false when there is no record and a run may be made.
func (in *Intake) settled(ctx context.Context, as *kanister.ActionSet) (bool, error) {
	ref, now := refOf(as), in.Clock.Now()
	fresh := state(as) == ""
	if fresh && now.Sub(as.CreationTimestamp.Time) <= in.RunRetention {
		return false, nil // nothing of it can have been cleared away; Create finds a record
	}
	run, revision, err := in.Runs.Get(ctx, ref.Namespace, ref.UID)
	if err == nil {
		in.repair(ref, stream.RunUpdate{Run: run, Revision: revision}, "The status had fallen behind the run; it is written again")
		return true, nil
	}
	if !errors.Is(err, stream.ErrNotFound) {
		return false, fmt.Errorf("see whether the run of %s exists: %w", ref, err)
	}
	since, err := in.Runs.Since(ctx)
	if err != nil {
		return false, err // it says all
	}
	switch {
	case fresh && perhapsDone(as, since, now, in.RunRetention):
		in.reject(ctx, as, &event.Failure{
			Reason: event.ReasonInternal,
			Message: fmt.Sprintf("created %s ago and without a status: whether it was run meanwhile cannot be told, since records "+
				"are kept for %s; look at what it may have done, and create the ActionSet again if it is still wanted",
				now.Sub(as.CreationTimestamp.Time).Round(time.Hour), in.RunRetention),
		})
		return true, nil
	case !fresh && !in.recoverable(as, since, now):
		in.reject(ctx, as, &event.Failure{
			Reason: event.ReasonInternal,
			Message: "the record of this run was removed before its end was written here, so its outcome is not known; " +
				"look at what it left behind, and create the ActionSet again if it is still wanted",
		})
		return true, nil
	}
	return false, nil
}

// recorded makes the record of an open run anew if it is there no more: nobody is told
// when somebody deletes one, and what works on the run would wait for ever. A store
// that does not answer is asked at the next comparison.
func (in *Intake) recorded(ctx context.Context, ref status.Ref) error {
	as, ok := in.Watcher.Lookup(ref.Namespace, ref.Name)
	if !ok || string(as.UID) != ref.UID || judge(as) != admit {
		return nil
	}
	if known, isKnown := in.Projection.Known(ref.UID); !isKnown || known.State.Terminal() {
		return nil
	}
	if _, _, err := in.Runs.Get(ctx, ref.Namespace, ref.UID); !errors.Is(err, stream.ErrNotFound) {
		return nil
	}
	in.logger(ref).Warn().Msg("the record of the run is gone; it is made anew from the status")
	return in.create(ctx, as)
}

// repair projects a run whose ActionSet does not say where it stands.
func (in *Intake) repair(ref status.Ref, u stream.RunUpdate, message string) {
	in.Metrics.converged(convergedStatus)
	in.logger(ref).Warn().Str("state", string(u.Run.State)).Msg("the ActionSet does not say where its run stands; its status is written again")
	in.Projection.Again(u)
	in.Projection.Notice(ref, corev1.EventTypeWarning, status.ReasonStatusRepaired, message)
}

// remember fills in what the ActionSet's status says of a run whose record was
// lost. The watch leaves outputs out, so the ActionSet is read.
func (in *Intake) remember(ctx context.Context, as *kanister.ActionSet, run *event.Run) error {
	found, err := in.Clients.ActionSets(as.Namespace).Get(ctx, as.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && !kube.NotServed(err), err == nil && found.UID != as.UID:
		return errVanished
	case err != nil:
		return fmt.Errorf("read what the status of %s/%s says of its lost run: %w", as.Namespace, as.Name, err)
	}
	recall(found.Status, run)
	if growsTooLarge(run) {
		for i := range run.Actions {
			if run.Actions[i].Recovered != nil {
				run.Actions[i].Recovered.Artifacts = nil
			}
		}
	}
	return nil
}

var errVanished = errors.New("the ActionSet was deleted meanwhile")

// recall is pure: it puts the recorded status of each action into the run. An
// output of which the status has only an excerpt is left out, so that a later
// phase fails for want of it and does not work with a part of it.
func recall(s *kanister.ActionSetStatus, run *event.Run) {
	if s == nil {
		return
	}
	run.Retry = status.Granted(s) // else its label would ask for it once more
	for i := range run.Actions {
		a := &run.Actions[i]
		if i >= len(s.Actions) || s.Actions[i].Name != a.Spec.Name || s.Actions[i].Blueprint != a.Spec.Blueprint {
			continue
		}
		recorded := s.Actions[i].DeepCopy()
		for j := range recorded.Phases {
			if status.Excerpted(s, recorded, &recorded.Phases[j]) {
				recorded.Phases[j].Output = nil
			}
		}
		if recorded.DeferPhase != nil && status.Excerpted(s, recorded, recorded.DeferPhase) {
			recorded.DeferPhase.Output = nil
		}
		a.Recovered = recorded
	}
}

// leftBehind is how an ActionSet ends that its engine left and nobody goes on with.
const leftBehind = "the engine that began this ActionSet left it, and it was asked to be ended as failed (salvor adopt --fail); " +
	"nothing was run to end it, also not the deferPhase: look at what it left behind"

// tellRecovered says what was made of a lost record, or of the run of another engine.
func (in *Intake) tellRecovered(ref status.Ref, run *event.Run, foreign bool) {
	done, all := 0, 0
	for i := range run.Actions {
		if run.Actions[i].Recovered == nil {
			continue
		}
		for j := range run.Actions[i].Recovered.Phases {
			all++
			if run.Actions[i].Recovered.Phases[j].State == kanister.StateComplete {
				done++
			}
		}
	}
	if foreign {
		in.Projection.Notice(ref, corev1.EventTypeNormal, status.ReasonRunRecovered, fmt.Sprintf(
			"Taken over from another engine, whose status has %d of %d phases complete; the template parameters are resolved anew", done, all))
		return
	}
	in.Projection.Notice(ref, corev1.EventTypeWarning, status.ReasonRunRecovered, fmt.Sprintf(
		"The record of this run was lost with its store; it was made anew from the status, which has %d of %d phases complete", done, all))
}
