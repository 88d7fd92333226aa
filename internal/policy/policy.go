package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// Prefix of all annotations that Salvor reads.
const Prefix = "salvor.io/"

// The annotations, without what they may be followed by: an action, or an action
// and a phase.
const (
	Attempts      = Prefix + "attempts"
	Backoff       = Prefix + "backoff"
	BackoffLimit  = Prefix + "backoff-limit"
	Timeout       = Prefix + "timeout"
	OnInterrupt   = Prefix + "on-interrupt"
	ActionTimeout = Prefix + "action-timeout"
)

// Defaults and bounds.
const (
	DefaultBackoff      = 10 * time.Second
	DefaultBackoffLimit = 10 * time.Minute
	// InterruptAttempts are the attempts when only OnInterrupt is set, to retry.
	InterruptAttempts = 3
	MaxAttempts       = 100
	// MaxDuration bounds all times.
	MaxDuration = 30 * 24 * time.Hour
)

// DeferPhase stands for a deferPhase without a name.
const DeferPhase = "deferPhase"

// Action is what holds for one action of a run. A nil policy is one attempt without
// a time limit.
type Action struct {
	// Timeout of the core phases together; 0 is none.
	Timeout time.Duration
	// Phases in the order of the blueprint.
	Phases []*event.Policy
	// Defer is for the deferPhase.
	Defer *event.Policy
}

// Input is what the policy of one action is made of.
type Input struct {
	// ActionSet and Blueprint are the annotations of the two objects.
	ActionSet, Blueprint map[string]string
	// Actions are those of the blueprint. Names in its annotations are looked up
	// in it.
	Actions map[string]*kanister.BlueprintAction
	// Asked are the names of the actions that the ActionSet runs. Its annotations
	// may name them, also when they are of other blueprints, whose phases are then
	// not looked at here. Nil means those of Actions.
	Asked []string
	// Action is the one whose policy is wanted.
	Action string
}

// Error says what is wrong with one annotation.
type Error struct {
	// Object is ActionSet or Blueprint.
	Object string
	// Annotation is its name, Value what it says.
	Annotation, Value string
	// Message says what is wrong and what to do.
	Message string
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("annotation %s=%q of the %s: %s", e.Annotation, e.Value, e.Object, e.Message)
}

// For returns the policy of the action, or all that is wrong with the annotations;
// every error is an *Error.
func For(in Input) (Action, []error) {
	errs := append(in.check("ActionSet", in.ActionSet), in.check("Blueprint", in.Blueprint)...)
	if len(errs) > 0 {
		return Action{}, errs
	}
	action := in.Actions[in.Action]
	if action == nil {
		return Action{}, nil // the caller has better words for it
	}
	a := Action{}
	if value, ok := in.find(ActionTimeout, ""); ok {
		a.Timeout, _ = time.ParseDuration(value) // checked above
	}
	for i := range action.Phases {
		a.Phases = append(a.Phases, in.policy(action.Phases[i].Name))
	}
	if action.DeferPhase != nil {
		a.Defer = in.policy(deferName(action.DeferPhase))
	}
	return a, nil
}

// CheckBlueprint returns all that is wrong with the annotations of a blueprint.
func CheckBlueprint(bp *kanister.Blueprint) []error {
	in := Input{Blueprint: bp.Annotations, Actions: bp.Actions}
	return in.check("Blueprint", bp.Annotations)
}

// policy of a phase whose annotations are known to be right; nil for the default.
func (in Input) policy(phase string) *event.Policy {
	attempts, _ := in.find(Attempts, phase)
	interrupt, _ := in.find(OnInterrupt, phase)
	p := &event.Policy{
		Attempts:    1,
		Timeout:     in.duration(Timeout, phase, 0),
		OnInterrupt: event.OnInterrupt(interrupt),
	}
	switch n, err := strconv.Atoi(attempts); {
	case err == nil:
		p.Attempts = n
	case p.OnInterrupt == event.InterruptRetries:
		p.Attempts = InterruptAttempts
	}
	if p.Attempts == 1 {
		if p.Timeout.Duration == 0 {
			return nil // what else it says has no meaning
		}
		return p
	}
	p.Backoff = in.duration(Backoff, phase, DefaultBackoff)
	p.BackoffLimit = in.duration(BackoffLimit, phase, max(DefaultBackoffLimit, p.Backoff.Duration))
	// Said in two places: the later attempts wait as long as the first.
	p.BackoffLimit.Duration = max(p.BackoffLimit.Duration, p.Backoff.Duration)
	return p
}

func (in Input) duration(key, phase string, otherwise time.Duration) metav1.Duration {
	value, ok := in.find(key, phase)
	if !ok {
		return metav1.Duration{Duration: otherwise}
	}
	d, _ := time.ParseDuration(value) // checked before
	return metav1.Duration{Duration: d}
}

// find returns what is said under the key, the more special form first.
func (in Input) find(key, phase string) (string, bool) {
	forms := []string{key + "." + in.Action, key}
	if phase != "" {
		forms = slices.Insert(forms, 0, key+"."+in.Action+"."+phase)
	}
	for _, annotations := range []map[string]string{in.ActionSet, in.Blueprint} {
		for _, form := range forms {
			if value, ok := annotations[form]; ok {
				return value, true
			}
		}
	}
	return "", false
}

func deferName(p *kanister.BlueprintPhase) string {
	if p.Name == "" {
		return DeferPhase
	}
	return p.Name
}

// phases are the names of the action's phases.
func phases(action *kanister.BlueprintAction) []string {
	var names []string
	for i := range action.Phases {
		names = append(names, action.Phases[i].Name)
	}
	if action.DeferPhase != nil {
		names = append(names, deferName(action.DeferPhase))
	}
	return names
}

func (in Input) asked() []string {
	if in.Asked != nil {
		return in.Asked
	}
	return slices.Sorted(maps.Keys(in.Actions))
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
