package emit

import (
	"strings"

	"github.com/salvor-io/salvor/api/event"
)

// progress turns the outcomes of one event into lines for a person. It says what is
// new since the last one it saw.
type progress struct {
	said map[string]string
}

func (p *progress) lines(o *event.Outcome) []string {
	if p.said == nil {
		p.said = map[string]string{}
	}
	var lines []string
	for i := range o.Runs {
		run := &o.Runs[i]
		key, text := run.Namespace+"/"+run.Trigger, describe(run)
		if p.said[key] != text {
			p.said[key] = text
			lines = append(lines, text)
		}
	}
	return lines
}

// open says in one sentence what has not ended.
func (p *progress) open(o *event.Outcome) string {
	var texts []string
	for i := range o.Runs {
		if run := &o.Runs[i]; !ended(run) {
			texts = append(texts, describe(run))
		}
	}
	if len(texts) == 0 {
		return "not all triggers had decided on event " + o.ID
	}
	return strings.Join(texts, "; ")
}

func ended(run *event.OutcomeRun) bool {
	switch run.Result {
	case event.ResultRejected, event.ResultRefused, event.ResultForbidden:
		return true
	case event.ResultWaiting:
		return false
	case event.ResultStarted:
	}
	switch run.State {
	case "complete", "failed", event.OutcomeCancelled, event.OutcomeDeleted:
		return true
	}
	return false
}

// describe says in one line how far a run is.
func describe(run *event.OutcomeRun) string {
	text := "trigger " + run.Namespace + "/" + run.Trigger + ": "
	switch run.Result {
	case event.ResultStarted:
		return text + describeRun(run)
	case event.ResultWaiting:
		text += "waits for its window or for another ActionSet to end"
	case event.ResultRejected, event.ResultRefused, event.ResultForbidden:
		text += string(run.Result)
	default:
		text += string(run.Result)
	}
	if run.Reason != "" {
		text += ": " + oneLine(run.Reason)
	}
	return text
}

func describeRun(run *event.OutcomeRun) string {
	state := run.State
	if state == "" {
		state = "not started yet"
	}
	text := "ActionSet " + run.Namespace + "/" + run.ActionSet + " " + state
	if run.State == "running" {
		if run.Percent != "" && run.Percent != "0" {
			text += " " + strings.TrimSuffix(run.Percent, "%") + "%"
		}
		if run.Phase != "" {
			text += ", phase " + run.Phase
		}
	}
	if why := strings.TrimPrefix(oneLine(run.Error), run.State+": "); why != "" {
		text += ": " + why
	}
	return text
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
