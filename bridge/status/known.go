package status

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

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

// Differs reports whether an ActionSet, as the watch has it, says something else
// than what was written to it last. Outputs and artifacts, which the watch leaves
// out, are not compared.
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
	return !equality.Semantic.DeepEqual(Outline(e.written), Outline(seen))
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
