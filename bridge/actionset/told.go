package actionset

import (
	"context"
	"fmt"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/bridge/status"
)

// tell puts the end of an ActionSet that never became a run on EVENTS, as the
// dispatcher does for those that did. Its id is the same each time.
func (in *Intake) tell(ctx context.Context, run *event.Run) error {
	told, ended := event.RunEnded(run)
	if !ended || in.Events == nil {
		return nil
	}
	e, err := event.NewLifecycleEvent(told.Type, told.ID, told.At, run.Traceparent, &told.Lifecycle)
	if err != nil {
		return err // it says all
	}
	e.SetSource(event.SourceBridge)
	_, err = in.Events.Publish(ctx, run.Namespace, e)
	return err // it says all
}

// tellEnd tries to tell at once and, if that fails, again and again: the status must
// not wait for it, and once that is written nothing asks for the event any more.
func (in *Intake) tellEnd(ctx context.Context, ref status.Ref, run *event.Run) {
	if err := in.tell(ctx, run); err != nil {
		in.logger(ref).Warn().Err(err).Msg("the end of an ActionSet that never ran could not be put on EVENTS; it will be tried again")
		in.untold.Store(ref.UID, run)
		in.queue.AddRateLimited(item{ref: ref, see: seeUntold})
	}
}

// tellAgain tells what could not be told before.
func (in *Intake) tellAgain(ctx context.Context, ref status.Ref) error {
	kept, ok := in.untold.Load(ref.UID)
	if !ok {
		return nil
	}
	run, ok := kept.(*event.Run)
	if !ok {
		return nil
	}
	if err := in.tell(ctx, run); err != nil {
		return fmt.Errorf("tell how %s ended: %w", ref, err)
	}
	in.untold.Delete(ref.UID)
	return nil
}
