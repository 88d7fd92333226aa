package status

import (
	"slices"
	"time"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// Knowledge is what the projector knows of a run.
type Knowledge struct {
	State event.State
	// Settled is when the ActionSet was last known to say so; zero while a
	// write is outstanding.
	Settled time.Time
	// Paused and Cancelling say what the run was asked for already.
	Paused, Cancelling bool
}

// Known returns what is known of a run. Runs that ended some time ago are
// forgotten.
func (p *Projector) Known(uid string) (Knowledge, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[uid]
	if e == nil {
		return Knowledge{}, false
	}
	return Knowledge{State: e.state, Settled: e.settledAt, Paused: e.paused, Cancelling: e.cancelling}, true
}

// Differs reports whether an ActionSet, as the watch has it, is in another state
// than what was written to it last, as a whole or in a phase. The rest is not
// compared: the watch leaves outputs out, and the CRD of an older Kanister other
// things.
func (p *Projector) Differs(uid string, seen *kanister.ActionSetStatus) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[uid]
	if e == nil || e.written == nil || e.gone {
		return false
	}
	if seen == nil {
		seen = &kanister.ActionSetStatus{}
	}
	return !slices.Equal(states(e.written), states(seen))
}

// states are the state words of a status, in order.
func states(s *kanister.ActionSetStatus) []kanister.State {
	out := []kanister.State{s.State}
	for i := range s.Actions {
		out = append(out, "")
		for j := range s.Actions[i].Phases {
			out = append(out, s.Actions[i].Phases[j].State)
		}
		if s.Actions[i].DeferPhase != nil {
			out = append(out, "defer", s.Actions[i].DeferPhase.State)
		}
	}
	return out
}

// Open returns the runs that have not ended.
func (p *Projector) Open() []Ref {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Ref
	for _, e := range p.entries {
		if !e.state.Terminal() {
			out = append(out, e.ref)
		}
	}
	return out
}

// Forget drops the runs that ended and were settled before a point in time, so
// that memory is bounded by the runs that are open.
func (p *Projector) Forget(before time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for uid, e := range p.entries {
		if e.state.Terminal() && !e.settledAt.IsZero() && e.settledAt.Before(before) {
			delete(p.entries, uid)
		}
	}
}
