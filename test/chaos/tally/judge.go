package tally

import (
	"fmt"
	"slices"
	"strings"
)

// interrupted reports whether the failure of a step says that it may not be run
// again, because its process or the record of its run was lost.
func interrupted(message string) bool {
	return strings.Contains(message, "was interrupted") || strings.Contains(message, "may not be run again")
}

// Verdict is what is wrong with a run. The zero value is good.
type Verdict struct {
	Lost, Duplicated, Stuck, Wrong, Orphans bool
	// Interrupted is no fault: a step that may run only once lost its process, or
	// the cluster failed under it, and the run says so.
	Interrupted bool
	// Repeated is no fault: the store was lost while the step was under way, and
	// it was done again.
	Repeated bool
	// Why says each fault in words.
	Why []string
}

// Bad reports whether there is a fault.
func (v *Verdict) Bad() bool { return v.Lost || v.Duplicated || v.Stuck || v.Wrong || v.Orphans }

func (v *Verdict) add(flag *bool, format string, args ...any) {
	*flag = true
	v.Why = append(v.Why, fmt.Sprintf(format, args...))
}

// Judge says what is wrong with a run.
func Judge(r *Run) Verdict {
	var v Verdict
	if !r.Accepted {
		return v
	}
	if len(r.Left) > 0 {
		v.add(&v.Orphans, "left behind: %s", strings.Join(r.Left, ", "))
	}
	if r.End == nil && r.Plan.Cancelled && len(r.Lines) == 0 {
		return v // it was taken back before it was taken in
	}
	if r.End == nil {
		v.add(&v.Lost, "accepted, but there is no record of it")
		return v
	}
	if !r.End.State.Ended() {
		v.add(&v.Stuck, "still %s", r.End.State)
	}
	v.Interrupted = r.End.State == Failed && (interrupted(r.End.Message) || r.Plan.Unsteady && outage(r.End.Message))
	judgeEnd(&v, r)
	judgeSteps(&v, r)
	for _, missed := range r.Missed {
		if r.End.State == Complete {
			v.add(&v.Lost, "%s", missed)
		}
	}
	return v
}

// judgeEnd compares the end of the run with the plan.
func judgeEnd(v *Verdict, r *Run) {
	want := Complete
	if r.Plan.Fails != "" {
		want = Failed
	}
	switch {
	case !r.End.State.Ended(), r.End.State == want, v.Interrupted && mayBeInterrupted(&r.Plan):
	case r.Plan.Cancelled && (r.End.State == Cancelled || r.End.State == Failed && strings.Contains(r.End.Message, "cancel")):
	default:
		v.add(&v.Wrong, "ended %s and not %s: %s", r.End.State, want, r.End.Message)
	}
	if step := r.Plan.Artifact; step != "" && r.End.State == Complete {
		for _, line := range r.Lines {
			if line.Step == step && line.By == r.End.By {
				return
			}
		}
		v.add(&v.Lost, "the artifact says %q, which no effect of step %s has", r.End.By, step)
	}
}

// outages are what a step says that failed because the cluster did.
func outage(message string) bool {
	for _, sign := range []string{
		"the connection was lost", "unable to upgrade connection", "connection refused", "Timeout occurred",
		"StartError", "the server is currently unable", "etcdserver:", "i/o timeout", "unexpected EOF", "connection reset",
	} {
		if strings.Contains(message, sign) {
			return true
		}
	}
	return false
}

func mayBeInterrupted(p *Plan) bool {
	if p.Unsteady {
		return true
	}
	for _, step := range all(p) {
		if step.Once {
			return true
		}
	}
	return false
}

func all(p *Plan) []Step {
	steps := p.Steps
	if p.Defer != nil {
		steps = append(slices.Clip(steps), *p.Defer)
	}
	return steps
}

func judgeSteps(v *Verdict, r *Run) {
	count := map[string]int{}
	seen := map[Line]bool{}
	for _, line := range r.Lines {
		count[line.Step]++
		if seen[line] {
			v.add(&v.Duplicated, "step %s took effect twice by %s", line.Step, line.By)
		}
		seen[line] = true
	}
	ran := false
	for _, step := range all(&r.Plan) {
		if step.Lines == 0 {
			continue
		}
		n := count[step.Name]
		least, most := allowed(r, &step)
		if n < least {
			v.add(&v.Lost, "step %s is %s and has %d effects of %d", step.Name, r.End.Steps[step.Name], n, least)
		}
		switch {
		case n <= most:
		case n == most+1 && excused(r, &step):
			v.Repeated = true
		default:
			v.add(&v.Duplicated, "step %s is %s and has %d effects, more than %d", step.Name, r.End.Steps[step.Name], n, most)
		}
		delete(count, step.Name)
		ran = ran || n > 0
	}
	if d := r.Plan.Defer; d != nil && ran && r.End.State.Ended() && !r.End.Steps[d.Name].Ended() {
		v.add(&v.Lost, "the run has ended and took effect, but its deferPhase %s is %q", d.Name, r.End.Steps[d.Name])
	}
	for name, n := range count {
		v.add(&v.Wrong, "%d effects of step %s, which the run does not have", n, name)
	}
}

// excused tells whether a step may have been done twice, because the store was lost
// and the ActionSet did not say that the step was complete. A step that may run only
// once is excused only if the ActionSet did not yet say that it had begun.
func excused(r *Run, step *Step) bool {
	if r.Wiped == nil {
		return false
	}
	switch r.Wiped.Steps[step.Name] {
	case Complete:
		return false
	case Running, Failed, Cancelled:
		return !step.Once
	case Pending:
	}
	return true
}

// allowed is how many effects a step may have, from how it stands.
func allowed(r *Run, step *Step) (least, most int) {
	switch r.End.Steps[step.Name] {
	case Complete:
		return step.Lines, step.Lines
	case Failed:
		if step.Name == r.Plan.Fails && !r.Plan.Unsteady { // a container that was not started failed too
			return step.Lines, step.Lines
		}
		return 0, step.Lines // the end of the run tells whether it may have failed
	case Running, Cancelled:
		return 0, step.Lines
	case Pending:
	}
	return 0, 0
}
