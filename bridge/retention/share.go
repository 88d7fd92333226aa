package retention

import "fmt"

// holder is an ActionSet that left an artifact.
type holder struct {
	seen

	// pruned: an ActionSet that removes its data exists.
	pruned bool
}

// others are the ActionSets of a namespace that have to do with some artifacts, whoever
// made them: those that left them, and the name of one that has not ended and is
// given them.
type others struct {
	holders map[mark][]holder
	users   map[mark]string
}

// settle decides, of the steps that remove data, which are done: pure.
//
// Data of which another ActionSet tells too are not removed. If every artifact of a
// backup is also one of a newer ActionSet, only the backup's own ActionSet goes: the
// data have another one. Newer, because two that each count on the other would both
// go; so the newest of those that share keeps the data until it is itself removed with
// them. A backup that shares otherwise stays.
func settle(wanted []step, o others, slots int) (steps []step, r report) {
	doomed := map[string]bool{}
	for i := range wanted {
		doomed[wanted[i].backup.uid] = true
	}
	for i := range wanted {
		s := wanted[i]
		verdict, other := shared(&s, o, doomed)
		switch verdict {
		case alone:
			if slots > 0 {
				slots--
				steps = append(steps, s)
			}
			r.removing++
		case covered:
			if s.kind == again {
				r.problem(reasonShared, fmt.Sprintf("ActionSet %s is not tried again: others have the artifacts that it removes too", s.prune.name))
				continue
			}
			steps = append(steps, step{kind: remove, backup: s.backup})
			r.removing++
		case later:
			r.waiting++
		case mixed:
			r.waiting++
			r.problem(reasonShared, fmt.Sprintf("ActionSet %s stays: it shares artifacts with %s", wanted[i].backup.name, other))
		}
	}
	return steps, r
}

// verdict says how an ActionSet's artifacts are shared.
type verdict int

const (
	// alone: nobody else tells of them.
	alone verdict = iota
	// covered: newer ActionSets tell of all of them.
	covered
	// later: they are in use, or one that shares them will be gone before.
	later
	// mixed: they are shared in a way that lets nothing be done.
	mixed
)

func shared(s *step, o others, doomed map[string]bool) (verdict, string) {
	marks := s.backup.marks
	if s.backup.uid == "" {
		marks = s.prune.marks
	}
	held, all, wait, other := false, true, true, ""
	for _, m := range marks {
		if user, ok := o.users[m]; ok {
			return later, user
		}
		newer := false
		for i := range o.holders[m] {
			h := &o.holders[m][i]
			if h.uid == s.backup.uid || h.uid == s.prune.uid {
				continue
			}
			held = true
			switch {
			case h.pruned:
				return later, h.name
			case h.going:
			case s.backup.uid == "" || older(&s.backup, &h.seen) < 0:
				newer = true
			}
			if !doomed[h.uid] && !h.going {
				wait, other = false, h.name
			}
		}
		all = all && newer
	}
	switch {
	case !held:
		return alone, ""
	case all:
		return covered, other
	case wait:
		return later, other
	}
	return mixed, other
}
