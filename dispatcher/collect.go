package dispatcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/stream"
)

const (
	// contentAge is how young a content stays whether a run names it or not: it
	// is put before the run, or the report, that names it is written.
	contentAge = 24 * time.Hour
	// collectEvery is the pause between two collections. Each reads all runs.
	collectEvery = 6 * time.Hour
)

// collector removes contents from BLOBS that no run names any more, such as the
// outputs of a run whose record is past its retention.
//
// What names a content is on RUNS, or on its way there in a report. Reports are not
// read: when one waits, only what was old when it was written is collected. The
// reports of the sweep before count too, since the runs they changed may be read
// from a replica that lags behind. And runs are read anew from the stream, since
// the view is a little behind it.
type collector struct {
	*engine
	last time.Time
	// waiting is the time of the oldest report that waited at the last sweep.
	waiting time.Time
	// begun says that waiting is known.
	begun bool
}

// sweep is called at each sweep of the engine, by one goroutine.
func (c *collector) sweep(ctx context.Context) {
	now := c.clock.Now()
	oldest, err := c.reports.Oldest(ctx)
	if err != nil {
		c.begun = false // after an outage, runners come with reports first
		c.failed(ctx, err)
		return
	}
	then := earliest(now, oldest, c.waiting).Add(-contentAge)
	ready := c.begun && now.Sub(c.last) >= collectEvery
	c.begun, c.waiting = true, oldest
	if !ready {
		return
	}
	removed, err := c.collect(ctx, then)
	if removed > 0 {
		c.log.Info().Int("removed", removed).Str("bucket", event.BucketBlobs).Msg("contents that no run names were removed")
	}
	if err != nil {
		c.failed(ctx, err)
		return
	}
	c.last = now
}

func (c *collector) failed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		c.log.Error().Err(err).Str("bucket", event.BucketBlobs).Msg("contents that no run names cannot be removed; trying again at the next sweep")
	}
}

// collect removes what was put last before then and is named by no run.
func (c *collector) collect(ctx context.Context, then time.Time) (removed int, err error) {
	old, err := c.blobs.Older(ctx, then)
	if err != nil || len(old) == 0 {
		return 0, err
	}
	unnamed := make(map[string]bool, len(old))
	for _, digest := range old {
		unnamed[digest] = true
	}
	if err := c.dropNamed(ctx, unnamed); err != nil {
		return 0, err
	}
	for digest := range unnamed {
		gone, err := c.blobs.Remove(ctx, digest, then)
		if err != nil {
			return removed, err
		}
		if gone {
			removed++
		}
	}
	return removed, nil
}

// dropNamed takes those out of the digests that a run names. A run that cannot be
// read is an error: a newer program may have written it.
func (c *collector) dropNamed(ctx context.Context, digests map[string]bool) error {
	reading, done := context.WithCancel(ctx)
	defer done()
	r := &namesReader{digests: digests, done: done}
	err := c.runs.Follow(reading, r, func(err error) { r.problems = append(r.problems, err) })
	switch {
	case !r.synced:
		return fmt.Errorf("read which contents are named: %w", err)
	case len(r.problems) > 0:
		return fmt.Errorf("read which contents are named, one of %d runs that cannot be read: %w", len(r.problems), errors.Join(r.problems[0], r.err))
	}
	return r.err
}

// namesReader reads all runs once.
type namesReader struct {
	digests  map[string]bool
	done     context.CancelFunc
	synced   bool
	problems []error
	err      error
}

// digestPattern finds all that can be a digest, wherever it stands in a run: what
// is kept needlessly does no harm, a field that was forgotten here would.
var digestPattern = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// Update implements stream.RunHandler.
func (r *namesReader) Update(_ context.Context, u stream.RunUpdate) {
	data, err := json.Marshal(u.Run)
	if err != nil {
		r.err = fmt.Errorf("run %s/%s: encode: %w", u.Run.Namespace, u.Run.Name, err)
		return
	}
	for _, digest := range digestPattern.FindAll(data, -1) {
		delete(r.digests, string(digest))
	}
}

// Synced implements stream.RunHandler.
func (r *namesReader) Synced(context.Context) {
	r.synced = true
	r.done()
}

// earliest is the first of the times; zero ones do not count.
func earliest(first time.Time, others ...time.Time) time.Time {
	for _, t := range others {
		if !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}
