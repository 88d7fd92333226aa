package actionset

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/status"
	"github.com/salvor-io/salvor/internal/stream"
)

// Why a retry is refused, in words that say what to do.
const (
	refusedNoRecord = "nothing is kept of this run that could go on: it never began, or its record was removed after the time " +
		"for which records are kept; create the ActionSet anew"
	refusedComplete = "the run is complete; create a new ActionSet to do it again"
	refusedCancel   = "the annotation " + salvor.AnnotationCancel + " is still there and would end the run again; remove it, " +
		"then ask with a new token (salvor retry does both)"
)

// retry looks at an ActionSet that ended and asks to go on.
func (in *Intake) retry(ctx context.Context, ref status.Ref) error {
	as, ok := in.Watcher.Asking(ref.Namespace, ref.Name)
	if !ok || string(as.UID) != ref.UID || as.DeletionTimestamp != nil || !status.Terminal(state(as)) {
		return nil
	}
	token := as.Labels[salvor.LabelRetry]
	if _, answered := status.Answered(as.Status, token); token == "" || answered {
		return nil
	}
	if last := in.lately(ref); last.kind == event.ReportRetry && last.token == token {
		return nil
	}
	run, revision, err := in.Runs.Get(ctx, ref.Namespace, ref.UID)
	switch {
	case errors.Is(err, stream.ErrNotFound):
		return in.refuse(ctx, as, token, refusedNoRecord)
	case err != nil:
		return err // it says all
	case run.Retry != nil && run.Retry.Token == token:
		// It was granted and the ActionSet does not say so.
		return in.behind(ctx, ref, stream.RunUpdate{Run: run, Revision: revision})
	case !run.State.Terminal():
		return nil // its end is not written yet
	case run.State == event.StateComplete:
		return in.refuse(ctx, as, token, refusedComplete)
	}
	if _, cancelled := as.Annotations[salvor.AnnotationCancel]; cancelled {
		return in.refuse(ctx, as, token, refusedCancel)
	}
	return in.send(ctx, ref, &event.Report{Kind: event.ReportRetry, Token: token}, run.Traceparent)
}

// refuse answers a request for a retry. The status of an ActionSet that another
// engine ran is not ours to write.
func (in *Intake) refuse(ctx context.Context, as *kanister.ActionSet, token, why string) error {
	ref := refOf(as)
	if !ours(as) {
		if _, again := in.told.LoadOrStore(ref.UID+"/"+token, true); !again {
			in.Projection.Notice(ref, corev1.EventTypeWarning, status.ReasonRetryRefused,
				"Salvor has not run this ActionSet, so it cannot go on with it; create it anew")
		}
		return nil
	}
	if err := in.Projection.Refuse(ctx, ref, token, why); err != nil {
		return fmt.Errorf("answer the request for a retry of %s: %w", ref, err)
	}
	in.logger(ref).Info().Str("token", token).Str("reason", why).Msg("retry refused")
	return nil
}

// behind projects a run again, unless its projection is under way.
func (in *Intake) behind(_ context.Context, ref status.Ref, u stream.RunUpdate) error {
	known, ok := in.Projection.Known(ref.UID)
	if ok && (known.Settled.IsZero() || in.Clock.Since(known.Settled) < settle) {
		if !known.Settled.IsZero() {
			in.queue.AddAfter(item{ref: ref, see: seeRetry}, settle)
		}
		return nil
	}
	in.repair(ref, u, "The status had fallen behind the run, which was asked to go on; it is written again")
	return nil
}
