package actionset

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/status"
	"github.com/salvor-io/salvor/internal/failpoint"
	"github.com/salvor-io/salvor/internal/stream"
)

const (
	// ReasonDeleted is the reason of the cancel of a run whose ActionSet was
	// deleted.
	ReasonDeleted = "ActionSet deleted"
	// noReason stands for the empty value of a request's annotation.
	noReason = "no reason was given"
	// reasonLimit bounds a request's reason, in bytes.
	reasonLimit = 1 << 10
)

// sent is the last request that was sent for a run. The run shows it a moment
// later.
type sent struct {
	kind  event.ReportKind
	token string
	at    time.Time
}

// due is pure: the request that the annotations make and the run does not answer to
// yet, or nothing. last is the request that was sent a short while ago, empty if
// none was: the run is taken to be what it asks for.
func due(annotations map[string]string, known status.Knowledge, last event.ReportKind) (event.ReportKind, string) {
	reason, asked := annotations[salvor.AnnotationCancel]
	switch {
	case known.Cancelling || last == event.ReportCancel:
		return "", ""
	case asked:
		return event.ReportCancel, words(reason)
	}
	paused := known.Paused
	switch last { //nolint:exhaustive // the others change no pause
	case event.ReportPause:
		paused = true
	case event.ReportResume:
		paused = false
	}
	reason, asked = annotations[salvor.AnnotationPause]
	switch {
	case asked && !paused:
		return event.ReportPause, words(reason)
	case !asked && paused:
		return event.ReportResume, ""
	}
	return "", ""
}

// words is the reason of a request, never empty and bounded.
func words(reason string) string {
	reason = strings.TrimSpace(reason)
	if reason == "" {
		return noReason
	}
	if len(reason) > reasonLimit {
		return strings.ToValidUTF8(reason[:reasonLimit], "") + "…"
	}
	return reason
}

// ask sends what the ActionSet asks of its open run, if anything. What was sent
// and shows no effect is looked at again after a while.
func (in *Intake) ask(ctx context.Context, as *kanister.ActionSet, known status.Knowledge) error {
	ref := refOf(as)
	if kind, _ := due(as.Annotations, known, in.lately(ref).kind); kind == "" {
		return nil
	}
	run, _, err := in.Runs.Get(ctx, ref.Namespace, ref.UID)
	if errors.Is(err, stream.ErrNotFound) {
		return nil // the comparison makes it anew
	}
	if err != nil {
		return err // it says all
	}
	// What is known may be old: the record decides.
	now := status.Knowledge{Paused: run.Pause != nil, Cancelling: run.Cancel != nil}
	kind, reason := due(as.Annotations, now, in.lately(ref).kind)
	if kind == "" || run.State.Terminal() {
		return nil
	}
	return in.send(ctx, ref, &event.Report{Kind: kind, Reason: reason}, run.Traceparent)
}

// cancel asks the dispatcher to end the run, if there is one that has not ended.
func (in *Intake) cancel(ctx context.Context, ref status.Ref, known bool) error {
	run, _, err := in.Runs.Get(ctx, ref.Namespace, ref.UID)
	if errors.Is(err, stream.ErrNotFound) {
		if known {
			in.logger(ref).Warn().Msg("the ActionSet was deleted and its run has no record any more; there is nothing to cancel")
		}
		return nil
	}
	if err != nil {
		return err // it says all
	}
	if run.State.Terminal() || run.Cancel != nil || in.lately(ref).kind == event.ReportCancel {
		return nil
	}
	return in.send(ctx, ref, &event.Report{Kind: event.ReportCancel, Reason: ReasonDeleted}, run.Traceparent)
}

// lately is the request that was sent for a run a short while ago, if any.
func (in *Intake) lately(ref status.Ref) sent {
	found, ok := in.sent.Load(ref.UID)
	if !ok {
		return sent{}
	}
	last, ok := found.(sent)
	if !ok || in.Clock.Since(last.at) >= settle {
		return sent{}
	}
	return last
}

// send publishes a request and has the ActionSet looked at again once its effect
// must show.
func (in *Intake) send(ctx context.Context, ref status.Ref, r *event.Report, trace string) error {
	now := in.Clock.Now()
	r.Key, r.At = event.Key{UID: ref.UID, Namespace: ref.Namespace}, now
	before, repeated := in.sent.Load(ref.UID)
	failpoint.Here(failpoint.BridgeBeforeRequest)
	err := in.Reports.Publish(ctx, r, trace)
	failpoint.Here(failpoint.BridgeAfterRequest)
	if err != nil {
		return fmt.Errorf("ask for the %s of the run of %s: %w", r.Kind, ref, err)
	}
	in.sent.Store(ref.UID, sent{kind: r.Kind, token: r.Token, at: now})
	in.Metrics.requested(r.Kind)
	last, _ := before.(sent)
	repeated = repeated && last.kind == r.Kind && last.token == r.Token
	if repeated {
		in.Metrics.converged(convergedRequest)
	}
	if r.Reason == ReasonDeleted {
		in.Metrics.converged(convergedOrphan)
	}
	in.logger(ref).Info().Str("request", string(r.Kind)).Str("reason", r.Reason).Bool("again", repeated).Msg("asked of the run")
	seen := seePresent
	switch {
	case r.Kind == event.ReportRetry && !repeated:
		seen = seeRetry
	case r.Kind == event.ReportRetry:
		return nil // the comparison of everything looks again
	case r.Reason == ReasonDeleted:
		seen = seeGone
	}
	in.queue.AddAfter(item{ref: ref, see: seen}, settle)
	return nil
}

// forget drops what was sent long ago.
func (in *Intake) forget() {
	in.sent.Range(func(uid, found any) bool {
		if last, ok := found.(sent); ok && in.Clock.Since(last.at) > max(in.Resync, settle)*2 {
			in.sent.Delete(uid)
		}
		return true
	})
}
