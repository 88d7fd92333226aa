package wait

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// Progress turns a sequence of states of one ActionSet into lines for a person.
// States may be skipped: it says what is new since the last one it saw.
type Progress struct {
	said map[string]string
}

// Lines returns what is new in the status, in the order of the actions and
// phases. The state of the whole comes first while it runs and last when it has
// ended.
func (p *Progress) Lines(as *kanister.ActionSet) []string {
	if p.said == nil {
		p.said = map[string]string{}
	}
	status := as.Status
	if status == nil {
		status = &kanister.ActionSetStatus{}
	}
	state := string(status.State)
	if state == "" {
		state = "not started yet"
	}
	var lines []string
	if !Ended(status.State) {
		lines = p.say(lines, "", state)
		lines = p.conditions(lines, as)
	}
	for i := range status.Actions {
		lines = p.action(lines, i, &status.Actions[i])
	}
	if Ended(status.State) {
		lines = p.say(lines, "", state)
	}
	return lines
}

// conditions says what holds a run up, and what it goes on after.
func (p *Progress) conditions(lines []string, as *kanister.ActionSet) []string {
	for _, c := range []struct{ typ, words string }{{"Retried", "goes on"}, {"Paused", "paused"}, {"Retrying", "retrying"}} {
		key := "condition/" + c.typ
		found := Condition(as, c.typ)
		switch {
		case found == nil && p.said[key] != "" && c.typ == "Paused":
			lines = append(lines, "resumed")
			delete(p.said, key)
		case found == nil:
			delete(p.said, key)
		default:
			lines = p.say(lines, key, c.words+": "+strings.Join(strings.Fields(found.Message), " "))
		}
	}
	return lines
}

func (p *Progress) action(lines []string, index int, action *kanister.ActionStatus) []string {
	who := action.Name
	if action.Object.Name != "" {
		who += " " + action.Object.Name
	}
	for i := range action.Phases {
		phase := &action.Phases[i]
		lines = p.phase(lines, fmt.Sprintf("%d/%d", index, i), who+": "+phase.Name, phase)
	}
	if phase := action.DeferPhase; phase != nil {
		name := "deferPhase"
		if phase.Name != "" {
			name += " " + phase.Name
		}
		lines = p.phase(lines, fmt.Sprintf("%d/defer", index), who+": "+name, phase)
	}
	return lines
}

func (p *Progress) phase(lines []string, key, label string, phase *kanister.Phase) []string {
	switch phase.State {
	case kanister.StateRunning:
		text := label + " running"
		if percent := phase.Progress.PercentCompleted; percent != "" && percent != "0" {
			text += " " + percent + "%"
		}
		return p.say(lines, key, text)
	case kanister.StateComplete, kanister.StateFailed:
		return p.say(lines, key, label+" "+string(phase.State))
	case kanister.StatePending:
	}
	return lines
}

func (p *Progress) say(lines []string, key, text string) []string {
	if p.said[key] == text {
		return lines
	}
	p.said[key] = text
	return append(lines, text)
}

// Outcome is how an ActionSet ended, in a word.
func Outcome(as *kanister.ActionSet) string {
	if Condition(as, "Cancelled") != nil {
		return "cancelled"
	}
	if as.Status == nil {
		return ""
	}
	return string(as.Status.State)
}

// Condition returns the condition of a type that is True, or nil.
func Condition(as *kanister.ActionSet, typ string) *metav1.Condition {
	if as.Status == nil {
		return nil
	}
	for i := range as.Status.Conditions {
		if c := &as.Status.Conditions[i]; c.Type == typ && c.Status == metav1.ConditionTrue {
			return c
		}
	}
	return nil
}

// Ended reports whether nothing follows the state by itself.
func Ended(s kanister.State) bool {
	switch s {
	case kanister.StateComplete, kanister.StateFailed:
		return true
	case kanister.StatePending, kanister.StateRunning:
		return false
	}
	return false
}
