package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/salvor-io/salvor/api/event"
)

// ClearCancel takes back the mark that Cancel made: the run goes on. A runner that
// is new would stop its phases because of it, and the next Cancel would find it and
// tell nobody. That there is none is no error.
func (l *Leases) ClearCancel(ctx context.Context, uid string) error {
	if err := l.kv.Purge(ctx, event.CancelKey(uid), jetstream.PurgeTTL(time.Minute)); err != nil {
		return fmt.Errorf("clear %s: %w", event.CancelKey(uid), err)
	}
	return nil
}
