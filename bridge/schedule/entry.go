package schedule

import (
	"container/heap"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/trigger"
)

type name struct{ namespace, name string }

// entry is what is known of one trigger.
type entry struct {
	trigger *salvor.ActionTrigger
	// schedule is nil if the trigger has none now: not in the spec, suspended,
	// invalid.
	schedule *trigger.Schedule
	source   salvor.ScheduleSource
	// next is the next tick that nobody has seen to, jitter not added; zero if none
	// ever comes.
	next time.Time
	// at is when to look at it: the jitter added, or later after a fault.
	at       time.Time
	failures int
	// index in the heap; -1 if it is not there: nothing comes, or it is worked on.
	index int
}

// entries are a heap by the time to look at them.
type entries []*entry //nolint:recvcheck // as heap.Interface has it

func (h entries) Len() int           { return len(h) }
func (h entries) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h entries) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is heap.Interface's.
func (h *entries) Push(x any) {
	if e, ok := x.(*entry); ok {
		e.index = len(*h)
		*h = append(*h, e)
	}
}

// Pop is heap.Interface's.
func (h *entries) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last], e.index = nil, -1
	*h = (*h)[:last]
	return e
}

// place puts the entry where its time says, or takes it out. The caller holds mu.
func (c *Controller) place(e *entry, at time.Time) {
	in, wanted := e.index >= 0, e.schedule != nil && !e.next.IsZero()
	e.at = at
	switch {
	case wanted && in:
		heap.Fix(&c.heap, e.index)
	case wanted:
		heap.Push(&c.heap, e)
	case in:
		heap.Remove(&c.heap, e.index)
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// due takes out the entries whose time has come; if there are none, wait is how
// long to sleep.
func (c *Controller) due() (due []*entry, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	for len(c.heap) > 0 && !c.heap[0].at.After(now) {
		if e, ok := heap.Pop(&c.heap).(*entry); ok {
			due = append(due, e)
		}
	}
	c.Metrics.waiting(len(c.heap))
	wait = longest
	if len(c.heap) > 0 {
		wait = min(wait, c.heap[0].at.Sub(now))
	}
	return due, wait
}

// changed takes in what the watch tells of a trigger.
func (c *Controller) changed(t *salvor.ActionTrigger, gone bool) {
	key := name{t.Namespace, t.Name}
	var s *trigger.Schedule
	if !gone && !c.knows(key, t) {
		s = scheduleOf(t) // without the lock: a spec may be made to take its time
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if gone || t.DeletionTimestamp != nil {
		if e != nil && e.trigger.UID == t.UID {
			c.forget(key, e)
		}
		return
	}
	if e != nil && e.trigger.UID != t.UID {
		c.forget(key, e)
		e = nil
	}
	switch {
	case e == nil:
		e = &entry{index: -1}
		c.entries[key] = e
		e.take(t, s)
		c.begin(e)
	case e.trigger.Generation != t.Generation:
		c.respec(e, t, s)
	default:
		e.trigger = t
		c.follow(e)
	}
}

// forget removes an entry. The caller holds mu.
func (c *Controller) forget(key name, e *entry) {
	delete(c.entries, key)
	e.schedule = nil
	c.place(e, e.at)
}

// knows reports whether the schedule of this generation of the trigger is there.
func (c *Controller) knows(key name, t *salvor.ActionTrigger) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	return e != nil && e.trigger.UID == t.UID && e.trigger.Generation == t.Generation
}

// scheduleOf is the schedule of a trigger; nil if it has none now. What is wrong
// with a trigger, its condition says: package bridge/trigger.
func scheduleOf(t *salvor.ActionTrigger) *trigger.Schedule {
	if t.Spec.When.Schedule == nil || t.Spec.Suspend {
		return nil
	}
	compiled, err := trigger.Compile(t)
	if err != nil {
		return nil
	}
	return compiled.Schedule()
}

// take takes in a spec.
func (e *entry) take(t *salvor.ActionTrigger, s *trigger.Schedule) {
	e.trigger, e.schedule, e.source = t, s, salvor.ScheduleSource{}
	if s != nil {
		e.source = *t.Spec.When.Schedule
	}
}

// begin finds the first tick of a trigger that was not known. The caller holds mu.
func (c *Controller) begin(e *entry) {
	if e.schedule == nil {
		c.show(e)
		return
	}
	now := c.now()
	upcoming := e.schedule.Next(now)
	e.next = upcoming
	switch cursor := c.cursor(e); {
	case !cursor.IsZero():
		if upcoming.IsZero() || cursor.Before(upcoming) {
			e.next = cursor
		}
	case e.trigger.Status.NextTick == nil && e.trigger.Status.LastTick == nil && e.trigger.Generation <= 1:
		e.next = e.schedule.Next(e.trigger.CreationTimestamp.Time)
	}
	c.show(e)
	c.place(e, e.next.Add(e.schedule.Offset()))
}

// cursor is the tick that status.nextTick means; zero if it is none of the
// schedule's. The caller holds mu.
func (c *Controller) cursor(e *entry) time.Time {
	shown := e.trigger.Status.NextTick
	if shown == nil {
		return time.Time{}
	}
	tick := shown.Add(-e.schedule.Offset()).UTC()
	if !e.schedule.Next(tick.Add(-1)).Equal(tick) {
		return time.Time{}
	}
	return tick
}

// respec takes in a changed spec. The caller holds mu.
func (c *Controller) respec(e *entry, t *salvor.ActionTrigger, s *trigger.Schedule) {
	was := *e
	e.take(t, s)
	switch {
	case e.schedule == nil:
		e.next = time.Time{}
	case was.schedule == nil || was.source.Cron != e.source.Cron || was.source.TimeZone != e.source.TimeZone:
		e.next, e.failures = e.schedule.Next(c.now()), 0
	}
	c.show(e)
	at := time.Time{}
	if e.schedule != nil {
		at = e.next.Add(e.schedule.Offset())
	}
	c.place(e, at)
}

// follow moves on to where another bridge has come. The caller holds mu.
func (c *Controller) follow(e *entry) {
	if e.schedule == nil || e.next.IsZero() {
		return
	}
	cursor := c.cursor(e)
	if !cursor.After(e.next) || cursor.After(e.schedule.Next(c.now())) {
		return
	}
	e.next, e.failures = cursor, 0
	c.place(e, e.next.Add(e.schedule.Offset()))
}

// show has the next tick written to the status, unless it is there. The caller
// holds mu.
func (c *Controller) show(e *entry) {
	next := shown(e)
	if is := e.trigger.Status.NextTick; is.Equal(next) {
		return
	}
	c.Statuses.Tell(e.trigger, func(s *salvor.ActionTriggerStatus) { s.NextTick = next.DeepCopy() })
}

// shown is the next tick as the status has it.
func shown(e *entry) *metav1.Time {
	if e.schedule == nil || e.next.IsZero() {
		return nil
	}
	return &metav1.Time{Time: e.next.Add(e.schedule.Offset())}
}
