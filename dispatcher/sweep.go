package dispatcher

import (
	"context"

	"github.com/salvor-io/salvor/api/event"
)

// sweep removes the records of runs that ended longer than the retention ago. One
// that was asked to go on meanwhile has a newer revision, which stays.
func (e *engine) sweep(ctx context.Context) {
	before := e.clock.Now().Add(-e.options.RunRetention)
	removed := 0
	for _, r := range e.view.list(func(r seen) bool { return r.state.Terminal() && r.updated.Before(before) }) {
		if ctx.Err() != nil {
			return
		}
		if err := e.runs.Expire(ctx, r.namespace, r.uid, r.revision); err != nil {
			e.log.Error().Err(err).Msg("a record past its retention cannot be removed; trying again at the next sweep")
			return
		}
		e.view.remove(r.uid, r.revision)
		removed++
	}
	if removed > 0 {
		e.log.Info().Int("removed", removed).Str("stream", event.StreamRuns).Msg("records past their retention were removed")
	}
}
