package gate

import (
	"fmt"
	"slices"
	"time"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// Arrival says how an event was taken.
type Arrival struct {
	Answer

	// Fresh says that the event was not seen before.
	Fresh bool
	// Joined says that it waits together with events that came before.
	Joined bool
}

// Arrive takes an event.
func (s *State) Arrive(r *Rules, e *Event, now time.Time) Arrival {
	if known, ok := s.known(e); ok {
		return Arrival{Answer: known}
	}
	a, joined := s.take(r, e, now)
	s.remember(e, a, now)
	return Arrival{Answer: a, Fresh: true, Joined: joined}
}

func (s *State) take(r *Rules, e *Event, now time.Time) (a Answer, joined bool) {
	if s.Window != nil {
		s.Window.Count++
		if e.Sequence >= s.Window.Last.Sequence {
			s.Window.Last = *e
		}
		return Answer{Window: s.Window.Key}, true
	}
	w := Window{Key: s.windowKey(e, now), Last: *e, Count: 1, Opened: now, Due: now}
	switch {
	case r.Concurrency == salvor.ConcurrencyReplace && e.Sequence < s.Newest:
		return Answer{Rejected: "an event that was stored later has started an ActionSet already, and concurrency is Replace"}, false
	case r.Coalesce > 0:
		w.Due = now.Add(r.Coalesce)
		s.Window = &w
	case s.room(r, now).After(now):
		return Answer{Rejected: fmt.Sprintf("the rate limit of %d in %s is reached", r.Starts, r.Per), Limit: true}, false
	case r.Concurrency == salvor.ConcurrencyForbid && s.busy():
		return Answer{Rejected: fmt.Sprintf("ActionSet %s has not ended, and concurrency is Forbid", s.running())}, false
	case r.Concurrency == salvor.ConcurrencyReplace && s.busy():
		s.Window = &w
	default:
		name := r.Name(e.identity())
		if at := s.starting(name); at >= 0 {
			// The event was forgotten, its ActionSet is still being made.
			return Answer{Window: s.Starting[at].Window.Key}, true
		}
		s.begin(&w, name)
	}
	return Answer{Window: w.Key}, false
}

// Todo is what is to be done once the State is written.
type Todo struct {
	// Start are the ActionSets to be made.
	Start []Start
	// Cancel are the ActionSets whose end is to be asked for.
	Cancel []string
	// Next is when Turn has something to do again, the zero time if nothing is due.
	Next time.Time
	// Limited says that events wait for room below the rate limit.
	Limited bool
}

// Turn lets go what is due and says what is to be done. held keeps what waits
// waiting: the trigger is suspended, or can start nothing.
func (s *State) Turn(r *Rules, held bool, now time.Time) Todo {
	s.forget(r, now)
	s.Starts = slices.DeleteFunc(s.Starts, func(at time.Time) bool { return !at.Add(r.Per).After(now) })
	var t Todo
	if s.Window != nil && !held {
		s.turn(r, now, &t)
	}
	t.Start = slices.Clone(s.Starting)
	for _, at := range []time.Time{s.expire(r), s.freed(r)} {
		t.at(at)
	}
	return t
}

// turn sees to the window.
func (s *State) turn(r *Rules, now time.Time, t *Todo) {
	w, room := s.Window, s.room(r, now)
	switch {
	case w.Due.After(now):
		t.at(w.Due)
	case room.After(now):
		t.Limited = true
		t.at(room)
	case r.tracks() && s.busy():
		if r.Concurrency != salvor.ConcurrencyReplace {
			return // its end is what is waited for
		}
		for _, a := range s.Active {
			if !a.Cancelled {
				t.Cancel = append(t.Cancel, a.Name)
			}
		}
	case len(s.Starting) > 0:
		// One after the other: while the API server is away one ActionSet is enough.
	default:
		s.Window = nil
		s.begin(w, r.Name("window\x1f"+w.Key))
	}
}

func (s *State) begin(w *Window, name string) {
	if len(s.Starting) >= mostBodies {
		w.Last.Body = nil // the record must fit into a message
	}
	s.Starting = append(s.Starting, Start{Name: name, Window: *w})
	s.Newest = max(s.Newest, w.Last.Sequence)
}

// Started takes that the ActionSet exists.
func (s *State) Started(r *Rules, name string, now time.Time) {
	at := s.starting(name)
	if at < 0 {
		return
	}
	ended, window := s.Starting[at].Ended, s.Starting[at].Window.Key
	s.Starting = slices.Delete(s.Starting, at, at+1)
	if r.tracks() && !ended && s.active(name) < 0 {
		s.Active = append(s.Active, Active{Name: name, Window: window})
	}
	if r.Starts > 0 {
		s.Starts = append(s.Starts, now)
	}
}

// Refused takes that the ActionSet cannot be made.
func (s *State) Refused(name string) {
	if at := s.starting(name); at >= 0 {
		s.Starting = slices.Delete(s.Starting, at, at+1)
	}
}

// Cancelled takes that the ActionSet's end was asked for.
func (s *State) Cancelled(name string) {
	if at := s.active(name); at >= 0 {
		s.Active[at].Cancelled = true
	}
}

// Ended takes that the ActionSet has ended, or is gone.
func (s *State) Ended(name string) {
	if at := s.active(name); at >= 0 {
		s.Active = slices.Delete(s.Active, at, at+1)
	}
	if at := s.starting(name); at >= 0 {
		s.Starting[at].Ended = true
	}
}

// busy says that an ActionSet runs, or will at once.
func (s *State) busy() bool { return len(s.Active) > 0 || len(s.Starting) > 0 }

func (s *State) running() string {
	if len(s.Active) > 0 {
		return s.Active[0].Name
	}
	return s.Starting[0].Name
}

// room is when one more may start: now, if there is room.
func (s *State) room(r *Rules, now time.Time) time.Time {
	if r.Starts <= 0 {
		return now
	}
	starts := slices.SortedFunc(slices.Values(s.Starts), time.Time.Compare)
	for range s.Starting {
		starts = append(starts, now) // they count from when they are made
	}
	// The oldest of the last r.Starts must have left.
	if over := len(starts) - r.Starts; over >= 0 {
		return starts[over].Add(r.Per)
	}
	return now
}

// freed is when the oldest start no longer counts.
func (s *State) freed(r *Rules) time.Time {
	if len(s.Starts) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(s.Starts, time.Time.Compare).Add(r.Per)
}

func (t *Todo) at(at time.Time) {
	if !at.IsZero() && (t.Next.IsZero() || at.Before(t.Next)) {
		t.Next = at
	}
}
