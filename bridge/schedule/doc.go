// Package schedule tells the ticks of ActionTriggers' schedules: the clock of the
// event front door.
//
//	ActionTriggers ──informer──► heap of next ticks ──timer──► tick event on EVENTS
//	                                   └──► status.lastTick, status.nextTick
//
// A tick is an event like any other, addressed to the namespace of its trigger, and
// package bridge/trigger makes the ActionSet of it. Its id is the time of the tick,
// so telling it twice tells it once: that is how a bridge that was killed between
// the stream and the status goes on, and why two bridges may tick side by side.
//
// # The cursor
//
// status.nextTick is what survives a restart: the next tick that nobody has seen
// to, jitter added. It moves only after EVENTS has acknowledged what came before.
// At the start it is trusted if it is a tick of the schedule as it is now, and not
// later than the next one from now on; otherwise the schedule was changed while no
// bridge ran (or a clock was wrong), and counting starts now. A trigger that has no
// cursor starts from its creation if its spec is the one it was created with, else
// from now. What is in memory is newer than what the watch tells, except that a
// cursor which another bridge has moved on is followed.
//
// # Missed ticks
//
// When several ticks are due at once, the newest counts and the others are missed,
// which the history in the status says.
// With the policy Skip that one counts only if it is told within Grace of its time.
// A suspended trigger has no cursor: it starts again when it is resumed.
//
// # Cost
//
// All triggers share one heap, one timer and one goroutine; ticks that are due at
// the same time are told some at a time. A trigger costs its entry in the heap, and
// one status write for each tick.
package schedule
