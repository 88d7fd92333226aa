package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/salvor-io/salvor/api/event"
)

// Since is when the store of runs was made: a run that is older and not in it
// was lost with the store before.
func (s *Runs) Since(ctx context.Context) (time.Time, error) {
	found, err := s.js.Stream(ctx, event.StreamRuns)
	if err != nil {
		return time.Time{}, fmt.Errorf("open stream %s: %w", event.StreamRuns, err)
	}
	return found.CachedInfo().Created, nil
}
