package gate

import (
	"slices"
	"time"
)

// known returns what an event was answered before.
func (s *State) known(e *Event) (Answer, bool) {
	if s.index == nil {
		s.reindex()
	}
	at, ok := s.index[e.hash()]
	if !ok {
		return Answer{}, false
	}
	return s.Seen[at].Answer, true
}

// remember keeps the answer to an event.
func (s *State) remember(e *Event, a Answer, now time.Time) {
	if s.index == nil {
		s.reindex()
	}
	at := len(s.Seen) - 1
	if at < 0 || s.Seen[at].Answer != a {
		s.Seen = append(s.Seen, Seen{Answer: a})
		at++
	}
	id := e.hash()
	s.Seen[at].At = now
	s.Seen[at].IDs = append(s.Seen[at].IDs, id)
	s.index[id] = at
}

// forget drops what is older than Memory, and the oldest of what is too much.
func (s *State) forget(r *Rules, now time.Time) {
	total, drop := 0, 0
	for i := range s.Seen {
		total += len(s.Seen[i].IDs)
	}
	for drop < len(s.Seen) && (s.old(r, &s.Seen[drop], now) || total-len(s.Seen[drop].IDs) >= mostSeen || len(s.Seen)-drop > mostAnswers) {
		total -= len(s.Seen[drop].IDs)
		drop++
	}
	s.Seen = s.Seen[drop:]
	if over := total - mostSeen; over > 0 {
		s.Seen[0].IDs = s.Seen[0].IDs[over:]
		drop++ // the index is made anew
	}
	if drop > 0 {
		s.index = nil
	}
}

// old says that an answer need not be known any more: not while its events wait, or what
// was made for them runs. It would be refused for itself, or replace itself.
func (s *State) old(r *Rules, seen *Seen, now time.Time) bool {
	return !now.Before(r.until(seen)) && !s.open(seen.Answer.Window)
}

// open says that the events of a window wait, or that their ActionSet runs.
func (s *State) open(window string) bool {
	if s.Window != nil && s.Window.Key == window {
		return true
	}
	if window != "" && slices.ContainsFunc(s.Active, func(a Active) bool { return a.Window == window }) {
		return true
	}
	return slices.ContainsFunc(s.Starting, func(a Start) bool { return a.Window.Key == window })
}

func (s *State) reindex() {
	s.index = map[uint64]int{}
	for i := range s.Seen {
		for _, id := range s.Seen[i].IDs {
			s.index[id] = i
		}
	}
}

// expire is when something is to be forgotten next; the zero time if nothing is.
func (s *State) expire(r *Rules) time.Time {
	if len(s.Seen) == 0 || s.open(s.Seen[0].Answer.Window) {
		return time.Time{}
	}
	return r.until(&s.Seen[0])
}

// until when an answer is to be known.
func (r *Rules) until(seen *Seen) time.Time {
	if seen.At.Before(r.Since) {
		return r.Since.Add(Memory)
	}
	return seen.At.Add(Memory)
}
