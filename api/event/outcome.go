package event

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// HeaderSender is the header of a message on EVENTS that says who sent the event, as
// the ingress authenticated it: a Sender as JSON, percent-encoded. Without it nobody
// was asked.
const HeaderSender = "Salvor-Sender"

// Sender is who sent an event, in the words of Kubernetes' authentication.
type Sender struct {
	User   string              `json:"user"`
	UID    string              `json:"uid,omitempty"`
	Groups []string            `json:"groups,omitempty"`
	Extra  map[string][]string `json:"extra,omitempty"`
}

// Result is what a trigger did with an event.
type Result string

// The results.
const (
	// ResultStarted: the ActionSet was made.
	ResultStarted Result = "started"
	// ResultWaiting: the event waits, alone or with others, for the end of a window,
	// of another ActionSet or for room below the rate limit. Window says where to look.
	ResultWaiting Result = "waiting"
	// ResultRejected: by concurrency, rate limit or loop detection.
	ResultRejected Result = "rejected"
	// ResultRefused: the ActionSet cannot be made of the event or the API server
	// refuses it.
	ResultRefused Result = "refused"
	// ResultForbidden: the sender may not fire the trigger.
	ResultForbidden Result = "forbidden"
)

// Decision is what became of one event: the record under DecisionKey in
// BucketOutcomes. It is written once all triggers have been looked at; nothing is
// written for Salvor's own events.
type Decision struct {
	Namespace string `json:"namespace,omitempty"`
	Source    string `json:"source"`
	ID        string `json:"id"`
	// Sender is the user who sent the event; empty if nobody was asked. What another
	// one sent under the same source and id is decided on its own.
	Sender string    `json:"sender,omitempty"`
	At     time.Time `json:"at"`
	// Triggers that matched; none if nothing did.
	Triggers []TriggerDecision `json:"triggers"`
}

// TriggerDecision is what one trigger did with an event.
type TriggerDecision struct {
	Namespace string `json:"namespace"`
	Trigger   string `json:"trigger"`
	Result    Result `json:"result"`
	// ActionSet that was made, if Result is started.
	ActionSet string `json:"actionSet,omitempty"`
	// Window is the key in BucketOutcomes of the TriggerDecision that follows, if
	// Result is waiting. It is not there while the event waits.
	Window string `json:"window,omitempty"`
	// Reason in words, if nothing was made.
	Reason string `json:"reason,omitempty"`
}

// DecisionKey is the key in BucketOutcomes of what became of an event that was
// addressed to a namespace, "" for all. sender is the user who sent it, "" if nobody
// was asked: without it, one who may fire nothing could answer in advance for one who
// may.
func DecisionKey(namespace, source, id, sender string) string {
	return "event." + digest(namespace, source, id, sender)
}

// WindowKey is the key in BucketOutcomes of what became of events that waited
// together: of one trigger (by UID), one key, and the first of them.
func WindowKey(trigger, key, firstSource, firstID string) string {
	return "window." + digest(trigger, key, firstSource, firstID)
}

// GateKey is the key in BucketTriggers of what waits at a trigger (by UID) with one
// key.
func GateKey(trigger, key string) string {
	return "gate." + token(trigger) + "." + digest(key)
}

// BaselineKey is the key in BucketTriggers of the values that a trigger (by UID)
// has seen at objects.
func BaselineKey(trigger string) string { return "seen." + token(trigger) }

// BaselineKeys matches every BaselineKey.
func BaselineKeys() string { return "seen.>" }

// ReplayKey is the key in LEASES that says that a signature was used.
func ReplayKey(sender, signature string) string { return "replay." + digest(sender, signature) }

// digest is a hash of parts, in which their boundaries count.
func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		_, _ = h.Write([]byte(part)) // never fails
		_, _ = h.Write([]byte{0x1f})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Outcome is the answer to who waits for an event: the Decision, with what became of
// the runs. It is not stored.
type Outcome struct {
	Namespace string `json:"namespace,omitempty"`
	Source    string `json:"source"`
	ID        string `json:"id"`
	// Runs that the event caused, or would have; none if nothing matched.
	Runs []OutcomeRun `json:"runs"`
	// Done says that nothing will change any more.
	Done bool `json:"done"`
}

// OutcomeRun is one run that an event caused.
type OutcomeRun struct {
	TriggerDecision

	// State of the ActionSet, in Kanister's words, and cancelled. Empty while there is
	// no ActionSet. deleted if it is gone.
	State string `json:"state,omitempty"`
	// Percent of the phases that have ended well.
	Percent string `json:"percent,omitempty"`
	// Phase that runs.
	Phase string `json:"phase,omitempty"`
	// Error of the ActionSet, in words.
	Error string `json:"error,omitempty"`
}

// States of an OutcomeRun that Kanister has no word for.
const (
	OutcomeCancelled = "cancelled"
	OutcomeDeleted   = "deleted"
)

// Ended reports whether nothing about the run will change any more.
func (r *OutcomeRun) Ended() bool {
	switch r.Result {
	case ResultRejected, ResultRefused, ResultForbidden:
		return true
	case ResultWaiting:
		return false
	case ResultStarted:
	}
	switch r.State {
	case string(StateComplete), string(StateFailed), OutcomeCancelled, OutcomeDeleted:
		return true
	}
	return false
}
