package event

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// LifecycleTypes are the types of the lifecycle events, in the order in which they
// are documented.
func LifecycleTypes() []string {
	return []string{TypeRunCompleted, TypeRunFailed, TypeRunCancelled, TypePhaseComplete, TypePhaseFailed}
}

// Bounds of a Lifecycle in bytes: of what it lists, roughly, and of one name. What is
// over them is left out and Truncated is set.
const (
	LifecycleLimit = 48 << 10
	LifecycleName  = 253
)

// Lifecycle is the data of a lifecycle event: how a run or a phase ended. It names
// things and holds no output, artifact or option, so there is nothing secret in it.
type Lifecycle struct {
	// UID of the run, which is that of its ActionSet.
	UID string `json:"uid"`
	// Namespace of the ActionSet.
	Namespace string `json:"namespace"`
	// ActionSet is the name of the ActionSet.
	ActionSet string `json:"actionSet"`
	// State of what ended: the run, or the phase if one is named.
	State State `json:"state"`
	// Trigger is the name of the ActionTrigger that made the ActionSet.
	Trigger string `json:"trigger,omitempty"`
	// Prunes is the ActionSet whose data the run removes, by the retention of a
	// trigger.
	Prunes string `json:"prunes,omitempty"`
	// Chain holds the UIDs of the ActionTriggers that led to the run, oldest first,
	// separated by commas.
	Chain string `json:"chain,omitempty"`
	// Action is the name of the phase's action; of a run, that of its first action.
	Action string `json:"action,omitempty"`
	// Blueprint is the name of that action's blueprint.
	Blueprint string `json:"blueprint,omitempty"`
	// Object that the action is done to.
	Object *LifecycleObject `json:"object,omitempty"`
	// Phase is the name of the phase; empty in the event of a run, and for a
	// deferPhase without a name.
	Phase string `json:"phase,omitempty"`
	// Kind of the phase; empty in the event of a run.
	Kind PhaseKind `json:"kind,omitempty"`
	// Attempt of the phase that ended it; empty in the event of a run.
	Attempt int `json:"attempt,omitempty"`
	// Failure says why it did not end well.
	Failure *Failure `json:"failure,omitempty"`
	// Actions of the run with their phases; only in the event of a run.
	Actions []LifecycleAction `json:"actions,omitempty"`
	// CreatedAt is when the run was accepted; only in the event of a run.
	CreatedAt *time.Time `json:"createdAt,omitempty"`
	// StartedAt is when the first action, or the phase's last attempt, began; not
	// there if nothing did.
	StartedAt *time.Time `json:"startedAt,omitempty"`
	// EndedAt is when it ended.
	EndedAt *time.Time `json:"endedAt,omitempty"`
	// Round counts how often the run was asked to go on after it had ended.
	Round int `json:"round,omitempty"`
	// Truncated says that not all actions, phases or artifacts are listed, or that a
	// name was cut.
	Truncated bool `json:"truncated,omitempty"`
}

// LifecycleObject names what an action is done to.
type LifecycleObject struct {
	// Kind as in the ActionSet, for example StatefulSet.
	Kind string `json:"kind,omitempty"`
	// Namespace of the object.
	Namespace string `json:"namespace,omitempty"`
	// Name of the object.
	Name string `json:"name,omitempty"`
}

// LifecycleAction is one action of a run that ended.
type LifecycleAction struct {
	// Name of the action in the blueprint.
	Name string `json:"name"`
	// Blueprint is the name of the blueprint.
	Blueprint string `json:"blueprint,omitempty"`
	// Object that the action was done to.
	Object *LifecycleObject `json:"object,omitempty"`
	// State in which the action ended.
	State State `json:"state"`
	// Phases in order, the deferPhase last.
	Phases []LifecyclePhase `json:"phases,omitempty"`
	// Artifacts are the names of the output artifacts.
	Artifacts []string `json:"artifacts,omitempty"`
	// StartedAt is when the action began.
	StartedAt *time.Time `json:"startedAt,omitempty"`
	// EndedAt is when the action ended.
	EndedAt *time.Time `json:"endedAt,omitempty"`
}

// LifecyclePhase is one phase of a run that ended.
type LifecyclePhase struct {
	// Name as in the blueprint; a deferPhase may have none.
	Name string `json:"name,omitempty"`
	// Kind of the phase.
	Kind PhaseKind `json:"kind"`
	// Func is the Kanister function.
	Func string `json:"func,omitempty"`
	// State in which the phase ended; pending if it never began.
	State State `json:"state"`
	// Attempt that was the last one; 0 if the phase never began.
	Attempt int `json:"attempt,omitempty"`
	// Reason for which it failed, a word.
	Reason Reason `json:"reason,omitempty"`
	// StartedAt is when the last attempt began.
	StartedAt *time.Time `json:"startedAt,omitempty"`
	// EndedAt is when the phase ended.
	EndedAt *time.Time `json:"endedAt,omitempty"`
}

// Told is a lifecycle event that is to be made: NewLifecycleEvent takes its parts.
type Told struct {
	Type, ID  string
	At        time.Time
	Lifecycle Lifecycle
}

