package retention

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/trigger"
)

// Pauses before a prune that failed is tried again double from backoffMin to
// backoffMax.
const (
	backoffMin = time.Minute
	backoffMax = 6 * time.Hour
)

// mostFailing is how many prunes of a trigger may be failing before no other is
// begun: then it is not the one backup.
const mostFailing = 16

// input is what there is of one trigger: pure data.
type input struct {
	// keep is nil when nothing may be begun: the trigger is gone or suspended, or
	// has no rules.
	keep *salvor.Retention
	zone *time.Location
	now  time.Time
	// slots is how many prunes may be under way at the same time.
	slots int
	// made are the ActionSets that the trigger made, pruning those that remove the data
	// of such.
	made, pruning []seen
	// inUse are the artifacts that ActionSets which have not ended use, with the name
	// of one.
	inUse map[mark]string
}

// kind says what a step does. Each is one write, or can be repeated as a whole.
type kind int

const (
	// begin makes an ActionSet that removes a backup's data.
	begin kind = iota
	// again makes another one, after a failure.
	again
	// remove deletes an ActionSet that no data hang on.
	remove
	// finish deletes an ActionSet whose data are gone, then the one that removed them.
	finish
	// discard deletes an ActionSet that removed data and has nothing left to do.
	discard
)

// step is one thing to do.
type step struct {
	kind kind
	// backup is what it is about; of again and discard it may be missing.
	backup seen
	// prune is the ActionSet that removed the data, or failed to.
	prune seen
}

// plan is what follows from an input.
type plan struct {
	// steps that can be done at once.
	steps []step
	// wanted are steps that remove data, in the order in which to do them, as many as
	// there are slots: whether the data are another's too has to be seen.
	wanted []step
	slots  int
	report report
	// next is when something will be due; zero if only a change makes it so.
	next time.Time
}

// decide says what is to be done about the ActionSets of one trigger.
func decide(in input) plan {
	p := plan{slots: in.slots}
	prunes := map[string][]seen{}
	for _, prune := range in.pruning {
		prunes[prune.ofUID] = append(prunes[prune.ofUID], prune)
	}
	backups := map[string]seen{}
	last := map[string]int{} // backups that are whole, by key
	for _, s := range in.made {
		backups[s.uid] = s
		if s.state == good && len(s.marks) > 0 && !s.going && len(prunes[s.uid]) == 0 {
			last[s.key]++
		}
	}
	var retries []step
	failing := 0
	for _, uid := range sortedKeys(prunes) {
		all := prunes[uid]
		slices.SortFunc(all, func(a, b seen) int { return cmp.Compare(b.attempt, a.attempt) })
		backup, exists := backups[uid]
		for _, old := range all[1:] {
			if old.state != open && !old.going {
				p.steps = append(p.steps, step{kind: discard, prune: old})
			}
		}
		switch top := all[0]; {
		case top.going:
		case top.state == open:
			p.slots--
			p.report.removing++
		case top.state == good && exists && !backup.going:
			p.steps = append(p.steps, step{kind: finish, backup: backup, prune: top})
		case top.state == good:
			p.steps = append(p.steps, step{kind: discard, prune: top})
		default:
			failing++
			if retry, ok := p.retry(in, backup, top, !exists || last[backup.key] > 0); ok {
				retries = append(retries, retry)
			}
		}
	}
	p.surplus(in, func(s *seen) bool { return s.going || len(prunes[s.uid]) > 0 })
	if failing >= mostFailing {
		p.wanted = nil
	}
	p.wanted = append(retries, p.wanted...)
	return p
}

// retry is the next try of a prune that failed, if it is due.
func (p *plan) retry(in input, backup, failed seen, others bool) (step, bool) {
	due := failed.ended.Add(backoff(failed.attempt))
	if in.keep != nil && backup.uid != "" && failed.action != "" && failed.action != removes(in.keep) {
		due = in.now // another action was named since
	}
	why := fmt.Sprintf("ActionSet %s, which removes the data of %s, failed: %s", failed.name, failed.of, failed.failure)
	switch {
	case in.keep == nil:
		p.report.problem(reasonPruneFailed, why)
		return step{}, false
	case !others:
		p.report.problem(reasonPruneFailed, why+"; it is not tried again as long as no other backup is complete")
		return step{}, false
	case due.After(in.now):
		p.report.problem(reasonPruneFailed, fmt.Sprintf("%s; it is tried again at %s", why, due.UTC().Format(time.RFC3339)))
		p.wake(due)
		return step{}, false
	}
	p.report.problem(reasonPruneFailed, why+"; it is tried again now")
	return step{kind: again, backup: backup, prune: failed}, true
}

// surplus sees to the ActionSets that the rules do not keep. What is being pruned
// already is no backup any more, even if that failed: its data may be gone in part.
func (p *plan) surplus(in input, spoken func(*seen) bool) {
	groups := map[string][]seen{}
	for i := range in.made {
		if s := &in.made[i]; s.state != open && !spoken(s) {
			// What is complete and left nothing is counted apart: it takes no backup's
			// place.
			group := s.key + "/" + strconv.FormatBool(len(s.marks) > 0)
			groups[group] = append(groups[group], *s)
		}
	}
	for _, key := range sortedKeys(groups) {
		var ended []seen
		for _, s := range groups[key] {
			// What failed and left something is for a person to look at.
			if s.state == good || len(s.marks) == 0 {
				ended = append(ended, s)
			}
		}
		stay := trigger.Retain(in.keep, in.zone, in.now, backupsOf(ended))
		for i, s := range ended {
			switch {
			case stay[i]:
				if s.state == good {
					p.report.staying++
				}
			case len(s.marks) == 0:
				p.steps = append(p.steps, step{kind: remove, backup: s})
			default:
				p.want(in, s)
			}
		}
	}
	slices.SortFunc(p.wanted, func(a, b step) int { return older(&a.backup, &b.backup) })
}

// want asks for the removal of a backup's data unless somebody uses them.
func (p *plan) want(in input, s seen) {
	for _, m := range s.marks {
		if user, ok := in.inUse[m]; ok {
			p.report.waiting++
			p.report.note(reasonInUse, fmt.Sprintf("ActionSet %s stays until %s, which uses its artifacts, has ended", s.name, user))
			return
		}
	}
	p.wanted = append(p.wanted, step{kind: begin, backup: s})
}

func (p *plan) wake(at time.Time) {
	if p.next.IsZero() || at.Before(p.next) {
		p.next = at
	}
}

func backupsOf(ended []seen) []trigger.Backup {
	out := make([]trigger.Backup, len(ended))
	for i := range ended {
		out[i] = trigger.Backup{Name: ended[i].name, At: ended[i].at, Good: ended[i].state == good}
	}
	return out
}

// backoff is the pause after an attempt that failed, from 1.
func backoff(attempt int) time.Duration {
	pause := backoffMin
	for range min(max(attempt, 1), 16) - 1 {
		pause *= 2
	}
	return min(pause, backoffMax)
}

// older orders ActionSets by age; it is total.
func older(a, b *seen) int {
	return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.name, b.name), cmp.Compare(a.uid, b.uid))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
