package ingress

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/bridge/access"
	"github.com/salvor-io/salvor/bridge/status"
	"github.com/salvor-io/salvor/internal/stream"
)

// Outcomes says what became of events.
type Outcomes struct {
	// Decisions are what triggers did with events.
	Decisions Decisions
	// ActionSet returns an ActionSet as it is now, or an error of NotFound.
	ActionSet func(ctx context.Context, namespace, name string) (*kanister.ActionSet, error)
}

// Decisions are what triggers did with events; *stream.Outcomes is it. Both methods
// return stream.ErrNotFound for what is not decided yet.
type Decisions interface {
	Decision(ctx context.Context, namespace, source, id, sender string) (*event.Decision, uint64, error)
	Window(ctx context.Context, window string) (*event.TriggerDecision, uint64, error)
}

// asked is an event whose outcome somebody wants to know.
type asked struct {
	namespace, source, id string
	sender                *event.Sender
}

// errUndecided: nothing is known of the event.
var errUndecided = errors.New("undecided")

// decision is what became of an event that who asks sent or, if there is none, of one
// that nobody was asked about. Who else sent one of that name, and what it started, is
// neither told nor taken for the answer.
func (s *Server) decision(ctx context.Context, a asked) (*event.Decision, error) {
	senders := []string{""}
	if a.sender != nil {
		senders = []string{a.sender.User, ""}
	}
	for _, sender := range senders {
		decision, _, err := s.Outcomes.Decisions.Decision(ctx, a.namespace, a.source, a.id, sender)
		if err == nil {
			return decision, nil
		}
		if !errors.Is(err, stream.ErrNotFound) {
			return nil, fmt.Errorf("what became of event %s: %w", a.id, err)
		}
	}
	return nil, errUndecided
}

// look returns what became of an event so far; errUndecided if nothing is known.
func (s *Server) look(ctx context.Context, a asked) (*event.Outcome, error) {
	decision, err := s.decision(ctx, a)
	if err != nil {
		return nil, err
	}
	out := &event.Outcome{Namespace: a.namespace, Source: a.source, ID: a.id, Runs: []event.OutcomeRun{}, Done: true}
	for i := range decision.Triggers {
		run, err := s.run(ctx, a.sender, decision.Triggers[i])
		if err != nil {
			return nil, err
		}
		out.Runs = append(out.Runs, run)
		out.Done = out.Done && run.Ended()
	}
	return out, nil
}

// run is one trigger's part of an outcome.
func (s *Server) run(ctx context.Context, sender *event.Sender, decision event.TriggerDecision) (event.OutcomeRun, error) {
	if s.Authorizer != nil && decision.Result != event.ResultForbidden {
		may, err := s.Authorizer.Allowed(ctx, sender, access.Fire(decision.Namespace, decision.Trigger))
		if err != nil {
			return event.OutcomeRun{}, err // it says what was asked
		}
		if !may {
			// What others' events start is not for the eyes of who may not start it.
			return event.OutcomeRun{TriggerDecision: event.TriggerDecision{
				Namespace: decision.Namespace, Trigger: decision.Trigger, Result: event.ResultForbidden,
				Reason: fmt.Sprintf("%s may not fire this trigger", sender.User),
			}}, nil
		}
	}
	run := event.OutcomeRun{TriggerDecision: decision}
	if decision.Result == event.ResultWaiting && decision.Window != "" {
		settled, _, err := s.Outcomes.Decisions.Window(ctx, decision.Window)
		switch {
		case err == nil:
			run.TriggerDecision = *settled
			run.Window = decision.Window
		case !errors.Is(err, stream.ErrNotFound):
			return run, fmt.Errorf("what became of %s: %w", decision.Window, err)
		}
	}
	if run.Result != event.ResultStarted || run.ActionSet == "" {
		return run, nil
	}
	as, err := s.Outcomes.ActionSet(ctx, run.Namespace, run.ActionSet)
	switch {
	case apierrors.IsNotFound(err):
		run.State = event.OutcomeDeleted
	case err != nil:
		return run, fmt.Errorf("look at ActionSet %s/%s: %w", run.Namespace, run.ActionSet, err)
	default:
		describe(&run, as)
	}
	return run, nil
}

// describe fills in where the ActionSet stands.
func describe(run *event.OutcomeRun, as *kanister.ActionSet) {
	run.State = string(kanister.StatePending)
	if as.Status == nil {
		return
	}
	if as.Status.State != "" {
		run.State = string(as.Status.State)
	}
	if status.Terminal(as.Status.State) && slices.ContainsFunc(as.Status.Conditions, func(c metav1.Condition) bool {
		return c.Type == status.ConditionCancelled && c.Status == metav1.ConditionTrue
	}) {
		run.State = event.OutcomeCancelled
	}
	run.Percent = as.Status.Progress.PercentCompleted
	run.Phase = as.Status.Progress.RunningPhase
	run.Error = as.Status.Error.Message
}

// tag is the ETag of an outcome.
func tag(o *event.Outcome) string {
	text, err := json.Marshal(o)
	if err != nil {
		return "" // it has text and numbers only
	}
	sum := sha256.Sum256(text)
	return `"` + hex.EncodeToString(sum[:12]) + `"`
}
