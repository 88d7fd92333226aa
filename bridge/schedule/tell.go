package schedule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/trigger"
)

// task is what is to be done for one entry, so that the lock is not held while it
// is.
type task struct {
	entry    *entry
	trigger  *salvor.ActionTrigger
	schedule *trigger.Schedule
	// tick is the newest that is due, first the oldest; told says that it is to be
	// told, not passed over, and missed how many are passed over.
	first, tick time.Time
	told        bool
	missed      int
}

// errBroken stands for the fault of another tick of the same round.
var errBroken = errors.New("an earlier tick could not be stored")

// tellAll tells the ticks that are due.
func (c *Controller) tellAll(ctx context.Context, due []*entry) {
	var (
		group  errgroup.Group
		mu     sync.Mutex
		fault  error
		failed int
	)
	group.SetLimit(parallel)
	for _, e := range due {
		todo, ok := c.prepare(e)
		if !ok {
			continue
		}
		group.Go(func() error {
			mu.Lock()
			err := fault
			mu.Unlock()
			if err != nil {
				err = errBroken // the others would wait as long for nothing
			} else {
				err = c.tell(ctx, todo)
			}
			c.done(todo, err)
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed++
				if fault == nil {
					fault = err
				}
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return nil
	if fault != nil && ctx.Err() == nil {
		c.Log.Warn().Err(fault).Int("ticks", failed).Msg("ticks of schedules could not be stored; they will be tried again")
	}
}

// prepare looks which ticks of an entry are due; if none is, it is put back.
func (c *Controller) prepare(e *entry) (task, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.schedule == nil || e.next.IsZero() || e.index >= 0 {
		return task{}, false // changed since it was taken out
	}
	now, offset := c.now(), e.schedule.Offset()
	tick, count := e.schedule.Last(e.next.Add(-1), now.Add(-offset))
	if count == 0 {
		c.place(e, e.next.Add(offset))
		return task{}, false
	}
	todo := task{entry: e, trigger: e.trigger, schedule: e.schedule, first: e.next, tick: tick, told: true, missed: count - 1}
	if e.source.Missed == salvor.MissedSkip && now.Sub(tick.Add(offset)) > Grace {
		todo.told, todo.missed = false, count
	}
	return todo, true
}

// tell stores the event of a tick.
func (c *Controller) tell(ctx context.Context, todo task) error {
	if !todo.told {
		return nil
	}
	due := todo.tick.Add(todo.schedule.Offset())
	e, err := trigger.NewTick(todo.trigger, todo.tick, due)
	if err != nil {
		return err // it names the trigger
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	duplicate, err := c.Events.Publish(ctx, todo.trigger.Namespace, e)
	if err != nil {
		return err // it names the event
	}
	if duplicate {
		c.Metrics.ticks(resultDuplicate, 1)
	} else {
		c.Metrics.ticks(resultTold, 1)
		c.Metrics.late(c.now().Sub(due))
	}
	return nil
}

// done moves the cursor on, or has the tick tried again. The spec may have changed
// meanwhile, and another bridge may have come further.
func (c *Controller) done(todo task, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := todo.entry
	alive := e.schedule != nil && !e.next.IsZero()
	switch {
	case err != nil:
		if alive && e.index < 0 {
			e.failures++
			c.place(e, c.now().Add(backoff(e.failures)))
		}
		return
	case alive && !e.next.After(todo.tick):
		e.next, e.failures = e.schedule.Next(todo.tick), 0
	}
	if alive {
		c.place(e, e.next.Add(e.schedule.Offset()))
	}
	last, next, missed := metav1.Time{Time: todo.tick}, shown(e), c.missed(todo)
	c.Statuses.Tell(todo.trigger, func(s *salvor.ActionTriggerStatus) {
		if s.LastTick == nil || s.LastTick.Before(&last) {
			s.LastTick = last.DeepCopy()
		}
		if missed != nil {
			remember(s, missed)
		}
		s.NextTick = next.DeepCopy()
	})
}

// missed says that ticks were passed over; nil if none was.
func (c *Controller) missed(todo task) *salvor.TriggerRecord {
	if todo.missed == 0 {
		return nil
	}
	c.Metrics.ticks(resultMissed, todo.missed)
	why := fmt.Sprintf("missed while Salvor was down: %d of the schedule's times, from %s on", todo.missed, todo.first.Format(time.RFC3339))
	c.Log.Warn().Str("namespace", todo.trigger.Namespace).Str("trigger", todo.trigger.Name).Msg(why)
	return &salvor.TriggerRecord{
		At: metav1.Time{Time: c.now().Truncate(time.Second)}, Result: string(event.ResultRejected), Events: int64(todo.missed), Reason: why,
		Event: salvor.EventRecord{
			ID: todo.first.Format(time.RFC3339), Type: event.TypeTick, Source: trigger.TickSource(todo.trigger),
		},
	}
}

// remember puts an entry before the others, once.
func remember(s *salvor.ActionTriggerStatus, entry *salvor.TriggerRecord) {
	const most = 10 // what the CRD allows
	if slices.ContainsFunc(s.History, func(other salvor.TriggerRecord) bool {
		return other.Event == entry.Event && other.Reason == entry.Reason
	}) {
		return
	}
	s.History = slices.Insert(s.History, 0, *entry)
	s.History = s.History[:min(len(s.History), most)]
}

// backoff doubles from backoffMin to backoffMax with each failure.
func backoff(failures int) time.Duration {
	return min(backoffMin<<min(failures-1, 10), backoffMax)
}