// RunEnded returns the event of the run's end, and false while it has none. Its id
// is the same whoever tells it, and another one for each round.
func RunEnded(run *Run) (Told, bool) {
	var typ string
	failure := run.Failure
	switch run.State {
	case StateComplete:
		typ = TypeRunCompleted
	case StateFailed:
		typ = TypeRunFailed
	case StateCancelled:
		typ = TypeRunCancelled
		if failure == nil && run.Cancel != nil {
			failure = &Failure{Reason: ReasonCancelled, Message: run.Cancel.Reason}
		}
	case StatePending, StateRunning:
		return Told{}, false
	}
	l := lifecycleOf(run, run.State, failure)
	id := run.UID + "." + string(run.State)
	if run.Retry != nil {
		id += ".r" + strconv.Itoa(run.Retry.Round)
	}
	var c cutter
	for i := range run.Actions {
		if started := run.Actions[i].StartedAt; started != nil && (l.StartedAt == nil || started.Before(*l.StartedAt)) {
			l.StartedAt = utc(started)
		}
		if !c.full() {
			l.Actions = append(l.Actions, c.action(&run.Actions[i]))
		}
	}
	if len(run.Actions) > 0 {
		l.Action, l.Blueprint, l.Object = l.Actions[0].Name, l.Actions[0].Blueprint, l.Actions[0].Object
	}
	l.CreatedAt, l.EndedAt = utc(&run.CreatedAt), utc(&run.UpdatedAt)
	l.Truncated = c.cut
	return Told{Type: typ, ID: id, At: run.UpdatedAt, Lifecycle: l}, true
}

// PhaseEnded returns the event of a phase's end, and false while it has none. The
// key names its last attempt.
func PhaseEnded(run *Run, k Key, phase *Phase) (Told, bool) {
	var typ string
	switch phase.State {
	case StateComplete:
		typ = TypePhaseComplete
	case StateFailed, StateCancelled:
		typ = TypePhaseFailed
	case StatePending, StateRunning:
		return Told{}, false
	}
	var c cutter
	spec := &run.Actions[k.Action].Spec
	l := lifecycleOf(run, phase.State, phase.Failure)
	l.Action, l.Blueprint, l.Object = c.name(spec.Name), c.name(spec.Blueprint), c.object(&run.Actions[k.Action])
	l.Phase, l.Kind, l.Attempt = c.name(phase.Name), k.Kind, k.Attempt
	l.StartedAt, l.EndedAt = utc(phase.StartedAt), utc(phase.EndedAt)
	l.Truncated = c.cut
	told := Told{Type: typ, ID: k.String() + "." + string(phase.State), At: run.UpdatedAt, Lifecycle: l}
	if phase.EndedAt != nil { // else it was taken over from a status
		told.At = *phase.EndedAt
	}
	return told, true
}

func lifecycleOf(run *Run, state State, failure *Failure) Lifecycle {
	l := Lifecycle{
		UID: run.UID, Namespace: run.Namespace, ActionSet: run.Name, State: state,
		Trigger: run.Labels[salvor.LabelTrigger], Prunes: run.Labels[salvor.LabelPrunes], Chain: run.Annotations[salvor.AnnotationChain],
	}
	if failure != nil {
		l.Failure = &Failure{Reason: failure.Reason, Message: cut(failure.Message, MessageLimit)}
	}
	if run.Retry != nil {
		l.Round = run.Retry.Round
	}
	return l
}

// cutter keeps what users wrote within bounds and remembers that it had to.
type cutter struct {
	cut   bool
	spent int
}

// entryCost is about what an entry of a list takes besides its names.
const entryCost = 192

// full reports whether nothing more may be listed; something is left out then.
func (c *cutter) full() bool {
	if c.spent < LifecycleLimit {
		c.spent += entryCost
		return false
	}
	c.cut = true
	return true
}

func (c *cutter) name(text string) string {
	short := cut(text, LifecycleName)
	c.cut = c.cut || short != text
	c.spent += len(short)
	return short
}

func (c *cutter) object(a *Action) *LifecycleObject {
	o := &a.Spec.Object
	if o.Kind == "" && o.Name == "" && o.Namespace == "" {
		return nil
	}
	return &LifecycleObject{Kind: c.name(o.Kind), Namespace: c.name(o.Namespace), Name: c.name(o.Name)}
}

func (c *cutter) action(a *Action) LifecycleAction {
	l := LifecycleAction{
		Name: c.name(a.Spec.Name), Blueprint: c.name(a.Spec.Blueprint), Object: c.object(a), State: a.State,
		StartedAt: utc(a.StartedAt), EndedAt: utc(a.EndedAt),
	}
	for i := range a.Phases {
		if c.full() {
			break
		}
		l.Phases = append(l.Phases, c.phase(KindCore, &a.Phases[i]))
	}
	if a.DeferPhase != nil && !c.full() {
		l.Phases = append(l.Phases, c.phase(KindDefer, a.DeferPhase))
	}
	for _, name := range slices.Sorted(maps.Keys(a.Artifacts)) {
		if c.full() {
			break
		}
		l.Artifacts = append(l.Artifacts, c.name(name))
	}
	return l
}

func (c *cutter) phase(kind PhaseKind, p *Phase) LifecyclePhase {
	l := LifecyclePhase{
		Name: c.name(p.Name), Kind: kind, Func: c.name(p.Func), State: p.State, Attempt: p.Attempt,
		StartedAt: utc(p.StartedAt), EndedAt: utc(p.EndedAt),
	}
	if p.Failure != nil {
		l.Reason = p.Failure.Reason
	}
	return l
}

// cut shortens text to at most limit bytes, without breaking a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const mark = "…"
	end := limit - len(mark)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}

// attribute is a user's text as the value of an extension, which holds no control
// characters and no space at its ends.
func attribute(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text))
}

func utc(t *time.Time) *time.Time {
	if t == nil || t.IsZero() {
		return nil
	}
	at := t.UTC()
	return &at
}
